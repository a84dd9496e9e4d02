/// Reads one JSON document in a single pass over its bytes, without building anything that is not asked for.
///
/// Invalid UTF-8 in strings becomes U+FFFD, numbers keep all 64 bits, and nesting is bounded, as in Go.
public struct JSONReader {
  /// What stands next.
  public enum Kind: String, Sendable { case object, array, string, number, bool, null }

  /// Deeper nesting is an error. Go allows 10,000 on its growing stacks; ours are fixed, and making, comparing
  /// and freeing a tree all recurse, so a hostile document must stop well before the stack does.
  public static let maximumDepth = 1_000

  @usableFromInline let base: UnsafePointer<UInt8>
  @usableFromInline let count: Int
  @usableFromInline var position = 0
  @usableFromInline var depth = 0
  /// True between an opening bracket and the first member: no comma is due then.
  @usableFromInline var fresh = false
  /// Names with escapes are decoded here, so that a key stays a pointer and a count.
  var arena: Arena?

  init(base: UnsafePointer<UInt8>, count: Int) {
    self.base = base
    self.count = count
  }

  /// Lends a reader over `bytes`; neither it nor its keys may leave the closure.
  public static func withReader<R>(_ bytes: [UInt8], _ body: (inout JSONReader) throws -> R) throws -> R {
    try bytes.withUnsafeBufferPointer { try withReader($0, body) }
  }

  /// Lends a reader over a part of a larger document.
  public static func withReader<R>(
    _ bytes: ArraySlice<UInt8>, _ body: (inout JSONReader) throws -> R
  ) throws -> R {
    try bytes.withUnsafeBufferPointer { try withReader($0, body) }
  }

  /// Lends a reader over memory that the caller keeps alive.
  public static func withReader<R>(
    _ bytes: UnsafeBufferPointer<UInt8>, _ body: (inout JSONReader) throws -> R
  ) throws -> R {
    guard let base = bytes.baseAddress else {
      throw JSONError(message: "unexpected end of JSON input", offset: 0)
    }
    var reader = JSONReader(base: base, count: bytes.count)
    return try body(&reader)
  }

  /// Where the reader stands.
  public var offset: Int { position }

  // MARK: Structure

  /// The kind of the next value, which stays unread.
  public mutating func peek() throws -> Kind {
    switch try nextByte() {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    default: throw unexpected("looking for beginning of value")
    }
  }

  /// Enters an object.
  public mutating func beginObject() throws {
    guard try nextByte() == UInt8(ascii: "{") else { throw try mismatch("object") }
    position += 1
    try descend()
  }

  /// The next member's name, its colon consumed; nil consumes the closing brace.
  public mutating func nextKey() throws -> JSONKey? {
    guard try beginKey() else { return nil }
    let key = try rawKey()
    try colon()
    return key
  }

  private mutating func skipKey() throws -> Bool {
    guard try beginKey() else { return false }
    try skipString()
    try colon()
    return true
  }

  @inline(__always) private mutating func colon() throws {
    guard try nextByte() == UInt8(ascii: ":") else { throw unexpected("after object key") }
    position += 1
  }

  /// Stands before a key's quote, or consumes the closing brace.
  @inline(__always) private mutating func beginKey() throws -> Bool {
    var byte = try nextByte()
    if fresh {
      fresh = false
      if byte == UInt8(ascii: "}") {
        position += 1
        depth -= 1
        return false
      }
    } else {
      if byte == UInt8(ascii: "}") {
        position += 1
        depth -= 1
        return false
      }
      guard byte == UInt8(ascii: ",") else { throw unexpected("after object key:value pair") }
      position += 1
      byte = try nextByte()
    }
    guard byte == UInt8(ascii: "\"") else { throw unexpected("looking for beginning of object key string") }
    return true
  }

  /// Enters an array.
  public mutating func beginArray() throws {
    guard try nextByte() == UInt8(ascii: "[") else { throw try mismatch("array") }
    position += 1
    try descend()
  }

  /// Whether another element follows; false consumes the closing bracket.
  public mutating func nextElement() throws -> Bool {
    let byte = try nextByte()
    if byte == UInt8(ascii: "]") {
      fresh = false
      position += 1
      depth -= 1
      return false
    }
    if fresh {
      fresh = false
      return true
    }
    guard byte == UInt8(ascii: ",") else { throw unexpected("after array element") }
    position += 1
    if try nextByte() == UInt8(ascii: "]") { throw unexpected("looking for beginning of value") }
    return true
  }

  /// Consumes `null` if it stands next: Go leaves a field at its zero value then.
  public mutating func readNull() throws -> Bool {
    guard try nextByte() == UInt8(ascii: "n") else { return false }
    try literal("null")
    return true
  }

  /// Only white space may follow.
  public mutating func end() throws {
    skipSpace()
    if position < count { throw unexpected("after top-level value") }
  }

  // MARK: Scalars

  /// The next value as a boolean.
  public mutating func bool() throws -> Bool {
    switch try nextByte() {
    case UInt8(ascii: "t"):
      try literal("true")
      return true
    case UInt8(ascii: "f"):
      try literal("false")
      return false
    default: throw try mismatch("bool")
    }
  }

  /// Passes over the next value and returns its byte range, checking that it is well formed.
  @discardableResult public mutating func skipValue() throws -> Range<Int> {
    let first = try nextByte()
    let start = position
    if first == UInt8(ascii: "\"") {
      try skipString()
    } else {
      try skip(first)
    }
    return start..<position
  }

  /// Passes over a value that begins with `first`.
  private mutating func skip(_ first: UInt8) throws {
    switch first {
    case UInt8(ascii: "{"):
      position += 1
      try descend()
      while try skipKey() {
        let byte = try nextByte()
        if byte == UInt8(ascii: "\"") { try skipString() } else { try skip(byte) }
      }
    case UInt8(ascii: "["):
      position += 1
      try descend()
      while try nextElement() {
        let byte = try nextByte()
        if byte == UInt8(ascii: "\"") { try skipString() } else { try skip(byte) }
      }
    case UInt8(ascii: "\""): try skipString()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): _ = try numberRange()
    case UInt8(ascii: "t"), UInt8(ascii: "f"): _ = try bool()
    case UInt8(ascii: "n"): try literal("null")
    default: throw unexpected("looking for beginning of value")
    }
  }

  /// The bytes of a range that this reader reported.
  public func bytes(in range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: base + range.lowerBound, count: range.count)
  }

  // MARK: Machinery

  @inline(__always) mutating func skipSpace() {
    while position < count, base[position] <= 0x20 {
      switch base[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  /// The next byte that is not white space, unread.
  @inline(__always) mutating func nextByte() throws -> UInt8 {
    skipSpace()
    guard position < count else { throw endOfInput() }
    return base[position]
  }

  private mutating func descend() throws {
    depth += 1
    fresh = true
    if depth > Self.maximumDepth { throw JSONError(message: "exceeded max depth", offset: position) }
  }

  private mutating func literal(_ word: StaticString) throws {
    for i in 0..<word.utf8CodeUnitCount {
      guard position < count else { throw endOfInput() }
      guard base[position] == word.utf8Start[i] else {
        let expected = Character(Unicode.Scalar(word.utf8Start[i]))
        throw unexpected("in literal \(word) (expecting '\(expected)')")
      }
      position += 1
    }
  }

  func endOfInput() -> JSONError { JSONError(message: "unexpected end of JSON input", offset: count) }

  /// Go's words for a byte that the grammar does not allow here.
  func unexpected(_ context: String) -> JSONError {
    guard position < count else { return endOfInput() }
    return JSONError(message: "invalid character \(quoted(base[position])) \(context)", offset: position)
  }

  private func quoted(_ byte: UInt8) -> String {
    switch byte {
    case UInt8(ascii: "'"): return #"'\''"#
    case UInt8(ascii: "\""): return "'\"'"
    case UInt8(ascii: "\\"): return #"'\\'"#
    case 0x0A: return #"'\n'"#
    case 0x0D: return #"'\r'"#
    case 0x09: return #"'\t'"#
    case 0x20..<0x7F: return "'\(Character(Unicode.Scalar(byte)))'"
    case 0..<0x20, 0x7F: return "'\\x\(hexadecimal(byte))'"
    default:
      let scalar = Unicode.Scalar(byte)  // Go prints the byte as a rune
      return byte < 0xA0 ? "'\\u00\(hexadecimal(byte))'" : "'\(Character(scalar))'"
    }
  }

  private func hexadecimal(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16)
    return text.utf8.count == 1 ? "0" + text : text
  }

  /// The error for a well-formed value of another kind than `wanted`.
  public mutating func mismatch(_ wanted: String) throws -> JSONError {
    let kind = try peek()
    return JSONError(found: kind.rawValue, wanted: wanted, offset: position)
  }

  final class Arena {
    private var blocks: [UnsafeMutablePointer<UInt8>] = []
    func keep(_ bytes: [UInt8]) -> UnsafePointer<UInt8> {
      let block = UnsafeMutablePointer<UInt8>.allocate(capacity: max(bytes.count, 1))
      block.initialize(from: bytes, count: bytes.count)
      blocks.append(block)
      return UnsafePointer(block)
    }
    deinit { for block in blocks { block.deallocate() } }
  }
}
