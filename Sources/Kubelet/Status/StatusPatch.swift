import API

/// Makes the smallest patch that turns one pod status into another. Pure.
enum StatusPatch {
  /// A strategic merge patch of the status subresource; nil when there is nothing to say.
  static func make(from old: PodStatus, to new: PodStatus, uid: String) -> [UInt8]? {
    guard let before = (try? JSONValue(parsing: old.encoded()))?.objectValue,
      let after = (try? JSONValue(parsing: new.encoded()))?.objectValue
    else { return nil }
    var changes: [String: JSONValue] = [:]
    for key in Set(before.keys).union(after.keys) {
      if before[key] == after[key] { continue }
      switch key {
      case "conditions":
        let list = conditions(before[key]?.arrayValue ?? [], after[key]?.arrayValue ?? [])
        if !list.isEmpty { changes[key] = .array(list) }
      case "podIPs", "hostIPs":
        // These merge by address; a changed address replaces the old one rather than joining it.
        let items = after[key]?.arrayValue ?? []
        changes[key] = .array([.object(["$patch": .string("replace")])] + items)
      default: changes[key] = after[key] ?? .null
      }
    }
    if changes.isEmpty { return nil }
    return JSONValue.object([
      "metadata": .object(["uid": .string(uid)]), "status": .object(changes),
    ]).encoded()
  }

  private static func conditions(_ before: [JSONValue], _ after: [JSONValue]) -> [JSONValue] {
    after.compactMap { condition in
      guard let type = condition["type"]?.stringValue, PodConditions.owned.contains(type) else { return nil }
      if before.contains(condition) { return nil }
      guard var fields = condition.objectValue else { return nil }
      // What fell away must be said, because elements merge.
      for name in ["reason", "message"] where fields[name] == nil { fields[name] = .null }
      return .object(fields)
    }
  }

  /// Whether two statuses say the same.
  static func isSame(_ a: PodStatus, _ b: PodStatus) -> Bool { a.encoded() == b.encoded() }
}
