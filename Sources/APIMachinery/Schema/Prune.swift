/// Drops the fields that a type does not have, at every depth; fields that may hold anything are left alone.
public func pruned(_ value: JSONValue, by schema: Schema) -> JSONValue {
  guard case .object(var members) = value else { return value }
  for (name, member) in members {
    if let field = schema.field(name) {
      members[name] = pruned(member, field.type, field.target)
    } else if !schema.preservesUnknownFields {
      members[name] = nil
    }
  }
  return .object(members)
}

private func pruned(_ value: JSONValue, _ type: SchemaFieldType, _ target: Schema?) -> JSONValue {
  guard let target else { return value }
  switch (type, value) {
  case (.object, .object): return pruned(value, by: target)
  case (.list(let element), .array(let items)): return .array(items.map { pruned($0, element, target) })
  case (.map(let element), .object(let members)): return .object(members.mapValues { pruned($0, element, target) })
  default: return value
  }
}
