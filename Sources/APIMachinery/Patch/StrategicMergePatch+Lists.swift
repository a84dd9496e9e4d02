extension StrategicMerge {
  /// Merges two lists of objects by key, or two lists of scalars as sets; `deletes` takes scalars away.
  static func list(
    _ original: [JSONValue], _ patch: [JSONValue], _ meta: Meta, deletes: Bool
  ) throws(PatchError) -> [JSONValue] {
    if original.isEmpty && patch.isEmpty { return original }
    guard let sample = original.first ?? patch.first else { return [] }
    for item in original + patch {
      switch (item, sample) {
      case (.array, _): throw PatchError("lists of lists are not supported")
      case (.object, .object): break
      case (.object, _), (_, .object):
        throw PatchError("list element types are not identical", code: 500)
      default: break
      }
    }
    guard case .object = sample else {
      if deletes { return original.filter { !patch.contains($0) } }
      var seen: Set<JSONValue> = []
      let merged = (original + patch).filter { seen.insert($0).inserted }
      return ordered(merged, by: patch, original: original, key: "")
    }
    if meta.mergeKey.isEmpty {
      throw PatchError("cannot merge lists without merge key for \(meta.schema?.goName ?? "")", code: 500)
    }
    let (base, changes) = try directives(original, patch, meta.mergeKey)
    var merged = base
    for change in changes {
      guard let value = change[meta.mergeKey] else { throw noKey(change, meta.mergeKey) }
      if let at = merged.firstIndex(where: { $0[meta.mergeKey] == value }) {
        merged[at] = .object(try merge(merged[at].objectValue ?? [:], change.objectValue ?? [:], meta.schema))
      } else {
        merged.append(cleaned(change))
      }
    }
    return ordered(merged, by: changes, original: base, key: meta.mergeKey)
  }

  private static func noKey(_ item: JSONValue, _ key: String) -> PatchError {
    PatchError(
      "map: \(String(decoding: item.encoded(), as: UTF8.self)) does not contain declared merge key: \(key)", code: 500)
  }

  /// Obeys `$patch` in a list's items: deletes what it names; "replace" drops the whole original.
  private static func directives(
    _ original: [JSONValue], _ patch: [JSONValue], _ key: String
  ) throws(PatchError) -> ([JSONValue], [JSONValue]) {
    var original = original
    var changes: [JSONValue] = []
    var replaces = false
    for item in patch {
      guard let directive = item[marker] else {
        changes.append(item)
        continue
      }
      switch directive.stringValue {
      case "delete":
        guard let value = item[key] else { throw noKey(item, key) }
        original.removeAll { $0[key] == value }
      case "replace": replaces = true
      case "merge": throw PatchError("merging lists cannot yet be specified in the patch", code: 500)
      default: throw unknownType(directive, item.objectValue ?? [:])
      }
    }
    return replaces ? (changes.map(cleaned), []) : (original, changes)
  }

  /// `$setElementOrder/x`: merges list x and puts it in that order; items that only the server has keep their place
  /// among the others as well as they can.
  static func reorder(_ original: inout Object, _ patch: inout Object, _ schema: Schema?) throws(PatchError) {
    for name in patch.keys where name.hasPrefix(order) {
      guard case .array(let wanted)? = patch.removeValue(forKey: name) else {
        throw PatchError("invalid patch format of setElementOrder list", code: 400)
      }
      let field = String(name.dropFirst(order.count))
      let meta = Meta(schema, field)
      let old = original[field]?.arrayValue
      let changes = patch[field]?.arrayValue
      if let changes { try check(changes, against: wanted, meta.mergeKey) }
      let merged: [JSONValue]
      switch (old, changes) {
      case (let old?, nil):
        if patch[field] != nil { continue }  // the list itself goes, or becomes something else
        merged = old
      case (nil, let changes?): merged = cleaned(.array(changes)).arrayValue ?? []
      case (let old?, let changes?):
        merged = meta.strategy == "merge" ? try list(old, changes, meta, deletes: false) : changes.map(cleaned)
      case (nil, nil): continue
      }
      // What a parallel deletion list takes away must not come back by order.
      var remaining = merged
      if case .array(let gone)? = patch[deletion + field] {
        remaining.removeAll { gone.contains($0) }
        patch[deletion + field] = nil
      }
      original[field] = .array(ordered(remaining, by: wanted, original: old ?? [], key: meta.mergeKey))
      patch[field] = nil
    }
  }

  /// The patch's items must stand in the order that it asks for.
  private static func check(_ changes: [JSONValue], against wanted: [JSONValue], _ key: String) throws(PatchError) {
    var at = 0
    for change in changes where change[marker]?.stringValue != "delete" && change[marker]?.stringValue != "replace" {
      guard let found = wanted[at...].firstIndex(where: { same($0, change, key) }) else {
        throw PatchError(
          "The order in patch list:\n\(shown(changes))\n doesn't match $setElementOrder list:\n\(shown(wanted))\n",
          code: 500)
      }
      at = found + 1
    }
  }

  private static func shown(_ items: [JSONValue]) -> String {
    String(decoding: JSONValue.array(items).encoded(), as: UTF8.self)
  }

  private static func same(_ a: JSONValue, _ b: JSONValue, _ key: String) -> Bool {
    key.isEmpty ? a == b : a[key] == b[key]
  }

  /// The items that `wanted` names in its order, the others where the original's order puts them.
  static func ordered(_ merged: [JSONValue], by wanted: [JSONValue], original: [JSONValue], key: String) -> [JSONValue]
  {
    func id(_ item: JSONValue) -> JSONValue { key.isEmpty ? item : item[key] ?? .null }
    var rank: [JSONValue: Int] = [:]
    for (i, item) in wanted.enumerated() where rank[id(item)] == nil { rank[id(item)] = i }
    var place: [JSONValue: Int] = [:]
    for (i, item) in original.enumerated() where place[id(item)] == nil { place[id(item)] = i }
    func sorted(_ items: [JSONValue], by order: [JSONValue: Int]) -> [JSONValue] {
      items.enumerated().sorted {
        let (a, b) = (order[id($0.element)] ?? .max, order[id($1.element)] ?? .max)
        return a == b ? $0.offset < $1.offset : a < b
      }.map(\.element)
    }
    let named = sorted(merged.filter { rank[id($0)] != nil }, by: rank)
    let others = sorted(merged.filter { rank[id($0)] == nil }, by: place)
    var out: [JSONValue] = []
    var (i, j) = (0, 0)
    while i < others.count && j < named.count {
      if let a = place[id(others[i])], let b = place[id(named[j])], a < b {
        out.append(others[i])
        i += 1
      } else {
        out.append(named[j])
        j += 1
      }
    }
    return out + others[i...] + named[j...]
  }
}
