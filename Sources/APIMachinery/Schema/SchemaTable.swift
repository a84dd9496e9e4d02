/// All types that an API server knows, by name and by kind.
public struct SchemaTable: Sendable {
  private final class Content: Sendable {
    let types: [String: Schema]
    let kinds: [GroupVersionKind: Schema]
    init(_ list: [Schema]) {
      var types: [String: Schema] = [:]
      var kinds: [GroupVersionKind: Schema] = [:]
      types.reserveCapacity(list.count)
      for type in list {
        types[type.name] = type
        for gvk in type.gvks { kinds[gvk] = type }
      }
      for type in list {
        for field in type.fields where field.target == nil {
          if let name = field.type.objectName { field.target = types[name] }
          field.shape = Shape(field)
        }
      }
      self.types = types
      self.kinds = kinds
    }
  }

  private let content: Content

  /// A table of these types.
  public init(types: [Schema]) { content = Content(types) }

  /// The type of that name.
  public func type(named name: String) -> Schema? { content.types[name] }

  /// The type of a kind.
  public func schema(for gvk: GroupVersionKind) -> Schema? { content.kinds[gvk] }

  /// Every type.
  public var types: some Collection<Schema> { content.types.values }
}

extension SchemaFieldType {
  /// The object type behind lists and maps.
  var objectName: String? {
    switch self {
    case .object(let name): name
    case .list(let element), .map(let element): element.objectName
    default: nil
    }
  }
}
