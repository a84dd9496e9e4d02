/// Go's text for a value of the wrong kind: it names the innermost struct, the path and Go's type.
///
/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`
public func goDecodeMessage(_ error: JSONError, in bytes: [UInt8], schema: Schema) -> String {
  guard let mismatch = error.mismatch else { return error.message }
  var finder = MismatchFinder(offset: error.offset)
  try? JSONReader.withReader(bytes) { reader in try finder.object(&reader, schema) }
  guard let place = finder.place else { return error.message }
  return "json: cannot unmarshal \(mismatch.found) into Go struct field \(place.structName)."
    + place.path.joined(separator: ".") + " of type \(place.goType ?? mismatch.wanted)"
}

private struct MismatchFinder {
  struct Place {
    var structName: String
    var path: [String]
    var goType: String?
  }

  let offset: Int
  var place: Place?
  private var path: [String] = []
  private var structName = ""

  init(offset: Int) { self.offset = offset }

  mutating func object(_ reader: inout JSONReader, _ schema: Schema) throws {
    guard place == nil, try reader.peek() == .object else {
      try reader.skipValue()
      return
    }
    let outer = structName
    structName = schema.goName
    try reader.beginObject()
    while place == nil, let key = try reader.nextKey() {
      guard let field = schema.field(key.string) else {
        try reader.skipValue()
        continue
      }
      path.append(field.name)
      try value(&reader, field.type, field.target)
      path.removeLast()
    }
    structName = outer
  }

  private mutating func value(_ reader: inout JSONReader, _ type: SchemaFieldType, _ target: Schema?) throws {
    let kind = try reader.peek()
    reader.skipSpace()
    if reader.offset == offset {
      place = Place(structName: structName, path: path, goType: type.goName(target))
      return
    }
    switch type {
    case .object where target != nil: try object(&reader, target.unsafelyUnwrapped)
    case .list(let element) where kind == .array:
      try reader.beginArray()
      while place == nil, try reader.nextElement() { try value(&reader, element, target) }
    case .map(let element) where kind == .object:
      try reader.beginObject()
      while place == nil, try reader.nextKey() != nil { try value(&reader, element, target) }
    default: try reader.skipValue()
    }
  }
}

extension Schema {
  /// "PodSpec".
  var goName: String { name.split(separator: ".").last.map(String.init) ?? name }

  /// "v1.PodSpec".
  var qualifiedGoName: String {
    let parts = name.split(separator: ".")
    return parts.suffix(2).joined(separator: ".")
  }
}

extension SchemaFieldType {
  func goName(_ target: Schema?) -> String {
    switch self {
    case .string: "string"
    case .boolean: "bool"
    case .int32: "int32"
    case .int64: "int64"
    case .double: "float64"
    case .bytes: "[]uint8"
    case .any: "interface {}"
    case .time: "v1.Time"
    case .microTime: "v1.MicroTime"
    case .duration: "v1.Duration"
    case .quantity: "resource.Quantity"
    case .intOrString: "intstr.IntOrString"
    case .fieldsV1: "v1.FieldsV1"
    case .rawExtension: "runtime.RawExtension"
    case .object(let name): target?.qualifiedGoName ?? name
    case .list(let element): "[]" + element.goName(target)
    case .map(let element): "map[string]" + element.goName(target)
    }
  }
}
