public import APIMachinery
public import APIMeta

/// The kinds that have a type of their own.
public enum Kinds {
  private static let byName: [GroupVersionKind: any APIObject.Type] = {
    var types: [GroupVersionKind: any APIObject.Type] = [:]
    for type in all { types[type.gvk] = type }
    return types
  }()

  /// The type of a kind; nil if it has none.
  public static func type(for kind: GroupVersionKind) -> (any APIObject.Type)? { byName[kind] }
}
