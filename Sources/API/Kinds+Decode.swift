public import APIMachinery
public import APIMeta

extension Kinds {
  /// Decodes an object of a kind; nil if the kind has no type.
  public static func decode(_ bytes: [UInt8], as kind: GroupVersionKind) throws -> (any APIObject)? {
    guard let type = type(for: kind) else { return nil }
    return try type.decode(bytes)
  }

  /// The type behind a resource, by group and plural.
  public static func type(group: String, resource: String) -> (any APIObject.Type)? {
    byResource[GroupResource(group: group, resource: resource)]
  }

  private static let byResource: [GroupResource: any APIObject.Type] = {
    var types: [GroupResource: any APIObject.Type] = [:]
    for type in all { types[type.groupResource] = type }
    return types
  }()
}
