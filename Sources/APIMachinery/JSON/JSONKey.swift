public import Glibc

/// An object's member name as it stands in the document: no string is made unless asked for.
///
/// Valid only while the reader that returned it is.
public struct JSONKey {
  @usableFromInline let base: UnsafePointer<UInt8>
  /// The name's length in UTF-8 bytes.
  public let count: Int

  @inlinable init(base: UnsafePointer<UInt8>, count: Int) {
    self.base = base
    self.count = count
  }

  /// Whether this is the name `s`.
  @inlinable public func equals(_ s: StaticString) -> Bool {
    count == s.utf8CodeUnitCount && memcmp(base, s.utf8Start, count) == 0
  }

  /// The name as a string.
  public var string: String {
    String(decoding: UnsafeBufferPointer(start: base, count: count), as: UTF8.self)
  }

  /// The name's UTF-8 bytes.
  public var utf8: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: base, count: count) }

  /// Lets generated decoders write `switch key { case "spec": … }`.
  @inlinable public static func ~= (pattern: StaticString, key: JSONKey) -> Bool { key.equals(pattern) }
}
