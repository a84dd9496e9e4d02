/// An IP address: 4 or 16 bytes.
public final class CELIPAddress: CELOpaque, CELSized, CustomStringConvertible {
  public let typeName = "net.IP"
  let bytes: [UInt8]
  init(_ bytes: [UInt8]) { self.bytes = bytes }

  public func isEqual(to other: any CELOpaque) -> Bool { (other as? CELIPAddress)?.bytes == bytes }

  var size: UInt64 { UInt64(bytes.count * 8) }

  /// Parses an address strictly: no zone, no IPv4 inside IPv6, no leading zeros.
  static func parse(_ text: String) throws(CELError) -> CELIPAddress {
    if text.contains("%") { throw CELError("IP address \"\(text)\" with zone value is not allowed") }
    guard let bytes = text.contains(":") ? v6(text) : v4(text) else {
      throw CELError("IP Address \"\(text)\" parse error during conversion from string")
    }
    if bytes.count == 16, bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
      throw CELError("IPv4-mapped IPv6 address \"\(text)\" is not allowed")
    }
    return CELIPAddress(bytes)
  }

  private static func v4(_ text: String) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var out: [UInt8] = []
    for part in parts {
      guard !part.isEmpty, part.count <= 3, part.utf8.allSatisfy(\.isDigit), part.count == 1 || part.first != "0",
        let byte = UInt8(part)
      else { return nil }
      out.append(byte)
    }
    return out
  }

  private static func v6(_ text: String) -> [UInt8]? {
    func groups(_ part: Substring) -> [UInt8]? {
      if part.isEmpty { return [] }
      var out: [UInt8] = []
      let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
      for (i, piece) in pieces.enumerated() {
        if i == pieces.count - 1, piece.contains(".") {
          guard let tail = v4(String(piece)) else { return nil }
          out += tail
          continue
        }
        guard !piece.isEmpty, piece.utf8.count <= 4, piece.first != "+", piece.first != "-",
          let value = UInt16(piece, radix: 16)
        else { return nil }
        out += [UInt8(value >> 8), UInt8(value & 0xFF)]
      }
      return out
    }
    guard let gap = text.firstRange(ofBytes: "::") else {
      guard let all = groups(text[...]), all.count == 16 else { return nil }
      return all
    }
    let utf8 = Array(text.utf8)
    let after = String(decoding: utf8[gap.upperBound...], as: UTF8.self)
    let before = String(decoding: utf8[..<gap.lowerBound], as: UTF8.self)
    guard !after.contains("::"), let head = groups(before[...]), let tail = groups(after[...]),
      head.count + tail.count <= 14
    else { return nil }
    return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
  }

  /// The canonical form: RFC 5952 for IPv6.
  public var description: String {
    if bytes.count == 4 { return bytes.map { String($0) }.joined(separator: ".") }
    let groups = (0..<8).map { UInt16(bytes[$0 * 2]) << 8 | UInt16(bytes[$0 * 2 + 1]) }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > best.count { best = start..<end }
      start = max(end, start + 1)
    }
    func hex(_ range: Range<Int>) -> String {
      groups[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    if best.count < 2 { return hex(0..<8) }
    return hex(0..<best.lowerBound) + "::" + hex(best.upperBound..<8)
  }

  var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
  var isLoopback: Bool { bytes.count == 4 ? bytes[0] == 127 : bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1 }
  var isMulticast: Bool { bytes.count == 4 ? bytes[0] & 0xF0 == 0xE0 : bytes[0] == 0xFF }
  var isLinkLocalMulticast: Bool {
    bytes.count == 4
      ? bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0 : bytes[0] == 0xFF && bytes[1] & 0x0F == 0x02
  }
  var isLinkLocalUnicast: Bool {
    bytes.count == 4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80
  }
  var isGlobalUnicast: Bool {
    if bytes == [255, 255, 255, 255] { return false }
    return !isUnspecified && !isLoopback && !isMulticast && !isLinkLocalUnicast
  }
}

/// A range of addresses.
public final class CELCIDR: CELOpaque, CELSized, CustomStringConvertible {
  public let typeName = "net.CIDR"
  let address: CELIPAddress
  let length: Int
  init(_ address: CELIPAddress, _ length: Int) {
    self.address = address
    self.length = length
  }

  public func isEqual(to other: any CELOpaque) -> Bool {
    guard let other = other as? CELCIDR else { return false }
    return other.length == length && other.address.bytes == address.bytes
  }

  public var description: String { "\(address)/\(length)" }

  var size: UInt64 { address.size }

  static func parse(_ text: String) throws(CELError) -> CELCIDR {
    func failure() -> CELError { CELError("network address parse error during conversion from string: \(text)") }
    guard let slash = text.lastIndex(of: "/") else { throw failure() }
    let digits = text[text.index(after: slash)...]
    let address: CELIPAddress
    do throws(CELError) { address = try CELIPAddress.parse(String(text[..<slash])) } catch {
      if text.contains("%") { throw CELError("CIDR \"\(text)\" with zone value is not allowed") }
      if error.message.contains("mapped") {
        throw CELError("IPv4-mapped IPv6 address \"\(text)\" is not allowed")
      }
      throw failure()
    }
    guard !digits.isEmpty, digits.utf8.allSatisfy(\.isDigit), digits.count == 1 || digits.first != "0",
      let length = Int(digits), length <= address.bytes.count * 8
    else { throw failure() }
    return CELCIDR(address, length)
  }

  var masked: CELCIDR {
    var bytes = address.bytes
    for i in bytes.indices {
      let kept = max(0, min(8, length - i * 8))
      bytes[i] &= kept == 0 ? 0 : 0xFF << UInt8(8 - kept)
    }
    return CELCIDR(CELIPAddress(bytes), length)
  }

  func contains(_ ip: CELIPAddress) -> Bool {
    ip.bytes.count == address.bytes.count && CELCIDR(ip, length).masked.address.bytes == masked.address.bytes
  }
}

extension CELLibrary {
  /// Addresses and ranges of them.
  static let network: CELLibrary = {
    var out = CELLibrary("kubernetes.net")
    out.types = ["net.IP": .opaque("net.IP", []), "net.CIDR": .opaque("net.CIDR", [])]
    @Sendable func ip(_ value: CELValue) throws(CELError) -> CELIPAddress {
      guard case .opaque(let opaque) = value, let ip = opaque as? CELIPAddress else { throw .noSuchOverload }
      return ip
    }
    @Sendable func cidr(_ value: CELValue) throws(CELError) -> CELCIDR {
      guard case .opaque(let opaque) = value, let cidr = opaque as? CELCIDR else { throw .noSuchOverload }
      return cidr
    }
    out.add("ip", ["string_to_ip (string) -> net.IP", ".cidr_ip (net.CIDR) -> net.IP"]) { (args) throws(CELError) in
      if case .string(let text) = args[0] { return .opaque(try CELIPAddress.parse(text)) }
      return .opaque(try cidr(args[0]).address)
    }
    out.add("isIP", ["is_ip (string) -> bool"]) { (args) throws(CELError) in
      let text = try args[0].string()
      return .bool((try? CELIPAddress.parse(text)) != nil)
    }
    out.add("ip.isCanonical", ["ip_is_canonical (string) -> bool"]) { (args) throws(CELError) in
      let text = try args[0].string()
      return .bool(try CELIPAddress.parse(text).description.sameBytes(as: text))
    }
    out.add("family", [".ip_family (net.IP) -> int"]) { (args) throws(CELError) in
      .int(try ip(args[0]).bytes.count == 4 ? 4 : 6)
    }
    func test(_ name: String, _ body: @escaping @Sendable (CELIPAddress) -> Bool) {
      out.add(name, [".ip_\(name) (net.IP) -> bool"]) { (args) throws(CELError) in .bool(body(try ip(args[0]))) }
    }
    test("isUnspecified") { $0.isUnspecified }
    test("isLoopback") { $0.isLoopback }
    test("isLinkLocalMulticast") { $0.isLinkLocalMulticast }
    test("isLinkLocalUnicast") { $0.isLinkLocalUnicast }
    test("isGlobalUnicast") { $0.isGlobalUnicast }
    out.add("string", ["ip_to_string (net.IP) -> string", "cidr_to_string (net.CIDR) -> string"]) {
      (args) throws(CELError) in
      guard case .opaque(let opaque) = args[0] else { throw .noSuchOverload }
      if let ip = opaque as? CELIPAddress { return .string(ip.description) }
      if let cidr = opaque as? CELCIDR { return .string(cidr.description) }
      throw .noSuchOverload
    }
    out.add("cidr", ["string_to_cidr (string) -> net.CIDR"]) { (args) throws(CELError) in
      .opaque(try CELCIDR.parse(try args[0].string()))
    }
    out.add("isCIDR", ["is_cidr (string) -> bool"]) { (args) throws(CELError) in
      let text = try args[0].string()
      return .bool((try? CELCIDR.parse(text)) != nil)
    }
    out.add(
      "containsIP",
      [
        ".cidr_contains_ip_string (net.CIDR, string) -> bool", ".cidr_contains_ip_ip (net.CIDR, net.IP) -> bool",
      ]
    ) { (args) throws(CELError) in
      let range = try cidr(args[0])
      if case .string(let text) = args[1] { return .bool(range.contains(try CELIPAddress.parse(text))) }
      return .bool(range.contains(try ip(args[1])))
    }
    out.add(
      "containsCIDR",
      [
        ".cidr_contains_cidr_string (net.CIDR, string) -> bool", ".cidr_contains_cidr (net.CIDR, net.CIDR) -> bool",
      ]
    ) { (args) throws(CELError) in
      let range = try cidr(args[0])
      let other: CELCIDR
      if case .string(let text) = args[1] { other = try CELCIDR.parse(text) } else { other = try cidr(args[1]) }
      return .bool(other.length >= range.length && range.contains(other.address))
    }
    out.add("prefixLength", [".cidr_prefix_length (net.CIDR) -> int"]) { (args) throws(CELError) in
      .int(Int64(try cidr(args[0]).length))
    }
    out.add("masked", [".cidr_masked (net.CIDR) -> net.CIDR"]) { (args) throws(CELError) in
      .opaque(try cidr(args[0]).masked)
    }
    return out
  }()
}
