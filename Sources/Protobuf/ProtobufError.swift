/// Bytes that are not the message they should be, in gogo's words.
public struct ProtobufError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public var description: String
  /// The kind that the envelope named, if reading got that far.
  public var kind: String = ""
  /// The apiVersion that the envelope named.
  public var apiVersion: String = ""

  /// An error with that text.
  public init(_ description: String) { self.description = description }

  static var endOfInput: ProtobufError { ProtobufError("unexpected EOF") }
  static var overflow: ProtobufError { ProtobufError("proto: integer overflow") }
}
