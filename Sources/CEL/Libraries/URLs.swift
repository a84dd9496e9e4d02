/// An absolute URL, or an absolute path, as Go's url.ParseRequestURI takes it.
final class CELURL: CELOpaque, CELSized, CustomStringConvertible {
  let typeName = "kubernetes.URL"
  let text: String
  let scheme: String
  let host: String
  /// Still escaped.
  let path: String
  let query: String

  init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard !bytes.isEmpty, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
    var rest = bytes[...]
    var scheme = ""
    if rest.first?.isLetter == true,
      let colon = rest.firstIndex(where: { !($0.isLetter || $0.isDigit || "+-.".utf8.contains($0)) }),
      rest[colon] == UInt8(ascii: ":")
    {
      scheme = String(decoding: rest[..<colon], as: UTF8.self).lowercased()
      rest = rest[(colon + 1)...]
    } else if rest.first == UInt8(ascii: ":") {
      return nil
    }
    var query = ""
    if let mark = rest.firstIndex(of: UInt8(ascii: "?")) {
      query = String(decoding: rest[(mark + 1)...], as: UTF8.self)
      rest = rest[..<mark]
    }
    guard rest.first == UInt8(ascii: "/") || !scheme.isEmpty else { return nil }
    if rest.first != UInt8(ascii: "/") {
      // An opaque URL such as mailto:x has no parts that are asked for.
      (self.text, self.scheme, self.host, self.path, self.query) = (text, scheme, "", "", query)
      return
    }
    var host = ""
    if rest.starts(with: "//".utf8), !scheme.isEmpty || !rest.dropFirst(2).starts(with: "/".utf8) {
      rest = rest.dropFirst(2)
      let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
      var authority = rest[..<end]
      rest = rest[end...]
      if let at = authority.lastIndex(of: UInt8(ascii: "@")) { authority = authority[(at + 1)...] }
      host = String(decoding: authority, as: UTF8.self)
      guard Self.isHost(host) else { return nil }
    }
    guard Self.escapesAreValid(rest) else { return nil }
    (self.text, self.scheme, self.host, self.query) = (text, scheme, host, query)
    self.path = Self.escaped(rest)
  }

  private static func isHost(_ host: String) -> Bool {
    if host.contains(" ") { return false }
    var tail = host[...]
    if host.hasPrefix("[") {
      guard let close = host.firstIndex(of: "]") else { return false }
      tail = host[host.index(after: close)...]
      if !tail.isEmpty, !tail.hasPrefix(":") { return false }
    } else if host.contains("]") || host.filter({ $0 == ":" }).count > 1 {
      return false
    }
    guard let colon = tail.lastIndex(of: ":") else { return true }
    return tail[tail.index(after: colon)...].utf8.allSatisfy(\.isDigit)
  }

  private static func escapesAreValid(_ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: "%") { continue }
      guard let a = rest.popFirst(), let b = rest.popFirst(), hex(a) != nil, hex(b) != nil else { return false }
    }
    return true
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }

  /// What a path may not hold as it is becomes an escape.
  private static func escaped(_ bytes: ArraySlice<UInt8>) -> String {
    var out: [UInt8] = []
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in bytes {
      if byte.isLetter || byte.isDigit || "-_.~$&+,/:;=@%!'()*[]".utf8.contains(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  var hostname: String {
    if host.hasPrefix("["), let close = host.firstIndex(of: "]") {
      return String(host[host.index(after: host.startIndex)..<close])
    }
    return host.lastIndex(of: ":").map { String(host[..<$0]) } ?? host
  }

  var port: String {
    var tail = host[...]
    if host.hasPrefix("["), let close = host.firstIndex(of: "]") { tail = host[close...] }
    return tail.lastIndex(of: ":").map { String(tail[tail.index(after: $0)...]) } ?? ""
  }

  var values: CELMap {
    var keys: [String] = []
    var lists: [String: [CELValue]] = [:]
    for pair in query.split(separator: "&") where !pair.contains(";") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let key = Self.unescaped(parts[0]), let value = parts.count > 1 ? Self.unescaped(parts[1]) : "" else {
        continue
      }
      if lists[key] == nil { keys.append(key) }
      lists[key, default: []].append(.string(value))
    }
    return CELMap(keys: keys.map { .string($0) }, values: keys.map { .list(lists[$0] ?? []) })
  }

  private static func unescaped(_ text: Substring) -> String? {
    var out: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "+") {
        out.append(0x20)
      } else if byte == UInt8(ascii: "%") {
        guard let a = rest.popFirst().flatMap(hex), let b = rest.popFirst().flatMap(hex) else { return nil }
        out.append(a << 4 | b)
      } else {
        out.append(byte)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  func isEqual(to other: any CELOpaque) -> Bool { (other as? CELURL)?.text.sameBytes(as: text) ?? false }
  var description: String { text }
  var size: UInt64 { UInt64(text.unicodeScalars.count) }
}

extension CELLibrary {
  static let urls: CELLibrary = {
    let type = "kubernetes.URL"
    var out = CELLibrary("kubernetes.urls")
    out.types = [type: .opaque(type, [])]
    out.add("url", ["string_to_url (string) -> \(type)"]) { (args) throws(CELError) in
      let text = try args[0].string()
      guard let url = CELURL(text) else {
        throw CELError("URL parse error during conversion from string: parse \"\(text)\": invalid URI for request")
      }
      return .opaque(url)
    }
    out.add("isURL", ["is_url_string (string) -> bool"]) { (args) throws(CELError) in
      .bool(CELURL(try args[0].string()) != nil)
    }
    func part(_ name: String, _ result: String, _ body: @escaping @Sendable (CELURL) -> CELValue) {
      out.add(name, [".url_\(name) (\(type)) -> \(result)"]) { (args) throws(CELError) in
        guard case .opaque(let opaque) = args[0], let url = opaque as? CELURL else { throw .noSuchOverload }
        return body(url)
      }
    }
    part("getScheme", "string") { .string($0.scheme) }
    part("getHost", "string") { .string($0.host) }
    part("getHostname", "string") { .string($0.hostname) }
    part("getPort", "string") { .string($0.port) }
    part("getEscapedPath", "string") { .string($0.path) }
    part("getQuery", "map(string, list(string))") { .map($0.values) }
    return out
  }()
}
