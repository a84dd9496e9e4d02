/// Walks the lines of a generated text and splits them at tabs, without copying.
struct TextLines {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  /// The text is a literal, so it outlives everything.
  init(_ text: StaticString) { bytes = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) }

  /// Splits the next line; false after the last.
  mutating func next(into columns: inout [UnsafeBufferPointer<UInt8>]) -> Bool {
    columns.removeAll(keepingCapacity: true)
    guard position < bytes.count else { return false }
    var start = position
    while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
      if bytes[position] == UInt8(ascii: "\t") {
        columns.append(UnsafeBufferPointer(rebasing: bytes[start..<position]))
        start = position + 1
      }
      position += 1
    }
    columns.append(UnsafeBufferPointer(rebasing: bytes[start..<position]))
    position += 1
    return true
  }
}

extension UnsafeBufferPointer<UInt8> {
  var string: String { String(decoding: self, as: UTF8.self) }

  var int: Int { reduce(0) { $0 * 10 + Int($1) - 48 } }

  func has(_ flag: Unicode.Scalar) -> Bool { contains(UInt8(ascii: flag)) }

  /// The parts between separators; none if empty.
  func parts(_ separator: Unicode.Scalar, keepEmpty: Bool = false) -> [String] {
    if isEmpty && !keepEmpty { return [] }
    return split(separator: UInt8(ascii: separator), omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  func dropping(_ n: Int) -> UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: self[n...]) }
}
