/// A strategic merge patch: lists merge by the type's merge keys, and directives say what merging cannot.
///
/// `$patch: delete|replace` in an object or a list's item, `$retainKeys`, `$setElementOrder/x`,
/// `$deleteFromPrimitiveList/x`; null removes.
public func applyStrategicMergePatch(
  _ doc: JSONValue, _ patch: JSONValue, _ schema: Schema
) throws(PatchError) -> JSONValue {
  guard case .object(let changes) = patch else { throw PatchError("invalid JSON document", code: 400) }
  return .object(try StrategicMerge.merge(doc.objectValue ?? [:], changes, schema))
}

enum StrategicMerge {
  typealias Object = [String: JSONValue]

  static let marker = "$patch"
  static let retainKeys = "$retainKeys"
  static let order = "$setElementOrder/"
  static let deletion = "$deleteFromPrimitiveList/"

  /// What the type says of a field's merging.
  struct Meta {
    var strategy = ""
    var mergeKey = ""
    /// The type of the object, or of the list's items.
    var schema: Schema?

    init(_ schema: Schema?, _ name: String) {
      guard let field = schema?.field(name) else { return }
      // retainKeys concerns the object's members, not whether it is merged.
      strategy = field.patchStrategy.split(separator: ",").first { $0 != "retainKeys" }.map(String.init) ?? ""
      mergeKey = field.patchMergeKey
      if case .map = field.type { return }
      self.schema = field.target
    }
  }

  static func merge(_ original: Object, _ patch: Object, _ schema: Schema?) throws(PatchError) -> Object {
    var original = original
    var patch = patch
    if let directive = patch[marker] {
      switch directive.stringValue {
      case "replace":
        patch[marker] = nil
        return patch
      case "delete": return [:]
      default: throw unknownType(directive, patch)
      }
    }
    try retain(&original, &patch)
    try reorder(&original, &patch, schema)
    for (name, change) in patch {
      var name = name
      let deletes = name.hasPrefix(deletion)
      if deletes { name.removeFirst(deletion.count) }
      if change.isNull {
        original[name] = nil
        continue
      }
      switch (original[name], change) {
      case (.object(let old)?, .object(let new)):
        let meta = Meta(schema, name)
        original[name] = meta.strategy == "replace" ? change : .object(try merge(old, new, meta.schema))
      case (.array(let old)?, .array(let new)):
        let meta = Meta(schema, name)
        original[name] = .array(
          meta.strategy == "merge" ? try list(old, new, meta, deletes: deletes) : deletes ? old : new.map(cleaned))
      default: if !deletes { original[name] = cleaned(change) }
      }
    }
    return original
  }

  static func unknownType(_ directive: JSONValue, _ patch: Object) -> PatchError {
    let text = directive.stringValue ?? String(decoding: directive.encoded(), as: UTF8.self)
    return PatchError(
      "unknown patch type: \(text) in map: \(String(decoding: JSONValue.object(patch).encoded(), as: UTF8.self))",
      code: 500)
  }

  /// `$retainKeys`: members of the original that it does not list go.
  private static func retain(_ original: inout Object, _ patch: inout Object) throws(PatchError) {
    guard let directive = patch.removeValue(forKey: retainKeys) else { return }
    guard case .array(let names) = directive else {
      throw PatchError("invalid patch format of retainKeys", code: 400)
    }
    let kept = Set(names.compactMap(\.stringValue))
    for (name, change) in patch where !change.isNull && !name.hasPrefix(deletion) && !name.hasPrefix(order) {
      if !kept.contains(name) { throw PatchError("invalid patch format of retainKeys", code: 400) }
    }
    original = original.filter { kept.contains($0.key) }
  }

  /// A value that enters the document as it is: without directives and nulls.
  static func cleaned(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let members):
      var out: Object = [:]
      for (name, member) in members {
        if member.isNull || name == marker || name == retainKeys || name.hasPrefix(order) || name.hasPrefix(deletion) {
          continue
        }
        out[name] = cleaned(member)
      }
      return .object(out)
    case .array(let items):
      // An item that is only a directive has nothing to act on here.
      return .array(items.filter { $0[marker] == nil || $0[marker] == "merge" }.map(cleaned))
    default: return value
    }
  }
}
