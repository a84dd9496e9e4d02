import APIMachinery
import APISchema

/// Turns a request's protobuf body into JSON by the schema table. Typed clients, kubectl's among them, send protobuf to
/// built-in kinds.
enum ProtobufTranscoder {
  static let mediaType = "application/vnd.kubernetes.protobuf"
  private static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]
  private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."

  typealias Malformed = ProtobufReader.Malformed

  /// The JSON form of an enveloped object.
  static func json(_ body: [UInt8]) throws -> [UInt8] {
    guard body.starts(with: magic) else {
      throw Malformed(
        description: "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    }
    var apiVersion = "", kind = ""
    var raw = ArraySlice<UInt8>()
    var reader = ProtobufReader(body[4...])
    while let (number, value) = try reader.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case 1:
        var type = ProtobufReader(bytes)
        while let (number, value) = try type.next() {
          guard case .bytes(let text) = value else { continue }
          if number == 1 { apiVersion = String(decoding: text, as: UTF8.self) }
          if number == 2 { kind = String(decoding: text, as: UTF8.self) }
        }
      case 2: raw = bytes
      default: break
      }
    }
    guard let schema = schema(apiVersion, kind) else {
      throw Malformed(description: "no kind \(goQuoted(kind)) is registered for version \(goQuoted(apiVersion))")
    }
    var fields = try message(raw, schema)
    if !apiVersion.isEmpty { fields["apiVersion"] = .string(apiVersion) }
    if !kind.isEmpty { fields["kind"] = .string(kind) }
    return JSONValue.object(fields).encoded()
  }

  private static func schema(_ apiVersion: String, _ kind: String) -> Schema? {
    let version = GroupVersion(apiVersion: apiVersion)
    let gvk = GroupVersionKind(group: version.group, version: version.version, kind: kind)
    // Options are registered in every group version.
    return builtInSchema.schema(for: gvk)
      ?? (kind.hasSuffix("Options") ? builtInSchema.type(named: meta + kind) : nil)
  }

  // MARK: Messages

  /// Messages that JSON shows as if their fields were the outer type's: by type, the number and the message.
  private static let inline: [String: (number: Int, type: String)] = {
    let core = "io.k8s.api.core.v1."
    var result: [String: (number: Int, type: String)] = [
      core + "EphemeralContainer": (1, core + "EphemeralContainerCommon"),
      core + "PersistentVolumeSpec": (2, core + "PersistentVolumeSource"),
      core + "Probe": (1, core + "ProbeHandler"),
      core + "Volume": (2, core + "VolumeSource"),
      "io.k8s.api.networking.v1.IngressRule": (2, "io.k8s.api.networking.v1.IngressRuleValue"),
    ]
    for name in [
      "ConfigMapEnvSource", "ConfigMapKeySelector", "ConfigMapProjection", "ConfigMapVolumeSource", "SecretEnvSource",
      "SecretKeySelector", "SecretProjection",
    ] {
      result[core + name] = (1, core + "LocalObjectReference")
    }
    let admission = "io.k8s.api.admissionregistration."
    result[admission + "v1.RuleWithOperations"] = (2, admission + "v1.Rule")
    for version in ["v1", "v1beta1"] {
      result[admission + version + ".NamedRuleWithOperations"] = (2, admission + "v1.RuleWithOperations")
    }
    for version in ["v1", "v1beta1", "v1beta2"] {
      let package = "io.k8s.api.resource.\(version)."
      result[package + "DeviceAllocationConfiguration"] = (3, package + "DeviceConfiguration")
      result[package + "DeviceClaimConfiguration"] = (2, package + "DeviceConfiguration")
      result[package + "DeviceClassConfiguration"] = (1, package + "DeviceConfiguration")
    }
    return result
  }()

  private static func message(_ bytes: ArraySlice<UInt8>, _ schema: Schema) throws -> [String: JSONValue] {
    let nested = inline[schema.name].flatMap { entry in
      builtInSchema.type(named: entry.type).map { (number: entry.number, schema: $0) }
    }
    var result: [String: JSONValue] = [:]
    var reader = ProtobufReader(bytes)
    while let (number, value) = try reader.next() {
      if let nested, number == nested.number, case .bytes(let bytes) = value {
        result.merge(try message(bytes, nested.schema)) { _, new in new }
        continue
      }
      // A number of the inner message means nothing out here.
      let field = schema.fields.first { field in
        field.protoNumber == number && (nested.map { shown(field.name, by: $0.schema) } ?? false) == false
      }
      guard let field else { continue }
      try put(value, field, into: &result)
    }
    return result
  }

  /// Whether a field comes from an inline message, at any depth.
  private static func shown(_ name: String, by schema: Schema) -> Bool { schema.field(name) != nil }

  private static func put(
    _ value: ProtobufReader.Value, _ field: SchemaField, into result: inout [String: JSONValue]
  ) throws {
    switch field.type {
    case .list(let element):
      var items = result[field.name]?.arrayValue ?? []
      if case .bytes(let bytes) = value, isVarint(element) {
        for word in try ProtobufReader.packed(bytes) { items.append(try scalar(.varint(word), element)) }
      } else {
        items.append(try scalar(value, element))
      }
      result[field.name] = .array(items)
    case .map(let element):
      guard case .bytes(let bytes) = value else { throw mismatch(field) }
      var entries = result[field.name]?.objectValue ?? [:]
      let (key, item) = try entry(bytes, element)
      entries[key] = item
      result[field.name] = .object(entries)
    default:
      let item = try scalar(value, field.type)
      // Protobuf writes every plain field; JSON leaves out what is empty.
      if !field.ptr, !field.always, isEmpty(item) { return }
      if item == .null { return }
      result[field.name] = item
    }
  }

  private static func entry(_ bytes: ArraySlice<UInt8>, _ element: SchemaFieldType) throws -> (String, JSONValue) {
    var key = ""
    var item: JSONValue?
    var reader = ProtobufReader(bytes)
    while let (number, value) = try reader.next() {
      if number == 1, case .bytes(let text) = value { key = String(decoding: text, as: UTF8.self) }
      if number == 2 {
        if case .list(let inner) = element, case .bytes(let bytes) = value {
          // A list as a map's value travels in a message of its own.
          var items: [JSONValue] = []
          var reader = ProtobufReader(bytes)
          while let (number, value) = try reader.next() {
            if number == 1 { items.append(try scalar(value, inner)) }
          }
          item = .array(items)
        } else {
          item = try scalar(value, element)
        }
      }
    }
    return (key, item ?? zero(element))
  }

  // MARK: Values

  private static func isVarint(_ type: SchemaFieldType) -> Bool {
    switch type {
    case .boolean, .int32, .int64: true
    default: false
    }
  }

  private static func isEmpty(_ value: JSONValue) -> Bool {
    switch value {
    case .null: true
    case .bool(let flag): !flag
    case .int(let number): number == 0
    case .double(let number): number == 0
    case .string(let text): text.isEmpty
    case .array(let items): items.isEmpty
    case .object(let fields): fields.isEmpty
    }
  }

  private static func zero(_ type: SchemaFieldType) -> JSONValue {
    switch type {
    case .boolean: .bool(false)
    case .int32, .int64: .int(0)
    case .double: .double(0)
    case .list: .array([])
    case .object, .map: .object([:])
    default: .string("")
    }
  }

  private static func mismatch(_ field: SchemaField) -> Malformed {
    Malformed(description: "proto: wrong wireType for field \(field.name)")
  }

  private static func scalar(_ value: ProtobufReader.Value, _ type: SchemaFieldType) throws -> JSONValue {
    switch (type, value) {
    case (.boolean, .varint(let word)): return .bool(word != 0)
    case (.int32, .varint(let word)): return .int(Int64(Int32(truncatingIfNeeded: word)))
    case (.int64, .varint(let word)): return .int(Int64(bitPattern: word))
    case (.double, .fixed64(let word)): return .double(Double(bitPattern: word))
    case (.string, .bytes(let text)): return .string(String(decoding: text, as: UTF8.self))
    case (.bytes, .bytes(let data)): return .string(base64(Array(data)))
    case (.object(let name), .bytes(let bytes)):
      guard let schema = builtInSchema.type(named: name) else { return .object([:]) }
      return .object(try message(bytes, schema))
    case (_, .bytes(let bytes)): return try special(bytes, type)
    default: throw Malformed(description: "proto: wrong wireType")
    }
  }

  /// Types with a form of their own.
  private static func special(_ bytes: ArraySlice<UInt8>, _ type: SchemaFieldType) throws -> JSONValue {
    var words: [Int: UInt64] = [:]
    var texts: [Int: ArraySlice<UInt8>] = [:]
    var reader = ProtobufReader(bytes)
    while let (number, value) = try reader.next() {
      if case .varint(let word) = value { words[number] = word }
      if case .bytes(let text) = value { texts[number] = text }
    }
    func text(_ number: Int) -> String { String(decoding: texts[number] ?? [], as: UTF8.self) }
    switch type {
    case .time, .microTime:
      // The zero time is an empty message.
      if bytes.isEmpty { return .null }
      let seconds = Int64(bitPattern: words[1] ?? 0)
      if case .time = type { return .string(Time(seconds: seconds).description) }
      let nanos = Int32(truncatingIfNeeded: words[2] ?? 0)
      return .string(MicroTime(seconds: seconds, nanoseconds: nanos).description)
    case .duration: return .string(GoDuration(nanoseconds: Int64(bitPattern: words[1] ?? 0)).description)
    case .quantity: return .string(text(1))
    case .intOrString:
      return words[1] == 1 ? .string(text(3)) : .int(Int64(Int32(truncatingIfNeeded: words[2] ?? 0)))
    case .fieldsV1, .rawExtension, .any:
      guard let raw = texts[1], !raw.isEmpty else { return .null }
      return try JSONValue(parsing: Array(raw))
    default: throw Malformed(description: "proto: wrong wireType")
    }
  }
}
