/// Where an object is found within its kind.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Empty for objects outside namespaces.
  public var namespace: String
  /// The object's name.
  public var name: String

  /// A key from its parts.
  public init(namespace: String = "", name: String) {
    self.namespace = namespace
    self.name = name
  }

  /// Reads `namespace/name` or `name`.
  public init(_ text: String) {
    if let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")) {
      self.init(namespace: String(text[..<slash]), name: String(text[text.utf8.index(after: slash)...]))
    } else {
      self.init(name: text)
    }
  }

  /// `namespace/name`, or the name alone.
  public var description: String { namespace.isEmpty ? name : namespace + "/" + name }

  /// By namespace, then name.
  public static func < (a: Self, b: Self) -> Bool {
    a.namespace == b.namespace ? a.name < b.name : a.namespace < b.namespace
  }
}
