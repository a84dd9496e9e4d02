import APIMachinery

/// Reads the generated schema text.
///
/// A line is a record, its columns separated by tabs, empty ones at the end left out:
/// - `P package`: packages are numbered as they come; `3:Pod` is type `Pod` of package 3
/// - `T type group/version/kind flags mapType proto`: a type; its fields follow
/// - `V via number type`, `U discriminator fields`: inline messages and unions of the type
/// - `name type number flags attributes…`: a field; flags are `r`equired, `p`tr, `a`lways; attributes `d=` default,
///   `e=` enum, `l=` listType, `k=` its keys, `m=`/`S=` mapType, `s=` patchStrategy, `y=` patchMergeKey
struct SchemaParser {
  private var packages: [String] = []
  private var types: [Schema] = []
  private var head: (name: String, gvks: [GroupVersionKind], mapType: String)?
  private var fields: [SchemaField] = []
  private var unions: [SchemaUnion] = []
  private var known: [String: SchemaFieldType] = [
    "string": .string, "boolean": .boolean, "int32": .int32, "int64": .int64, "double": .double, "bytes": .bytes,
    "any": .any, "Time": .time, "MicroTime": .microTime, "Duration": .duration, "Quantity": .quantity,
    "IntOrString": .intOrString, "FieldsV1": .fieldsV1, "RawExtension": .rawExtension, "Unknown": .any, "JSON": .any,
    "JSONSchemaPropsOrArray": .any, "JSONSchemaPropsOrBool": .any, "JSONSchemaPropsOrStringArray": .any,
  ]

  static func parse(_ texts: [StaticString], capacity: Int) -> [Schema] {
    var parser = SchemaParser()
    parser.types.reserveCapacity(capacity)
    var columns: [UnsafeBufferPointer<UInt8>] = []
    for text in texts {
      var lines = TextLines(text)
      while lines.next(into: &columns) { parser.line(columns) }
    }
    parser.finish()
    return parser.types
  }

  private mutating func line(_ columns: [UnsafeBufferPointer<UInt8>]) {
    if columns[0].count == 1 {
      switch columns[0][0] {
      case UInt8(ascii: "P"): packages.append(columns[1].string); return
      case UInt8(ascii: "T"): begin(columns); return
      case UInt8(ascii: "U"):
        unions.append(SchemaUnion(discriminator: columns[1].string, fields: columns[2].parts("|")))
        return
      case UInt8(ascii: "V"): return
      default: break
      }
    }
    field(columns)
  }

  private mutating func begin(_ columns: [UnsafeBufferPointer<UInt8>]) {
    finish()
    var gvks: [GroupVersionKind] = []
    if columns.count > 2, !columns[2].isEmpty {
      let parts = columns[2].parts("/")
      gvks.append(GroupVersionKind(group: parts[0], version: parts[1], kind: parts[2]))
    }
    head = (typeName(columns[1]), gvks, columns.count > 4 ? columns[4].string : "")
  }

  private mutating func finish() {
    guard let head else { return }
    types.append(Schema(name: head.name, gvks: head.gvks, mapType: head.mapType, unions: unions, fields: fields))
    self.head = nil
    fields.removeAll(keepingCapacity: true)
    unions.removeAll(keepingCapacity: true)
  }

  private mutating func field(_ columns: [UnsafeBufferPointer<UInt8>]) {
    var defaultJSON: String?
    var enumValues: [String] = []
    var keys: [String] = []
    var listType = ""
    var mapType = ""
    var strategy = ""
    var mergeKey = ""
    for column in columns.dropFirst(4) {
      let value = column.dropping(2)
      switch column[0] {
      case UInt8(ascii: "d"): defaultJSON = value.string
      case UInt8(ascii: "e"): enumValues = value.parts("|", keepEmpty: true)
      case UInt8(ascii: "k"): keys = value.parts("|")
      case UInt8(ascii: "l"): listType = value.string
      case UInt8(ascii: "m"), UInt8(ascii: "S"): mapType = value.string
      case UInt8(ascii: "s"): strategy = value.string
      case UInt8(ascii: "y"): mergeKey = value.string
      default: break
      }
    }
    let flags = columns.count > 3 ? columns[3] : UnsafeBufferPointer(start: nil, count: 0)
    fields.append(
      SchemaField(
        name: columns[0].string, type: fieldType(columns[1]), protoNumber: columns.count > 2 ? columns[2].int : 0,
        required: flags.has("r"), ptr: flags.has("p"), always: flags.has("a"), defaultJSON: defaultJSON,
        enumValues: enumValues, listType: listType, listMapKeys: keys, mapType: mapType, patchStrategy: strategy,
        patchMergeKey: mergeKey))
  }

  private mutating func fieldType(_ text: UnsafeBufferPointer<UInt8>) -> SchemaFieldType {
    let name = text.string
    if let type = known[name] { return type }
    let type: SchemaFieldType
    switch text[0] {
    case UInt8(ascii: "["): type = .list(fieldType(text.dropping(2)))
    case UInt8(ascii: "{"): type = .map(fieldType(text.dropping(2)))
    default: type = .object(typeName(text))
    }
    known[name] = type
    return type
  }

  private func typeName(_ text: UnsafeBufferPointer<UInt8>) -> String {
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return text.string }
    let package = UnsafeBufferPointer(rebasing: text[..<colon]).int
    return packages[package] + "." + text.dropping(colon + 1).string
  }
}
