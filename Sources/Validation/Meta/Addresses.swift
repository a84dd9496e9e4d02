import API

/// An IP address as bytes: 4 or 16 of them.
struct IPAddressBytes: Hashable {
  var bytes: [UInt8]

  var isV4: Bool { bytes.count == 4 }

  /// Reads an address in its usual form; leading zeros in IPv4 parts are refused.
  init?(_ text: String) {
    if text.contains(":") {
      guard let v6 = Self.v6(text) else { return nil }
      bytes = v6
    } else {
      guard let v4 = Self.v4(Substring(text)) else { return nil }
      bytes = v4
    }
  }

  private static func v4(_ text: Substring) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard !part.isEmpty, part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let byte = UInt8(part) else {
        return nil
      }
      if part.count > 1 && part.first == "0" { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  private static func v6(_ text: String) -> [UInt8]? {
    func groups(_ text: Substring) -> [UInt8]? {
      if text.isEmpty { return [] }
      var bytes: [UInt8] = []
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      for (i, part) in parts.enumerated() {
        if i == parts.count - 1, part.contains(".") {
          guard let tail = v4(part) else { return nil }
          bytes += tail
          continue
        }
        guard !part.isEmpty, part.utf8.count <= 4, let group = UInt16(part, radix: 16), part.first != "+" else {
          return nil
        }
        bytes += [UInt8(group >> 8), UInt8(group & 0xFF)]
      }
      return bytes
    }
    guard let gap = text.asciiRange(of: "::") else {
      guard let bytes = groups(Substring(text)), bytes.count == 16 else { return nil }
      return bytes
    }
    guard let head = groups(text[..<gap.lowerBound]), let tail = groups(text[gap.upperBound...]) else { return nil }
    guard head.count + tail.count <= 14 else { return nil }
    return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
  }

  var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }

  var isLoopback: Bool { isV4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1 }

  var isLinkLocal: Bool { isV4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80 }

  var isLinkLocalMulticast: Bool {
    isV4 ? bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0 : bytes[0] == 0xFF && bytes[1] & 0x0F == 2
  }
}

extension String {
  /// Where a string of ASCII stands first.
  func asciiRange(of needle: String) -> Range<String.Index>? {
    let hay = utf8
    var start = hay.startIndex
    while start != hay.endIndex {
      var a = start
      var b = needle.utf8.startIndex
      while a != hay.endIndex, b != needle.utf8.endIndex, hay[a] == needle.utf8[b] {
        a = hay.index(after: a)
        b = needle.utf8.index(after: b)
      }
      if b == needle.utf8.endIndex { return start..<a }
      start = hay.index(after: start)
    }
    return nil
  }
}

let ipMessage = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
let cidrMessage = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

/// Checks an address.
func checkIP(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if IPAddressBytes(value) == nil { errors.append(.invalid(path, value, ipMessage)) }
}

/// An address and a prefix length.
struct CIDRBlock {
  var address: IPAddressBytes
  var length: Int

  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPAddressBytes(String(parts[0])), let length = Int(parts[1]),
      parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), length <= address.bytes.count * 8
    else { return nil }
    self.address = address
    self.length = length
  }

  /// Whether all of `other` lies within.
  func contains(_ other: CIDRBlock) -> Bool {
    guard address.isV4 == other.address.isV4, length <= other.length else { return false }
    for bit in 0..<length {
      let mask = UInt8(0x80) >> UInt8(bit % 8)
      if address.bytes[bit / 8] & mask != other.address.bytes[bit / 8] & mask { return false }
    }
    return true
  }
}

/// Checks a block of addresses.
func checkCIDR(_ value: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if CIDRBlock(value) == nil { errors.append(.invalid(path, value, cidrMessage)) }
}

/// Addresses that endpoints may not have.
///
/// `loopback` allows those of this machine alone.
func checkNonSpecialIP(
  _ value: String, _ path: FieldPath, _ errors: inout [FieldError], loopback: Bool = false
) {
  guard let ip = IPAddressBytes(value) else {
    errors.append(.invalid(path, value, ipMessage))
    return
  }
  if ip.isUnspecified { errors.append(.invalid(path, value, "may not be unspecified (\(value))")) }
  if ip.isLoopback && !loopback {
    errors.append(.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
  }
  if ip.isLinkLocal {
    errors.append(.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
  }
  if ip.isLinkLocalMulticast {
    errors.append(.invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))
  }
}

/// Whether an object holds the addresses of the API server itself.
///
/// Unlike upstream, whose server refuses to advertise it, ours may listen on the loopback address alone: a cluster of
/// one machine, or a test, needs no other.
func isAPIServerEndpoints(_ meta: ObjectMeta) -> Bool { meta.namespace == "default" && meta.name == "kubernetes" }

extension IPAddressBytes: CustomStringConvertible {
  /// The form that RFC 5952 wants: the longest run of zero groups left out, no leading zeros, small letters.
  var description: String {
    if isV4 { return bytes.map(String.init).joined(separator: ".") }
    if let four = mapped { return four.description }
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(1, best.count) { best = start..<end }
      start = max(end, start + 1)
    }
    func text(_ part: ArraySlice<UInt16>) -> String {
      part.map { String($0, radix: 16) }.joined(separator: ":")
    }
    if best.isEmpty { return text(groups[...]) }
    return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
  }

  /// The IPv4 address that an IPv6 one stands for.
  var mapped: IPAddressBytes? {
    guard !isV4, bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF else { return nil }
    var four = self
    four.bytes = Array(bytes[12...])
    return four
  }
}

extension CIDRBlock {
  /// The same with all bits past the prefix cleared.
  var network: CIDRBlock {
    var block = self
    for bit in length..<(block.address.bytes.count * 8) { block.address.bytes[bit / 8] &= ~(0x80 >> UInt8(bit % 8)) }
    return block
  }

  /// An IPv4 block in the clothes of an IPv6 one is shown without them.
  var text: String { "\(address)/\(length >= 96 && address.mapped != nil ? length - 96 : length)" }
}

/// An address with its prefix length in canonical form, bits past the prefix kept.
func canonicalBlock(_ text: String) -> String? { CIDRBlock(text)?.text }
