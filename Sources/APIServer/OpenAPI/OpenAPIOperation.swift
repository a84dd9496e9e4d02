import APIMachinery

/// One version of the OpenAPI specification.
enum OpenAPIForm: Sendable {
  /// Swagger 2.0, one document for everything.
  case v2
  /// OpenAPI 3.0, one document per group version.
  case v3

  func reference(_ name: String) -> JSONValue {
    .object(["$ref": .string((self == .v2 ? "#/definitions/" : "#/components/schemas/") + name)])
  }
}

/// A parameter in the path or the query.
struct OpenAPIParameter: Hashable, Comparable {
  var name: String
  /// `string`, `integer` or `boolean`.
  var type = "string"
  var inPath = false

  /// A path and a query parameter may share a name, and documents must come out the same every time.
  static func < (a: Self, b: Self) -> Bool {
    a.name == b.name ? a.inPath && !b.inPath : a.name < b.name
  }

  func json(_ form: OpenAPIForm) -> JSONValue {
    var members: [String: JSONValue] = ["name": .string(name), "in": .string(inPath ? "path" : "query")]
    if inPath { members["required"] = .bool(true) }
    if form == .v2 {
      members["type"] = .string(type)
      members["uniqueItems"] = .bool(true)
    } else {
      members["schema"] = .object(["type": .string(type), "uniqueItems": .bool(true)])
    }
    return .object(members)
  }
}

/// What a request or a response carries.
enum OpenAPIContent: Hashable {
  case type(String)
  case string

  func json(_ form: OpenAPIForm) -> JSONValue {
    switch self {
    case .type(let name): form.reference(name)
    case .string: .object(["type": .string("string")])
    }
  }
}

/// An operation on a path, in no version's notation yet.
struct OpenAPIOperation {
  var method: String
  var id: String
  var description: String
  var tag: String
  /// `x-kubernetes-action`; empty for discovery.
  var action = ""
  var gvk: GroupVersionKind?
  var parameters: [OpenAPIParameter] = []
  var body: OpenAPIContent?
  var bodyRequired = true
  var consumes = ["*/*"]
  var produces = OpenAPIOperation.mediaTypes
  /// By status code; 401 is added to all.
  var responses: [(code: Int, content: OpenAPIContent?)] = []
  var needsAuthentication = true

  static let mediaTypes = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"]
  static let watchMediaTypes = [
    "application/json", "application/json;stream=watch", "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch", "application/yaml",
  ]
  static let patchMediaTypes = [
    "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json",
  ]

  /// Every type the operation names.
  var types: [String] {
    (responses.map(\.content) + [body]).compactMap { content in
      if case .type(let name) = content { name } else { nil }
    }
  }

  func json(_ form: OpenAPIForm, parameters: [OpenAPIParameter]) -> JSONValue {
    var members: [String: JSONValue] = [
      "operationId": .string(id), "description": .string(description), "tags": .array([.string(tag)]),
    ]
    if !action.isEmpty { members["x-kubernetes-action"] = .string(action) }
    if let gvk { members["x-kubernetes-group-version-kind"] = gvk.openAPI }
    var list = parameters.map { $0.json(form) }
    if form == .v2 {
      members["schemes"] = .array([.string("https")])
      members["produces"] = .array(produces.map { .string($0) })
      members["consumes"] = .array(consumes.map { .string($0) })
      if let body {
        var parameter: [String: JSONValue] = [
          "in": .string("body"), "name": .string("body"), "schema": body.json(form),
        ]
        if bodyRequired { parameter["required"] = .bool(true) }
        list.insert(.object(parameter), at: 0)
      }
    } else if let body {
      var request: [String: JSONValue] = ["content": content(body, consumes, form)]
      if bodyRequired { request["required"] = .bool(true) }
      members["requestBody"] = .object(request)
    }
    if !list.isEmpty { members["parameters"] = .array(list) }
    members["responses"] = .object(responsesJSON(form))
    return .object(members)
  }

  private func responsesJSON(_ form: OpenAPIForm) -> [String: JSONValue] {
    var result: [String: JSONValue] = [:]
    for response in responses {
      var members: [String: JSONValue] = ["description": .string(Self.reason(response.code))]
      if let body = response.content {
        if form == .v2 {
          members["schema"] = body.json(form)
        } else {
          members["content"] = content(body, produces, form)
        }
      }
      result[String(response.code)] = .object(members)
    }
    if needsAuthentication { result["401"] = .object(["description": .string(Self.reason(401))]) }
    return result
  }

  private func content(_ body: OpenAPIContent, _ types: [String], _ form: OpenAPIForm) -> JSONValue {
    let schema = JSONValue.object(["schema": body.json(form)])
    return .object(Dictionary(types.map { ($0, schema) }, uniquingKeysWith: { a, _ in a }))
  }

  private static func reason(_ code: Int) -> String {
    switch code {
    case 201: "Created"
    case 202: "Accepted"
    case 401: "Unauthorized"
    default: "OK"
    }
  }
}

/// A path and what can be done there.
struct OpenAPIPath {
  var path: String
  var operations: [OpenAPIOperation]

  /// Parameters that all operations share stand beside them, the others inside.
  func json(_ form: OpenAPIForm) -> JSONValue {
    var shared = Set(operations.first?.parameters ?? [])
    for operation in operations.dropFirst() { shared.formIntersection(operation.parameters) }
    var members: [String: JSONValue] = [:]
    for operation in operations {
      let own = operation.parameters.filter { !shared.contains($0) }.sorted()
      members[operation.method] = operation.json(form, parameters: own)
    }
    if !shared.isEmpty {
      members["parameters"] = .array(shared.sorted().map { $0.json(form) })
    }
    return .object(members)
  }
}

extension GroupVersionKind {
  /// The three parts as the extension `x-kubernetes-group-version-kind` writes them.
  var openAPI: JSONValue {
    .object(["group": .string(group), "version": .string(version), "kind": .string(kind)])
  }
}
