import APIMachinery

/// Writes pieces of a version 2 document as messages of the package `openapi.v2`.
struct OpenAPIProtobuf {
  var bytes: [UInt8] = []

  // MARK: Wire format

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func field(_ number: Int, _ content: some Collection<UInt8>) {
    varint(UInt64(number << 3 | 2))
    varint(UInt64(content.count))
    bytes.append(contentsOf: content)
  }

  private mutating func string(_ number: Int, _ value: JSONValue?) {
    if let text = value?.stringValue, !text.isEmpty { field(number, text.utf8) }
  }

  private mutating func strings(_ number: Int, _ value: JSONValue?) {
    for text in value?.arrayValue ?? [] { field(number, (text.stringValue ?? "").utf8) }
  }

  private mutating func bool(_ number: Int, _ value: JSONValue?) {
    guard value?.boolValue == true else { return }
    varint(UInt64(number << 3))
    bytes.append(1)
  }

  private mutating func message(_ number: Int, _ body: (inout OpenAPIProtobuf) -> Void) {
    var inner = OpenAPIProtobuf()
    body(&inner)
    field(number, inner.bytes)
  }

  private mutating func named(_ number: Int, _ name: String, _ body: (inout OpenAPIProtobuf) -> Void) {
    message(number) { entry in
      entry.field(1, name.utf8)
      entry.message(2, body)
    }
  }

  /// `Any` holds YAML, and JSON is YAML.
  private mutating func any(_ number: Int, _ value: JSONValue) {
    message(number) { $0.field(2, value.encoded() + [0x0A]) }
  }

  private mutating func vendorExtensions(_ number: Int, _ members: [String: JSONValue]) {
    for name in members.keys.sorted() where name.hasPrefix("x-") {
      guard let value = members[name] else { continue }
      named(number, name) { $0.field(2, value.encoded() + [0x0A]) }
    }
  }

  // MARK: Document

  mutating func begin(title: String, version: String) {
    field(1, "2.0".utf8)
    message(2) { info in
      info.field(1, title.utf8)
      info.field(2, version.utf8)
    }
  }

  mutating func addPath(_ path: String, _ item: JSONValue) { named(2, path) { $0.pathItem(item) } }

  mutating func finishPaths(_ paths: OpenAPIProtobuf) { field(8, paths.bytes) }

  mutating func addDefinition(_ name: String, _ schema: JSONValue) { named(1, name) { $0.schema(schema) } }

  mutating func finishDefinitions(_ definitions: OpenAPIProtobuf) { field(9, definitions.bytes) }

  mutating func finish(bearer: JSONValue) {
    message(12) { requirement in requirement.named(1, "BearerToken") { _ in } }
    message(13) { definitions in
      definitions.named(1, "BearerToken") { item in
        item.message(2) { key in
          key.string(1, bearer["type"])
          key.string(2, bearer["name"])
          key.string(3, bearer["in"])
          key.string(4, bearer["description"])
        }
      }
    }
  }

  // MARK: Paths

  private mutating func pathItem(_ item: JSONValue) {
    let methods = ["get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8]
    for (method, number) in methods.sorted(by: { $0.value < $1.value }) {
      if let operation = item[method] { message(number) { $0.operation(operation) } }
    }
    for parameter in item["parameters"]?.arrayValue ?? [] { message(9) { $0.parameterItem(parameter) } }
  }

  private mutating func operation(_ operation: JSONValue) {
    strings(1, operation["tags"])
    string(3, operation["description"])
    string(5, operation["operationId"])
    strings(6, operation["produces"])
    strings(7, operation["consumes"])
    for parameter in operation["parameters"]?.arrayValue ?? [] { message(8) { $0.parameterItem(parameter) } }
    let responses = operation["responses"]?.objectValue ?? [:]
    message(9) { list in
      for code in responses.keys.sorted() {
        guard let response = responses[code] else { continue }
        list.named(1, code) { value in
          value.message(1) { item in
            item.string(1, response["description"])
            if let schema = response["schema"] { item.message(2) { $0.message(1) { $0.schema(schema) } } }
          }
        }
      }
    }
    strings(10, operation["schemes"])
    vendorExtensions(13, operation.objectValue ?? [:])
  }

  private mutating func parameterItem(_ parameter: JSONValue) {
    message(1) { choice in
      if let schema = parameter["schema"] {
        choice.message(1) { body in
          body.string(2, parameter["name"])
          body.string(3, parameter["in"])
          body.bool(4, parameter["required"])
          body.message(5) { $0.schema(schema) }
        }
        return
      }
      let inPath = parameter["in"]?.stringValue == "path"
      choice.message(2) { nonBody in
        nonBody.message(inPath ? 4 : 3) { sub in
          sub.bool(1, parameter["required"])
          sub.string(2, parameter["in"])
          sub.string(4, parameter["name"])
          sub.string(inPath ? 5 : 6, parameter["type"])
          sub.bool(inPath ? 19 : 20, parameter["uniqueItems"])
        }
      }
    }
  }

  // MARK: Schemas

  private mutating func schema(_ schema: JSONValue) {
    string(1, schema["$ref"])
    string(2, schema["format"])
    string(4, schema["description"])
    strings(19, schema["required"])
    for value in schema["enum"]?.arrayValue ?? [] { any(20, value) }
    if let additional = schema["additionalProperties"] { message(21) { $0.message(1) { $0.schema(additional) } } }
    if let type = schema["type"]?.stringValue { message(22) { $0.field(1, type.utf8) } }
    if let items = schema["items"] { message(23) { $0.message(1) { $0.schema(items) } } }
    if let properties = schema["properties"]?.objectValue {
      message(25) { list in
        for name in properties.keys.sorted() {
          if let property = properties[name] { list.named(1, name) { $0.schema(property) } }
        }
      }
    }
    vendorExtensions(31, schema.objectValue ?? [:])
  }
}
