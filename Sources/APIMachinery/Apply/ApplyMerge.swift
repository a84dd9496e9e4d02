/// Puts a configuration over an object as an apply does, without owning anything: what the configuration says wins, the
/// rest stays. Throws for a configuration that would replace an atomic list, map or struct as a whole.
public func mergedAsApplied(
  _ live: JSONValue, _ config: JSONValue, schema: Schema
) throws(AtomicChange) -> JSONValue {
  try refuseAtoms(config, .structure(schema), "")
  return mergedForApply(live, config, .structure(schema))
}

/// A configuration names something that can only be taken as a whole.
public struct AtomicChange: Error, Sendable, Hashable, CustomStringConvertible {
  /// The path to it, such as `.spec.tolerations`.
  public let path: String
  public var description: String { "may not mutate atomic arrays, maps or structs: \(path)" }
}

private func refuseAtoms(_ value: JSONValue, _ shape: Shape, _ path: String) throws(AtomicChange) {
  switch (shape, value) {
  case (.leaf, .object), (.leaf, .array): throw AtomicChange(path: path)
  case (.list(_, let item), .array(let items)):
    for (index, value) in items.enumerated() { try refuseAtoms(value, .structure(item), "\(path)[\(index)]") }
  case (.leaf, _), (_, .array): break
  case (_, .object(let members)):
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      try refuseAtoms(value, shape.member(name), "\(path).\(name)")
    }
  default: break
  }
}

/// Puts an applied configuration over the live object: what the configuration says wins, the rest stays.
func mergedForApply(_ live: JSONValue?, _ config: JSONValue, _ shape: Shape) -> JSONValue {
  guard let live else { return config }
  switch (shape, live, config) {
  case (.leaf, _, _): return config
  case (_, .object(let old), .object(let new)):
    var out = old
    for (name, value) in new { out[name] = mergedForApply(old[name], value, shape.member(name)) }
    return .object(out)
  case (.list, .array(let old), .array(let new)), (.set, .array(let old), .array(let new)):
    return .array(mergedItems(old, new, shape))
  case (_, .object(let old), .null) where !old.isEmpty: return live
  case (.list, .array(let old), .null) where !old.isEmpty: return live
  case (.set, .array(let old), .null) where !old.isEmpty: return live
  default: return config
  }
}

/// The configuration's order is kept; items that only the live list has stay where they were relative to the others.
private func mergedItems(_ old: [JSONValue], _ new: [JSONValue], _ shape: Shape) -> [JSONValue] {
  let a = ItemIndex(old, shape)
  let b = ItemIndex(new, shape)
  let shared = b.steps.filter { a.first[$0] != nil }
  var nextShared = 0
  var done: Set<String> = []
  var out: [JSONValue] = []
  var (i, j) = (0, 0)

  func take(_ step: String) {
    done.insert(step)
    let value = new[j]
    if let at = a.first[step], !a.isDuplicate(step) {
      out.append(mergedForApply(old[at], value, shape.item))
    } else {
      out.append(value)
    }
    j += 1
  }

  while i < old.count || j < new.count {
    if i < old.count && j < new.count {
      if a.steps[i] == b.steps[j], !a.steps[i].isEmpty {
        take(b.steps[j])
        i += 1
        nextShared += 1
        continue
      }
      if b.first[a.steps[i]] != nil, nextShared < shared.count, shared[nextShared] != a.steps[i] {
        i += 1  // shared, but its turn comes with another of the configuration's items
        continue
      }
    }
    if i < old.count {
      if b.first[a.steps[i]] == nil {
        out.append(old[i])
        i += 1
        continue
      }
      if done.contains(a.steps[i]) { i += 1 }
    }
    if j < new.count {
      let step = b.steps[j]
      take(step)
      if nextShared < shared.count, shared[nextShared] == step { nextShared += 1 }
    }
  }
  return out
}

/// Takes the values at these paths out of an object.
func removing(_ set: FieldSet, from value: JSONValue, _ shape: Shape) -> JSONValue? {
  if set.children.isEmpty { return value }
  switch (shape, value) {
  case (.leaf, _): return value
  case (_, .object(var members)):
    for (step, subset) in set.children where step.utf8.first == UInt8(ascii: "f") {
      let name = String(step.dropFirst(2))
      guard let member = members[name] else { continue }
      members[name] = subset.isMember ? nil : removing(subset, from: member, shape.member(name))
    }
    return members.isEmpty ? nil : .object(members)
  case (.list, .array(let items)), (.set, .array(let items)):
    let index = ItemIndex(items, shape)
    var out: [JSONValue] = []
    for (i, item) in items.enumerated() {
      guard let subset = set.children[index.steps[i]] else {
        out.append(item)
        continue
      }
      if subset.isMember { continue }
      if let rest = removing(subset, from: item, shape.item) { out.append(rest) }
    }
    return out.isEmpty ? nil : .array(out)
  default: return value
  }
}
