/// One netlink message, as it is built and as it is read. Numbers are in the machine's byte order unless said otherwise.
struct NetlinkMessage: Sendable {
  /// Flags of the header.
  enum Flag {
    static let request: UInt16 = 0x1
    static let multi: UInt16 = 0x2
    static let acknowledge: UInt16 = 0x4
    static let replace: UInt16 = 0x100
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
    static let dump: UInt16 = 0x300
    static let append: UInt16 = 0x800
  }

  static let headerLength = 16
  static let error: UInt16 = 2
  static let done: UInt16 = 3

  var type: UInt16
  var flags: UInt16
  var sequence: UInt32 = 0
  /// All that follows the header.
  var body: [UInt8] = []

  init(type: UInt16, flags: UInt16) {
    self.type = type
    self.flags = flags
  }

  // MARK: Building

  mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value) { body.append(contentsOf: $0) }
  }

  mutating func attribute(_ type: UInt16, _ bytes: some Collection<UInt8>) {
    append(UInt16(4 + bytes.count))
    append(type)
    body.append(contentsOf: bytes)
    while body.count % 4 != 0 { body.append(0) }
  }

  mutating func attribute<Value: FixedWidthInteger>(_ type: UInt16, value: Value) {
    attribute(type, withUnsafeBytes(of: value) { Array($0) })
  }

  /// A string with the zero byte that the kernel wants.
  mutating func attribute(_ type: UInt16, text: String) { attribute(type, Array(text.utf8) + [0]) }

  mutating func nested(_ type: UInt16, marked: Bool = false, _ content: (inout NetlinkMessage) -> Void) {
    let start = body.count
    append(UInt16(0))
    append(marked ? type | 0x8000 : type)
    content(&self)
    let length = UInt16(body.count - start)
    withUnsafeBytes(of: length) { body.replaceSubrange(start..<start + 2, with: $0) }
  }

  func encoded() -> [UInt8] {
    var out = NetlinkMessage(type: 0, flags: 0)
    out.append(UInt32(Self.headerLength + body.count))
    out.append(type)
    out.append(flags)
    out.append(sequence)
    out.append(UInt32(0))
    return out.body + body
  }

  // MARK: Reading

  /// The messages of one datagram.
  static func parse(_ bytes: ArraySlice<UInt8>) -> [NetlinkMessage] {
    var found: [NetlinkMessage] = []
    var rest = bytes
    while let length = rest.number(UInt32.self, at: 0), length >= headerLength, Int(length) <= rest.count,
      let type = rest.number(UInt16.self, at: 4), let flags = rest.number(UInt16.self, at: 6),
      let sequence = rest.number(UInt32.self, at: 8)
    {
      var message = NetlinkMessage(type: type, flags: flags)
      message.sequence = sequence
      message.body = Array(rest[(rest.startIndex + headerLength)..<(rest.startIndex + Int(length))])
      found.append(message)
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
    return found
  }

  /// The attributes behind the family's own header of that many bytes.
  func attributes(after header: Int) -> [UInt16: ArraySlice<UInt8>] {
    Self.attributes(body.dropFirst(header))
  }

  /// Attributes in a row, by type; flags on the type are dropped.
  static func attributes(_ bytes: ArraySlice<UInt8>) -> [UInt16: ArraySlice<UInt8>] {
    var found: [UInt16: ArraySlice<UInt8>] = [:]
    var rest = bytes
    while let length = rest.number(UInt16.self, at: 0), length >= 4, Int(length) <= rest.count,
      let type = rest.number(UInt16.self, at: 2)
    {
      found[type & 0x3fff] = rest[(rest.startIndex + 4)..<(rest.startIndex + Int(length))]
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
    return found
  }
}

extension ArraySlice<UInt8> {
  /// The number at an offset from the slice's start, in the machine's order; nil beyond the end.
  func number<Value: FixedWidthInteger>(_: Value.Type, at offset: Int) -> Value? {
    let size = MemoryLayout<Value>.size
    guard offset >= 0, offset + size <= count else { return nil }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Value.self) }
  }

  /// The text before the first zero byte.
  var zeroTerminated: String { String(decoding: prefix { $0 != 0 }, as: UTF8.self) }
}
