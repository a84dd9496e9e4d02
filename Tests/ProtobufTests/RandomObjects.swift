import APIMachinery
import APISchema

/// Repeatable randomness.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// Objects that a schema allows.
struct RandomObjects {
  var random: Seeded
  private static let texts = ["a", "name-1", "ü–€ 😀", "line\nend\t\"quoted\" \\ back", "<html>&", ""]

  init(seed: UInt64) { random = Seeded(seed) }

  mutating func object(_ schema: Schema, depth: Int = 0) -> JSONValue {
    var fields: [String: JSONValue] = [:]
    for field in schema.fields where field.protoNumber > 0 {
      let wanted = depth < 3 ? Int.random(in: 0..<4, using: &random) > 0 : Int.random(in: 0..<4, using: &random) == 0
      guard wanted else { continue }
      fields[field.name] = value(field.type, field, schema, depth)
    }
    return .object(fields)
  }

  private mutating func value(_ type: SchemaFieldType, _ field: SchemaField, _ schema: Schema, _ depth: Int)
    -> JSONValue?
  {
    switch type {
    case .string:
      if let value = field.enumValues.randomElement(using: &random) { return .string(value) }
      return .string(Self.texts.randomElement(using: &random) ?? "")
    case .boolean: return .bool(Bool.random(using: &random))
    case .int32: return .int(Int64(Int32.random(in: .min ... .max, using: &random)))
    case .int64: return .int(Int64.random(in: .min ... .max, using: &random))
    case .double: return .double(Double(Int32.random(in: .min ... .max, using: &random)) / 8 + 0.5)
    case .bytes:
      let count = Int.random(in: 1...200, using: &random)
      return .string(Base64Bytes((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }).base64)
    case .time: return .string(Time(seconds: seconds()).description)
    case .microTime:
      let nanos = Int32.random(in: 0..<1_000_000, using: &random) * 1000
      return .string(MicroTime(seconds: seconds(), nanoseconds: nanos).description)
    case .duration: return .string(GoDuration(nanoseconds: Int64.random(in: 1...1 << 50, using: &random)).description)
    case .quantity: return .string(["0", "100m", "1Gi", "1500", "2e3"].randomElement(using: &random) ?? "0")
    case .intOrString:
      return Bool.random(using: &random) ? .int(Int64(Int32.random(in: .min ... .max, using: &random))) : .string("50%")
    case .fieldsV1: return .object(["f:metadata": .object(["f:labels": .object([".": .object([:])])])])
    case .rawExtension: return .object(["kind": .string("X"), "n": .array([.int(1), .null, .string("\u{2028}")])])
    case .any:
      switch field.name {
      case "items": return Bool.random(using: &random) ? .object([:]) : .array([.object(["type": .string("t")])])
      case "additionalItems", "additionalProperties":
        return Bool.random(using: &random) ? .bool(true) : .object(["type": .string("t")])
      case "dependencies": return Bool.random(using: &random) ? .array([.string("t")]) : .object([:])
      default: return .object(["a": .double(1.5)])
      }
    case .object:
      guard depth < 8, let target = field.objectType else { return nil }
      return object(target, depth: depth + 1)
    case .list(let element):
      let items = (0..<Int.random(in: 1...3, using: &random)).compactMap { _ in
        value(element, field, schema, depth + 1)
      }
      return .array(items)
    case .map(let element):
      var entries: [String: JSONValue] = [:]
      for key in ["k", "a/b", "ü", String(repeating: "long", count: 40)].shuffled(using: &random).prefix(3) {
        if let item = value(element, field, schema, depth + 1) { entries[key] = item }
      }
      return .object(entries)
    }
  }

  private mutating func seconds() -> Int64 { Int64.random(in: -62_135_596_799...253_402_300_799, using: &random) }
}

/// A tree without what no protobuf message can tell from nothing.
func normalized(_ value: JSONValue, _ schema: Schema) -> JSONValue {
  guard case .object(let fields) = value else { return value }
  var result: [String: JSONValue] = [:]
  for (name, value) in fields {
    guard let field = schema.field(name) else {
      result[name] = value
      continue
    }
    var kept = value
    if let target = field.objectType {
      switch (field.type, value) {
      case (.list, .array(let items)): kept = .array(items.map { normalized($0, target) })
      case (.map, .object(let entries)): kept = .object(entries.mapValues { normalized($0, target) })
      default: kept = normalized(value, target)
      }
    }
    switch field.type {
    case .list, .map: if isNothing(kept) { continue }
    case .quantity: if !field.ptr, kept == .string("0") { continue }
    case .duration: if !field.ptr, kept == .string("0s") { continue }
    default: if !field.ptr, isNothing(kept) { continue }
    }
    result[name] = kept
  }
  return .object(result)
}

private func isNothing(_ value: JSONValue) -> Bool {
  switch value {
  case .null, .bool(false), .int(0), .string(""), .array([]), .object([:]): true
  case .double(let number): number == 0
  default: false
  }
}
