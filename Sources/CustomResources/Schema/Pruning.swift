public import APIMachinery

extension StructuralSchema {
  /// Drops what the schema does not know. `isRoot`: type and metadata of an object always stay.
  public func prune(_ value: inout JSONValue, isRoot: Bool = true) {
    switch value {
    case .object(var members):
      value = .null  // Lets the members be changed in place.
      prune(&members, isRoot: isRoot || isEmbeddedResource)
      value = .object(members)
    case .array(var elements):
      guard let items else { return }
      value = .null
      for at in elements.indices { items.prune(&elements[at], isRoot: false) }
      value = .array(elements)
    default: break
    }
  }

  private func prune(_ members: inout [String: JSONValue], isRoot: Bool) {
    let keepsAll = preservesUnknownFields || allowsAnyProperties
    for name in Array(members.keys) {
      if isRoot, name == "apiVersion" || name == "kind" || name == "metadata" { continue }
      if let schema = member(name) {
        schema.prune(&members[name, default: .null], isRoot: false)
      } else if !keepsAll {
        members[name] = nil
      }
    }
  }

  /// Fills in what is left out and has a default. A null where none may stand counts as left out.
  public func applyDefaults(_ value: inout JSONValue) {
    guard hasDefaults else { return }
    switch value {
    case .object(var members):
      value = .null
      for (name, schema) in properties {
        if let standard = schema.defaultValue {
          if members[name] == nil || (members[name] == .null && !schema.isNullable) { members[name] = standard }
        }
        if schema.hasDefaults, members[name] != nil { schema.applyDefaults(&members[name, default: .null]) }
      }
      if let additionalProperties, additionalProperties.defaultValue != nil || additionalProperties.hasDefaults {
        for name in Array(members.keys) where properties[name] == nil {
          if members[name] == .null, !additionalProperties.isNullable, let standard = additionalProperties.defaultValue
          {
            members[name] = standard
          }
          additionalProperties.applyDefaults(&members[name, default: .null])
        }
      }
      value = .object(members)
    case .array(var elements):
      guard let items else { return }
      value = .null
      for at in elements.indices {
        if elements[at] == .null, !items.isNullable, let standard = items.defaultValue { elements[at] = standard }
        items.applyDefaults(&elements[at])
      }
      value = .array(elements)
    default: break
    }
  }
}
