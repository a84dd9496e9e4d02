/// Header fields in the order they were given. Names compare without regard to ASCII case.
///
/// A small array: requests carry about ten fields, where a linear search beats hashing.
public struct HTTPFields: Sendable, ExpressibleByDictionaryLiteral, Sequence {
  public typealias Element = (name: String, value: String)
  @usableFromInline var entries: [(name: String, value: String)]

  public init() { entries = [] }
  public init(_ fields: [(String, String)]) { entries = fields.map { (name: $0.0, value: $0.1) } }
  public init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }

  public var isEmpty: Bool { entries.isEmpty }
  public var count: Int { entries.count }
  /// The fields as plain pairs.
  public var pairs: [(String, String)] { entries.map { ($0.name, $0.value) } }

  public func makeIterator() -> IndexingIterator<[(name: String, value: String)]> { entries.makeIterator() }

  /// The first value of a field; assigning replaces all of them, `nil` removes them.
  public subscript(name: String) -> String? {
    get {
      for entry in entries where asciiCaseEqual(entry.name, name) { return entry.value }
      return nil
    }
    set {
      remove(name)
      if let newValue { entries.append((name: name, value: newValue)) }
    }
  }

  /// Every value of a field, in order.
  public func values(_ name: String) -> [String] {
    entries.filter { asciiCaseEqual($0.name, name) }.map(\.value)
  }

  /// The comma-separated elements of a field over all its lines, trimmed.
  public func elements(_ name: String) -> [String] {
    values(name).flatMap { $0.split(separator: ",") }.map { trimmed($0) }.filter { !$0.isEmpty }
  }

  /// Whether a comma-separated field holds a token (case-insensitively), as in `Connection: upgrade`.
  public func hasToken(_ name: String, _ token: String) -> Bool {
    elements(name).contains { asciiCaseEqual($0, token) }
  }

  public mutating func add(_ name: String, _ value: String) { entries.append((name: name, value: value)) }
  public mutating func remove(_ name: String) { entries.removeAll { asciiCaseEqual($0.name, name) } }
  public mutating func reserveCapacity(_ count: Int) { entries.reserveCapacity(count) }
}

func trimmed(_ text: some StringProtocol) -> String {
  var slice = text[...]
  while let first = slice.first, first == " " || first == "\t" { slice = slice.dropFirst() }
  while let last = slice.last, last == " " || last == "\t" { slice = slice.dropLast() }
  return String(slice)
}

/// ASCII case-insensitive equality without allocation.
@inlinable public func asciiCaseEqual(_ a: some StringProtocol, _ b: some StringProtocol) -> Bool {
  let x = a.utf8, y = b.utf8
  guard x.count == y.count else { return false }
  var i = x.startIndex, j = y.startIndex
  while i != x.endIndex {
    var p = x[i], q = y[j]
    if p >= 65 && p <= 90 { p |= 0x20 }
    if q >= 65 && q <= 90 { q |= 0x20 }
    if p != q { return false }
    x.formIndex(after: &i)
    y.formIndex(after: &j)
  }
  return true
}
