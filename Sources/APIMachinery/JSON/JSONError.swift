/// Why a document could not be read, in the words of Go's `encoding/json`, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What the reader found.
  public var message: String
  /// The byte at which it was found.
  public var offset: Int
  /// For a value of the wrong kind: what stood there ("string", "number 1.5") and what was wanted ("int32").
  public var mismatch: Mismatch?

  /// A well-formed value of a kind that the target cannot hold.
  public struct Mismatch: Hashable, Sendable {
    /// What stood there: "string", "number", "number 1.5", "object", "array", "bool".
    public var found: String
    /// Go's name of the type that was wanted.
    public var wanted: String
  }

  /// An error with Go's text at a byte offset.
  public init(message: String, offset: Int) {
    self.message = message
    self.offset = offset
  }

  /// A value of the wrong kind, with Go's text for it.
  public init(found: String, wanted: String, offset: Int) {
    self.init(message: "json: cannot unmarshal \(found) into Go value of type \(wanted)", offset: offset)
    mismatch = Mismatch(found: found, wanted: wanted)
  }

  public var description: String { message }
}
