import APIMachinery
import Glibc

/// How a field's value is written.
enum FieldForm: Sendable {
  case string, bool, int32, int64, double, bytes
  case time, microTime, duration, quantity, intOrString
  /// JSON bytes in a message of one field: FieldsV1, RawExtension, JSON.
  case raw
  case message
  /// A list of strings in a message of its own: ExtraValue, Verbs.
  case strings
  case schemaOrArray, schemaOrBool, schemaOrStrings

  /// The wire type.
  var wire: UInt32 {
    switch self {
    case .bool, .int32, .int64: 0
    case .double: 1
    default: 2
    }
  }
}

/// One value, many, or many by name.
enum FieldArity: Sendable { case one, list, map }

/// One field as both encodings show it.
final class FieldPlan: @unchecked Sendable {
  /// The JSON name.
  let name: [UInt8]
  /// `"name":`
  let label: [UInt8]
  let tag: UInt32
  let form: FieldForm
  let arity: FieldArity
  let ptr: Bool
  let always: Bool
  /// The message behind lists and maps. Set once by the builder, before anyone else can see the plan.
  @exclusivity(unchecked) fileprivate(set) var child: MessagePlan?
  /// The field with its zero value.
  @exclusivity(unchecked) fileprivate(set) var zero: [UInt8] = []

  init(_ field: SchemaField, _ form: FieldForm, _ arity: FieldArity) {
    name = Array(field.name.utf8)
    label = [0x22] + name + [0x22, 0x3A]
    tag = UInt32(field.protoNumber) << 3 | (arity == .map ? 2 : form.wire)
    self.form = form
    self.arity = arity
    ptr = field.ptr
    always = field.always
  }

  /// Whether Go writes the field even when nothing is set.
  var writesZero: Bool { arity == .one && !ptr && form != .bytes && form != .strings }
  var number: Int { Int(tag >> 3) }
}

/// A place in a message's order: a field, or an embedded message with places of its own.
struct LayoutNode: Sendable {
  /// The field's position, -1 for an embedded message.
  var field: Int
  var number: Int
  var nodes: [LayoutNode] = []
}

/// Finds fields by number.
struct NumberTable: Sendable {
  /// By number: 0 for nothing, n+1 for field n, -(n+1) for embedded message n.
  private var places: [Int16] = []
  private(set) var inner: [NumberTable] = []

  init(_ nodes: [LayoutNode]) {
    for node in nodes {
      while places.count <= node.number { places.append(0) }
      if node.field >= 0 {
        places[node.number] = Int16(node.field + 1)
      } else {
        inner.append(NumberTable(node.nodes))
        places[node.number] = Int16(-inner.count)
      }
    }
  }

  @inline(__always) subscript(number: Int) -> Int { number < places.count ? Int(places[number]) : 0 }
}

/// How a message lies on the wire and in JSON, ready to be walked.
final class MessagePlan: @unchecked Sendable {
  let name: String
  let isObjectMeta: Bool
  /// In JSON's order, those of embedded messages included.
  @exclusivity(unchecked) fileprivate(set) var fields: [FieldPlan] = []
  /// In the order of numbers, which is the order of Go's bytes.
  @exclusivity(unchecked) fileprivate(set) var layout: [LayoutNode] = []
  @exclusivity(unchecked) fileprivate(set) var numbers = NumberTable([])
  /// The message's bytes when nothing is set.
  @exclusivity(unchecked) fileprivate(set) var zero: [UInt8] = []
  /// An open hash table over the names; empty slots are -1.
  @exclusivity(unchecked) private var slots: [Int16] = []

  fileprivate init(_ name: String) {
    self.name = name
    isObjectMeta = name.hasSuffix("meta.v1.ObjectMeta")
  }

  fileprivate func index() {
    var size = 4
    while size < fields.count * 2 { size *= 2 }
    slots = [Int16](repeating: -1, count: size)
    for (position, field) in fields.enumerated() {
      var at = field.name.withUnsafeBufferPointer(Self.hash) & (size - 1)
      while slots[at] >= 0 { at = (at + 1) & (size - 1) }
      slots[at] = Int16(position)
    }
    numbers = NumberTable(layout)
  }

  /// The position of the field that a JSON key names.
  func position(of key: UnsafeBufferPointer<UInt8>) -> Int? {
    var at = Self.hash(key) & (slots.count - 1)
    while slots[at] >= 0 {
      let position = Int(slots[at])
      if Self.same(fields[position].name, key) { return position }
      at = (at + 1) & (slots.count - 1)
    }
    return nil
  }

  private static func same(_ name: [UInt8], _ key: UnsafeBufferPointer<UInt8>) -> Bool {
    guard name.count == key.count else { return false }
    return name.withUnsafeBufferPointer { name in
      guard let a = name.baseAddress, let b = key.baseAddress else { return true }
      return memcmp(a, b, key.count) == 0
    }
  }

  func position(of name: String) -> Int? { fields.firstIndex { $0.name.elementsEqual(name.utf8) } }

  private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var hash: UInt32 = 2_166_136_261
    for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return Int(hash ^ hash >> 15)
  }
}

/// Makes the plans of a type and of all types it reaches.
struct PlanBuilder {
  let type: (String) -> Schema?
  private(set) var plans: [String: MessagePlan]

  init(known plans: [String: MessagePlan], type: @escaping (String) -> Schema?) {
    self.plans = plans
    self.type = type
  }

  mutating func plan(_ schema: Schema) -> MessagePlan {
    if let known = plans[schema.name] { return known }
    let plan = MessagePlan(schema.name)
    plans[schema.name] = plan
    var positions: [String: Int] = [:]
    for field in schema.fields where field.protoNumber > 0 {
      guard let made = make(field, of: schema) else { continue }
      positions[field.name] = plan.fields.count
      plan.fields.append(made)
    }
    plan.layout = layout(schema, positions)
    plan.index()
    // What a field needs to say nothing: messages that are never absent do not contain themselves.
    for field in plan.fields { field.zero = zero(field) }
    plan.zero = bytes(plan.layout, plan)
    return plan
  }

  private mutating func make(_ field: SchemaField, of schema: Schema) -> FieldPlan? {
    var type = field.type
    var arity = FieldArity.one
    switch type {
    case .list(let element):
      arity = .list
      type = element
    case .map(let element):
      arity = .map
      type = element
    default: break
    }
    if case .list(let element) = type {
      guard arity == .map, element == .string else { return nil }
      return FieldPlan(field, .strings, .map)
    }
    if schema.name.hasSuffix("meta.v1.APIResource"), field.name == "verbs" { return FieldPlan(field, .strings, .one) }
    guard let form = form(type, field, schema) else { return nil }
    let made = FieldPlan(field, form, arity)
    switch form {
    case .message:
      guard let target = field.objectType else { return nil }
      made.child = plan(target)
    case .schemaOrArray, .schemaOrBool, .schemaOrStrings: made.child = plan(schema)
    default: break
    }
    return made
  }

  private func form(_ type: SchemaFieldType, _ field: SchemaField, _ schema: Schema) -> FieldForm? {
    switch type {
    case .string: .string
    case .boolean: .bool
    case .int32: .int32
    case .int64: .int64
    case .double: .double
    case .bytes: .bytes
    case .time: .time
    case .microTime: .microTime
    case .duration: .duration
    case .quantity: .quantity
    case .intOrString: .intOrString
    case .fieldsV1, .rawExtension: .raw
    case .object: .message
    case .any:
      // The three types of a JSON schema that are one thing or another.
      switch (schema.name.hasSuffix("v1.JSONSchemaProps"), field.name) {
      case (true, "items"): .schemaOrArray
      case (true, "additionalItems"), (true, "additionalProperties"): .schemaOrBool
      case (true, "dependencies"): .schemaOrStrings
      default: .raw
      }
    case .list, .map: nil
    }
  }

  private func layout(_ schema: Schema, _ positions: [String: Int]) -> [LayoutNode] {
    var nodes: [LayoutNode] = []
    let inner = InlineMessages.of(schema.name).flatMap { entry in type(entry.type).map { (entry.number, $0) } }
    if let (number, target) = inner {
      nodes.append(LayoutNode(field: -1, number: number, nodes: layout(target, positions)))
    }
    for field in schema.fields where field.protoNumber > 0 {
      // A number of the embedded message means nothing out here.
      if let (_, target) = inner, target.field(field.name) != nil { continue }
      if let position = positions[field.name] {
        nodes.append(LayoutNode(field: position, number: field.protoNumber))
      }
    }
    return nodes.sorted { $0.number < $1.number }
  }

  private func zero(_ field: FieldPlan) -> [UInt8] {
    var out: [UInt8] = []
    out.appendVarint(UInt64(field.tag))
    switch field.form {
    case .double: out += [UInt8](repeating: 0, count: 8)
    case .intOrString: out += [6, 0x08, 0, 0x10, 0, 0x1A, 0]
    case .quantity: out += [3, 0x0A, 1, 0x30]
    case .duration: out += [2, 0x08, 0]
    case .message:
      let content = field.child?.zero ?? []
      out.appendVarint(UInt64(content.count))
      out += content
    default: out.append(0)
    }
    return out
  }

  private func bytes(_ nodes: [LayoutNode], _ plan: MessagePlan) -> [UInt8] {
    nodes.reduce(into: []) { out, node in
      if node.field < 0 {
        out.appendField(node.number, bytes(node.nodes, plan))
      } else if plan.fields[node.field].writesZero {
        out += plan.fields[node.field].zero
      }
    }
  }
}
