/// How apply and field tracking see a value: what they take as one, and what they look into.
indirect enum Shape: Sendable {
  /// A scalar, or anything atomic.
  case leaf
  /// Without a schema: objects are looked into, lists are atomic.
  case deduced
  case structure(Schema)
  /// A map whose entries are owned one by one.
  case map(Shape)
  /// A list whose items are known by key fields.
  case list(keys: [String], Schema)
  /// A list of distinct scalars.
  case set

  init(_ field: SchemaField) {
    switch field.type {
    case .object:
      guard let target = field.target else {
        self = .deduced
        return
      }
      // The field's own mark overrides the type's.
      let mark = field.mapType.isEmpty ? target.mapType : field.mapType
      self = mark == "atomic" ? .leaf : .structure(target)
    case .map(let element): self = field.mapType == "atomic" ? .leaf : .map(Shape(element: element, of: field))
    case .list(let element):
      switch field.listType {
      case "set": self = .set
      case "map":
        if case .object = element, let target = field.target {
          self = .list(keys: field.listMapKeys.sortedByBytes(), target)
        } else {
          self = .leaf
        }
      default: self = .leaf
      }
    default: self = .leaf
    }
  }

  private init(element: SchemaFieldType, of field: SchemaField) {
    switch element {
    case .object:
      guard let target = field.target else {
        self = .deduced
        return
      }
      self = target.mapType == "atomic" ? .leaf : .structure(target)
    case .map(let inner): self = .map(Shape(element: inner, of: field))
    default: self = .leaf
    }
  }

  /// The shape of a member. Members that the schema does not know are taken as they come.
  func member(_ name: String) -> Shape {
    switch self {
    case .structure(let schema): schema.field(name)?.shape ?? .deduced
    case .map(let element): element
    default: .deduced
    }
  }

  var isStructure: Bool { if case .structure = self { true } else { false } }
}

extension Schema {
  /// The key's value for an item that leaves it out.
  func defaultValue(ofKey name: String) -> JSONValue? {
    guard let text = field(name)?.defaultJSON else { return nil }
    return try? JSONValue(parsing: Array(text.utf8))
  }

  /// `k:{"containerPort":80,"protocol":"TCP"}`: how field sets name an item of a list; nil if it has no key at all.
  func pathElement(of item: JSONValue, keys: [String]) -> String? {
    var writer = JSONWriter(capacity: 48)
    writer.beginObject()
    var any = false
    for key in keys {
      var value = item[key]
      if value == nil { value = defaultValue(ofKey: key) }
      guard let value else { continue }
      any = true
      writer.key(key)
      writer.value(value)
    }
    writer.endObject()
    return any ? "k:" + String(decoding: writer.bytes, as: UTF8.self) : nil
  }
}

/// `v:"x"`: how field sets name an item of a set.
func pathElement(ofSetItem item: JSONValue) -> String {
  "v:" + String(decoding: item.encoded(), as: UTF8.self)
}
