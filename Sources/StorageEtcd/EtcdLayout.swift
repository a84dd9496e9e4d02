/// How keys and values lie in etcd, where upstream's tools and servers look for them.
///
///     here  /registry/deployments.apps/ns/name   {"metadata":{…
///     etcd  /registry/deployments/ns/name        {"kind":"Deployment","apiVersion":"apps/v1","metadata":{…
///
/// Custom resources, of which nobody knows beforehand, are told by the dot of their group; their values carry their type
/// on both sides, here at the end, where a stock server writes it at the beginning:
///
///     here  /registry/crontabs.stable.example.com/ns/name
///     etcd  /registry/stable.example.com/crontabs/ns/name
///
/// Keys that belong to none of the resources stay as they are, and so do their values.
public struct EtcdLayout: Sendable {
  /// One resource's place.
  public struct Resource: Sendable {
    /// What follows `/registry/` in this program's keys.
    public var name: String
    /// What follows the prefix in etcd's; may contain a slash.
    public var place: String
    /// The type that stored values carry.
    public var apiVersion: String
    public var kind: String

    /// Names a place.
    public init(name: String, place: String, apiVersion: String, kind: String) {
      self.name = name
      self.place = place
      self.apiVersion = apiVersion
      self.kind = kind
    }
  }

  final class Place: Sendable {
    let inner: String
    let outer: [UInt8]
    let head: [UInt8]

    init(inner: String, outer: String, head: String) {
      self.inner = inner
      self.outer = Array(outer.utf8)
      self.head = Array(head.utf8)
    }
  }

  private static let root = "/registry/"
  /// Where custom resources lie; each has a place of its own.
  private static let custom = Place(inner: "", outer: "", head: "")
  private static let metadata = Array("{\"metadata\":".utf8)

  private let prefix: [UInt8]
  private var byName: [Substring: Place] = [:]
  private var byPlace: [String: Place] = [:]
  /// First parts of places of two parts.
  private var nested: Set<String> = []

  /// `prefix`: where Kubernetes' objects lie.
  public init(prefix: String = "/registry", resources: [Resource] = []) {
    var trimmed = Substring(prefix)
    while trimmed.hasSuffix("/") { trimmed.removeLast() }
    let full = (trimmed.hasPrefix("/") ? "" : "/") + trimmed + (trimmed.isEmpty ? "" : "/")
    self.prefix = Array(full.utf8)
    for resource in resources {
      let place = Place(
        inner: Self.root + resource.name + "/", outer: full + resource.place + "/",
        head: "{\"kind\":\"\(resource.kind)\",\"apiVersion\":\"\(resource.apiVersion)\",")
      byName[Substring(resource.name)] = place
      byPlace[resource.place] = place
      let parts = resource.place.split(separator: "/")
      if parts.count > 1 { nested.insert(String(parts[0])) }
    }
  }

  // MARK: Out

  /// A key or a prefix of keys as etcd has it.
  func outer(_ key: String) -> (key: [UInt8], place: Place?) {
    guard key.hasPrefix(Self.root) else { return (Array(key.utf8), nil) }
    let rest = key[key.utf8.index(key.startIndex, offsetBy: Self.root.utf8.count)...]
    if let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")), let place = byName[rest[..<slash]] {
      return (place.outer + rest[rest.utf8.index(after: slash)...].utf8, place)
    }
    if let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")),
      let dot = rest[..<slash].utf8.firstIndex(of: UInt8(ascii: "."))
    {
      let group = rest[rest.utf8.index(after: dot)..<slash]
      return (prefix + "\(group)/\(rest[..<dot])\(rest[slash...])".utf8, nil)
    }
    return (prefix + rest.utf8, nil)
  }

  /// What to write before a value, and where the value then begins.
  func outer(_ value: [UInt8], _ place: Place?) -> (head: [UInt8], from: Int) {
    guard let place, value.starts(with: Self.metadata) else { return ([], 0) }
    return (place.head, 1)
  }

  // MARK: In

  /// A key as this program has it; nil for keys that are not ours.
  func inner(_ key: UnsafeRawBufferPointer) -> (key: String, place: Place?)? {
    guard key.first == UInt8(ascii: "/") else { return nil }
    guard key.starts(with: prefix) else { return (String(decoding: key, as: UTF8.self), nil) }
    let rest = key[prefix.count...]
    guard var slash = rest.firstIndex(of: UInt8(ascii: "/")) else {
      return (Self.root + String(decoding: rest, as: UTF8.self), nil)
    }
    var part = String(decoding: rest[..<slash], as: UTF8.self)
    if nested.contains(part), let second = rest[(slash + 1)...].firstIndex(of: UInt8(ascii: "/")) {
      let longer = String(decoding: rest[..<second], as: UTF8.self)
      if byPlace[longer] != nil { (part, slash) = (longer, second) }
    }
    guard let place = byPlace[part] else {
      if part.utf8.contains(UInt8(ascii: ".")), let second = rest[(slash + 1)...].firstIndex(of: UInt8(ascii: "/")) {
        let plural = String(decoding: rest[(slash + 1)..<second], as: UTF8.self)
        return ("\(Self.root)\(plural).\(part)" + String(decoding: rest[second...], as: UTF8.self), Self.custom)
      }
      return (Self.root + String(decoding: rest, as: UTF8.self), nil)
    }
    return (place.inner + String(decoding: rest[(slash + 1)...], as: UTF8.self), place)
  }

  /// A value as this program has it: without its type.
  func inner(_ value: UnsafeRawBufferPointer, _ place: Place?) -> [UInt8] {
    guard let place, value.first == UInt8(ascii: "{") else { return Array(value) }
    if place === Self.custom { return Self.typeLast(value) }
    var start = place.head.count
    if !value.starts(with: place.head) {
      guard let found = Self.endOfType(value) else { return Array(value) }
      start = found
    }
    // Other servers end their values with a line feed.
    let end = value.last == 0x0A ? value.count - 1 : value.count
    guard start < end else { return Array(value) }
    return Array(unsafeUninitializedCapacity: end - start + 1) { buffer, count in
      buffer[0] = UInt8(ascii: "{")
      UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[1...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: value[start..<end]))
      count = end - start + 1
    }
  }

  /// A value with its type moved from its beginning to its end.
  private static func typeLast(_ value: UnsafeRawBufferPointer) -> [UInt8] {
    let end = value.last == 0x0A ? value.count - 1 : value.count
    guard !value.starts(with: metadata), let start = endOfType(value), start < end - 1 else {
      return Array(value[..<end])
    }
    // `{` type `,` content `}` becomes `{` content `,` type `}`; kind comes last, as this program writes it.
    let parts = value[1..<(start - 1)].split(separator: UInt8(ascii: ","))
    let type = parts.sorted { a, _ in a.starts(with: "\"apiVersion\"".utf8) }
    return [UInt8(ascii: "{")] + value[start..<(end - 1)] + type.flatMap { [UInt8(ascii: ",")] + $0 }
      + [UInt8(ascii: "}")]
  }

  /// Where `"metadata"` begins in an object that starts with its type, in whatever order and version.
  private static func endOfType(_ value: UnsafeRawBufferPointer) -> Int? {
    var at = 1
    for _ in 0..<2 {
      guard let colon = value[at...].firstIndex(of: UInt8(ascii: ":")),
        value[at..<colon].elementsEqual("\"kind\"".utf8) || value[at..<colon].elementsEqual("\"apiVersion\"".utf8),
        let comma = value[colon...].firstIndex(of: UInt8(ascii: ","))
      else { return nil }
      at = comma + 1
    }
    return value[at...].starts(with: "\"metadata\":".utf8) ? at : nil
  }

  /// Protobuf, as upstream stores its own kinds unless told otherwise.
  static func isProtobuf(_ value: [UInt8]) -> Bool { value.starts(with: [0x6B, 0x38, 0x73, 0x00]) }

  /// The end of the range of keys that begin with a prefix.
  static func end(of prefix: [UInt8]) -> [UInt8] {
    var end = prefix
    while let last = end.last {
      if last < 0xFF {
        end[end.count - 1] = last + 1
        return end
      }
      end.removeLast()
    }
    return [0]
  }
}
