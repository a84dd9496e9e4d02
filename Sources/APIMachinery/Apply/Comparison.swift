/// What differs between two versions of an object, path by path.
struct Comparison {
  var added = FieldSet()
  var removed = FieldSet()
  var modified = FieldSet()

  var isEmpty: Bool { added.isEmpty && removed.isEmpty && modified.isEmpty }

  /// Compares two objects of one kind.
  init(from old: JSONValue, to new: JSONValue, _ shape: Shape) {
    compare(old, new, shape)
  }

  init() {}

  /// Without what lies at or below some paths.
  func excluding(_ ignored: FieldSet) -> Comparison {
    if ignored.isEmpty { return self }
    var out = self
    out.added = added.subtractingRecursively(ignored)
    out.removed = removed.subtractingRecursively(ignored)
    out.modified = modified.subtractingRecursively(ignored)
    return out
  }

  private mutating func leaf(_ old: JSONValue?, _ new: JSONValue?) {
    switch (old, new) {
    case (nil, nil): break
    case (nil, _): added.isMember = true
    case (_, nil): removed.isMember = true
    case (let old?, let new?): if !old.equals(new) { modified.isMember = true }
    }
  }

  /// One value; at least one side is there. Null stands for an empty container of the other side's kind.
  mutating func compare(_ old: JSONValue?, _ new: JSONValue?, _ shape: Shape) {
    if let old, let new, old == new { return }
    if case .leaf = shape { return leaf(old, new) }
    let (a, b) = (old ?? .null, new ?? .null)
    switch (a, b) {
    case (.object(let a), .object(let b)):
      if a.isEmpty && b.isEmpty { return leaf(old, new) }
      members(a, b, shape)
    case (.object(let a), .null):
      if a.isEmpty { return leaf(old, new) }
      members(a, [:], shape)
    case (.null, .object(let b)):
      if b.isEmpty { return leaf(old, new) }
      members([:], b, shape)
    case (.array(let a), .array(let b)):
      if a.isEmpty && b.isEmpty { return leaf(old, new) }
      guard shape.isAssociative else { return leaf(old, new) }
      items(a, b, shape)
    case (.array(let a), .null):
      guard shape.isAssociative, !a.isEmpty else { return leaf(old, new) }
      items(a, [], shape)
    case (.null, .array(let b)):
      guard shape.isAssociative, !b.isEmpty else { return leaf(old, new) }
      items([], b, shape)
    default: return leaf(old, new)
    }
    // The container itself comes or goes with its contents.
    if old == nil { added.isMember = true }
    if new == nil { removed.isMember = true }
  }

  mutating func attach(_ step: String, _ child: Comparison) {
    added.attach(step, child.added)
    removed.attach(step, child.removed)
    modified.attach(step, child.modified)
  }

  private mutating func members(_ a: [String: JSONValue], _ b: [String: JSONValue], _ shape: Shape) {
    for (name, old) in a {
      let new = b[name]
      if let new, new == old { continue }
      var child = Comparison()
      child.compare(old, new, shape.member(name))
      if !child.isEmpty { attach("f:" + name, child) }
    }
    for (name, new) in b where a[name] == nil {
      var child = Comparison()
      child.compare(nil, new, shape.member(name))
      attach("f:" + name, child)
    }
  }

  private mutating func items(_ a: [JSONValue], _ b: [JSONValue], _ shape: Shape) {
    let old = ItemIndex(a, shape)
    let new = ItemIndex(b, shape)
    let below = shape.item
    for (step, i) in old.first {
      var child = Comparison()
      if let j = new.first[step] {
        if old.isDuplicate(step) || new.isDuplicate(step) {
          // Items that share a key are owned as one.
          child.modified.isMember = old.all(step, of: a) != new.all(step, of: b)
        } else {
          child.compare(a[i], b[j], below)
        }
      } else {
        child.compare(a[i], nil, below)
        child.removed.isMember = true
      }
      if !child.isEmpty { attach(step, child) }
    }
    for (step, j) in new.first where old.first[step] == nil {
      var child = Comparison()
      child.compare(nil, b[j], below)
      child.added.isMember = true
      attach(step, child)
    }
  }
}

extension Shape {
  var isAssociative: Bool {
    switch self {
    case .list, .set: true
    default: false
    }
  }

  /// The shape of a list's items.
  var item: Shape {
    if case .list(_, let schema) = self { .structure(schema) } else { .leaf }
  }

  /// How a field set names an item.
  func step(of item: JSONValue) -> String? {
    if case .list(let keys, let schema) = self { return schema.pathElement(of: item, keys: keys) }
    return pathElement(ofSetItem: item)
  }
}

/// Where each item of an associative list stands.
struct ItemIndex {
  /// Each item's step; "" for one without any key.
  let steps: [String]
  let first: [String: Int]
  private let duplicates: Set<String>

  init(_ items: [JSONValue], _ shape: Shape) {
    steps = items.map { shape.step(of: $0) ?? "" }
    var first: [String: Int] = [:]
    var duplicates: Set<String> = []
    for (i, step) in steps.enumerated() where !step.isEmpty {
      if first[step] == nil { first[step] = i } else { duplicates.insert(step) }
    }
    self.first = first
    self.duplicates = duplicates
  }

  func isDuplicate(_ step: String) -> Bool { duplicates.contains(step) }
  var firstDuplicate: String? { steps.first { duplicates.contains($0) } }

  func all(_ step: String, of items: [JSONValue]) -> [JSONValue] {
    items.indices.filter { steps[$0] == step }.map { items[$0] }
  }
}

extension FieldSet {
  /// The paths that an applied configuration claims.
  init(of config: JSONValue, _ shape: Shape) {
    self.init()
    switch (shape, config) {
    case (.leaf, _): isMember = true
    case (_, .object(let members)):
      for (name, value) in members {
        let below = shape.member(name)
        var child = FieldSet(of: value, below)
        // Empty values are claimed as such, and so is every entry of a map.
        if value.isNull || value == .object([:]) || !shape.declares(name) { child.isMember = true }
        attach("f:" + name, child)
      }
    case (.list, .array(let items)), (.set, .array(let items)):
      for item in items {
        guard let step = shape.step(of: item) else { continue }
        var child = FieldSet(of: item, shape.item)
        child.isMember = true
        attach(step, child)
      }
    case (_, .null): break
    default: isMember = true
    }
  }
}

extension Shape {
  /// Whether a member is a field of a struct, not an entry of a map.
  func declares(_ name: String) -> Bool {
    if case .structure(let schema) = self { schema.field(name) != nil } else { false }
  }
}
