/// Where a field is, as upstream prints it: "spec.containers[0].name", "metadata.labels[k]".
public struct FieldPath: Sendable, Hashable, CustomStringConvertible {
  public private(set) var description: String

  /// A path from the root; empty for the root itself.
  public init(_ name: String = "") { description = name }

  /// A field of this.
  public func child(_ name: String) -> FieldPath {
    FieldPath(description.isEmpty ? name : description + "." + name)
  }

  /// A field some levels below.
  public func child(_ names: String...) -> FieldPath { names.reduce(self) { $0.child($1) } }

  /// An element of a list.
  public func index(_ i: Int) -> FieldPath { FieldPath("\(description)[\(i)]") }

  /// An entry of a map.
  public func key(_ k: String) -> FieldPath { FieldPath("\(description)[\(k)]") }
}
