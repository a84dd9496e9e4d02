/// A set of field paths, as managed fields record them.
///
/// A tree: each step is written as fieldsV1 writes it (`f:name`, `k:{…}`, `v:…`, `i:0`), so steps compare as strings.
public struct FieldSet: Sendable, Hashable {
  /// Whether the path that ends here is in the set.
  var isMember = false
  /// What lies below; never an empty set.
  var children: [String: FieldSet] = [:]

  /// The empty set.
  public init() {}

  static let leaf: FieldSet = {
    var set = FieldSet()
    set.isMember = true
    return set
  }()

  /// A set of paths of plain fields: `["status"]`, `["metadata", "labels"]`.
  public init(paths: [[String]]) {
    for path in paths { insert(path.map { "f:" + $0 }[...]) }
  }

  private mutating func insert(_ path: ArraySlice<String>) {
    guard let first = path.first else {
      isMember = true
      return
    }
    children[first, default: FieldSet()].insert(path.dropFirst())
  }

  /// Whether no path is in the set.
  public var isEmpty: Bool { !isMember && children.isEmpty }

  /// Puts a subtree in, unless it is empty.
  mutating func attach(_ step: String, _ subset: FieldSet) {
    if !subset.isEmpty { children[step] = subset }
  }

  /// Paths in either set.
  public func union(_ other: FieldSet) -> FieldSet {
    if isEmpty { return other }
    if other.isEmpty { return self }
    var out = self
    out.isMember = isMember || other.isMember
    for (step, theirs) in other.children {
      if let ours = out.children[step] {
        out.children[step] = ours.union(theirs)
      } else {
        out.children[step] = theirs
      }
    }
    return out
  }

  /// Paths in both sets.
  public func intersection(_ other: FieldSet) -> FieldSet {
    var out = FieldSet()
    out.isMember = isMember && other.isMember
    if children.isEmpty || other.children.isEmpty { return out }
    for (step, ours) in children {
      if let theirs = other.children[step] { out.attach(step, ours.intersection(theirs)) }
    }
    return out
  }

  /// Paths in this set only. What lies below a path of the other stays.
  public func subtracting(_ other: FieldSet) -> FieldSet {
    if other.isEmpty || isEmpty { return self }
    var out = self
    out.isMember = isMember && !other.isMember
    for (step, theirs) in other.children {
      guard let ours = children[step] else { continue }
      let rest = ours.subtracting(theirs)
      out.children[step] = rest.isEmpty ? nil : rest
    }
    return out
  }

  /// Paths that are neither in the other set nor below one of its paths.
  public func subtractingRecursively(_ other: FieldSet) -> FieldSet {
    if other.isEmpty || isEmpty { return self }
    var out = self
    for (step, theirs) in other.children {
      guard let ours = children[step] else { continue }
      if theirs.isMember {
        out.children[step] = nil
      } else {
        let rest = ours.subtractingRecursively(theirs)
        out.children[step] = rest.isEmpty ? nil : rest
      }
    }
    return out
  }

  /// Also the structs on the way to each path: they are not recorded, but go when all in them goes.
  func withNamedParents(_ shape: Shape) -> FieldSet {
    var out = self
    for (step, subset) in children {
      let below = shape.step(step)
      var child = subset.withNamedParents(below)
      if !subset.children.isEmpty, step.utf8.first == UInt8(ascii: "f"), shape.isStructure { child.isMember = true }
      out.children[step] = child
    }
    return out
  }

  /// Every path in upstream's notation: `.spec.containers[name="nginx"].image`.
  public var paths: [String] {
    var out: [String] = []
    collect("", &out)
    return out
  }

  private func collect(_ prefix: String, _ out: inout [String]) {
    if isMember { out.append(prefix) }
    for step in children.keys.sorted(by: FieldSet.precedes) {
      children[step]?.collect(prefix + FieldSet.shown(step), &out)
    }
  }

  /// Fields, then keys, then values, then indices.
  static func precedes(_ a: String, _ b: String) -> Bool {
    func rank(_ step: String) -> Int {
      switch step.utf8.first {
      case UInt8(ascii: "f"): 0
      case UInt8(ascii: "k"): 1
      case UInt8(ascii: "v"): 2
      default: 3
      }
    }
    let (x, y) = (rank(a), rank(b))
    if x != y { return x < y }
    if x == 3, let i = Int(a.dropFirst(2)), let j = Int(b.dropFirst(2)) { return i < j }
    return a.utf8.lexicographicallyPrecedes(b.utf8)
  }

  private static func shown(_ step: String) -> String {
    let content = String(step.dropFirst(2))
    switch step.utf8.first {
    case UInt8(ascii: "f"): return "." + content
    case UInt8(ascii: "k"):
      guard case .object(let keys)? = try? JSONValue(parsing: Array(content.utf8)) else { return "[\(content)]" }
      let parts = keys.keys.sortedByBytes().map { name in
        "\(name)=" + String(decoding: (keys[name] ?? .null).encoded(), as: UTF8.self)
      }
      return "[" + parts.joined(separator: ",") + "]"
    case UInt8(ascii: "v"): return "[=\(content)]"
    default: return "[\(content)]"
    }
  }
}

extension Shape {
  /// The shape behind a step of a field set.
  func step(_ step: String) -> Shape {
    switch step.utf8.first {
    case UInt8(ascii: "f"): return member(String(step.dropFirst(2)))
    case UInt8(ascii: "k"):
      if case .list(_, let schema) = self { return .structure(schema) }
      return .deduced
    default: return .leaf
    }
  }
}

extension FieldSet: JSONCodable {
  /// Reads fieldsV1.
  public init(from reader: inout JSONReader) throws {
    self.init()
    if try reader.readNull() { return }
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals(".") {
        isMember = true
        try reader.skipValue()
        continue
      }
      let step = key.string
      guard key.count > 2, step.utf8.dropFirst().first == UInt8(ascii: ":"), "fkvi".utf8.contains(step.utf8.first ?? 0)
      else { throw JSONError(message: "unable to parse path element: \(step)", offset: reader.offset) }
      var child = try FieldSet(from: &reader)
      if child.children.isEmpty { child.isMember = true }
      children[step] = child
    }
  }

  /// Writes fieldsV1.
  public func encode(to writer: inout JSONWriter) {
    writer.beginObject()
    for step in children.keys.sorted(by: FieldSet.precedes) {
      guard let child = children[step] else { continue }
      writer.key(step)
      child.encodeChild(to: &writer)
    }
    writer.endObject()
  }

  private func encodeChild(to writer: inout JSONWriter) {
    writer.beginObject()
    if isMember && !children.isEmpty {
      writer.key(".")
      writer.beginObject()
      writer.endObject()
    }
    for step in children.keys.sorted(by: FieldSet.precedes) {
      guard let child = children[step] else { continue }
      writer.key(step)
      child.encodeChild(to: &writer)
    }
    writer.endObject()
  }
}
