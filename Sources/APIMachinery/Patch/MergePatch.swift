/// RFC 7386: null removes, objects merge, everything else replaces.
public func applyMergePatch(_ doc: JSONValue, _ patch: JSONValue) -> JSONValue {
  guard case .object(let changes) = patch else { return patch }
  var members = doc.objectValue ?? [:]
  for (name, change) in changes {
    if change.isNull {
      members[name] = nil
    } else {
      members[name] = applyMergePatch(members[name] ?? .null, change)
    }
  }
  return .object(members)
}
