import APIMachinery
import APISchema
import HTTP
import Testing

@testable import APIServer

@Suite struct OpenAPIServiceTests {
  static let service = OpenAPIService(
    resources: builtInResources.filter(\.enabledByDefault), schema: builtInSchema, version: "v1.36.2")

  func get(
    _ path: String, accept: String = "application/json", query: [(String, String)] = [], headers: HTTPFields = .init()
  ) throws -> HTTPResponse {
    try #require(Self.service.respond(path: path, accept: accept, query: query, headers: headers))
  }

  func json(_ response: HTTPResponse) throws -> JSONValue {
    guard case .bytes(let bytes) = response.body else { return .null }
    return try JSONValue(parsing: bytes)
  }

  @Test func everyDocumentOfTheIndexIsServedUnderItsHash() throws {
    let paths = try #require(try json(get("/openapi/v3"))["paths"]?.objectValue)
    #expect(paths["api/v1"] != nil && paths["apis/apps/v1"] != nil && paths["version"] != nil)
    #expect(paths["apis/resource.k8s.io/v1beta1"] == nil)
    for (name, entry) in paths {
      let url = try #require(entry["serverRelativeURL"]?.stringValue)
      let prefix = "/openapi/v3/\(name)?hash="
      #expect(url.hasPrefix(prefix))
      let response = try get("/openapi/v3/" + name, query: [("hash", String(url.dropFirst(prefix.count)))])
      #expect(response.status == 200)
      #expect(response.headers["cache-control"] == "public, immutable")
    }
  }

  @Test func referencesOfADocumentResolve() throws {
    func walk(_ value: JSONValue, _ found: inout Set<String>) {
      switch value {
      case .object(let members):
        if let text = members["$ref"]?.stringValue { found.insert(text) }
        for member in members.values { walk(member, &found) }
      case .array(let items): for item in items { walk(item, &found) }
      default: break
      }
    }
    for path in ["/openapi/v3/api/v1", "/openapi/v3/apis/apiextensions.k8s.io/v1", "/openapi/v2"] {
      let document = try json(get(path))
      let types = (document["definitions"] ?? document["components"]?["schemas"])?.objectValue ?? [:]
      var found: Set<String> = []
      walk(document, &found)
      #expect(found.count > 20)
      for reference in found { #expect(types[String(reference.split(separator: "/").last ?? "")] != nil) }
    }
  }

  @Test func typesAreDescribedAsUpstreamDoes() throws {
    let types = try #require(try json(get("/openapi/v3/api/v1"))["components"]?["schemas"])
    let pod = types["io.k8s.api.core.v1.Pod"]
    #expect(
      pod?["x-kubernetes-group-version-kind"]
        == .array([
          .object(["group": .string(""), "version": .string("v1"), "kind": .string("Pod")])
        ]))
    #expect(
      pod?["properties"]?["spec"]
        == .object([
          "allOf": .array([.object(["$ref": .string("#/components/schemas/io.k8s.api.core.v1.PodSpec")])]),
          "default": .object([:]),
        ]))
    let ports = types["io.k8s.api.core.v1.Container"]?["properties"]?["ports"]
    #expect(ports?["x-kubernetes-list-map-keys"] == .array([.string("containerPort"), .string("protocol")]))
    #expect(ports?["x-kubernetes-patch-merge-key"] == .string("containerPort"))
    #expect(types["io.k8s.api.core.v1.Container"]?["required"] == .array([.string("name")]))
    let protocolField = types["io.k8s.api.core.v1.ContainerPort"]?["properties"]?["protocol"]
    #expect(protocolField?["default"] == .string("TCP"))
    #expect(
      types["io.k8s.apimachinery.pkg.apis.meta.v1.Time"]
        == .object([
          "type": .string("string"), "format": .string("date-time"),
        ]))
    let limits = types["io.k8s.api.core.v1.ResourceRequirements"]?["properties"]?["limits"]
    #expect(limits?["additionalProperties"]?["$ref"] != nil)
  }

  @Test func operationsHaveUpstreamsNames() throws {
    let paths = try #require(try json(get("/openapi/v3/apis/apps/v1"))["paths"])
    let item = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    #expect(item?["get"]?["operationId"] == .string("readAppsV1NamespacedDeployment"))
    #expect(item?["patch"]?["x-kubernetes-action"] == .string("patch"))
    let query = item?["patch"]?["parameters"]?.arrayValue?.compactMap { $0["name"]?.stringValue }
    #expect(query == ["dryRun", "fieldManager", "fieldValidation", "force"])
    let shared = item?["parameters"]?.arrayValue?.compactMap { $0["name"]?.stringValue }
    #expect(shared == ["name", "namespace", "pretty"])
    let scale = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    #expect(scale?["put"]?["x-kubernetes-group-version-kind"]?["group"] == .string("autoscaling"))
    let watch = paths["/apis/apps/v1/watch/deployments"]
    #expect(watch?["get"]?["operationId"] == .string("watchAppsV1DeploymentListForAllNamespaces"))
  }

  @Test func operationIdentifiersAreUnique() throws {
    let paths = try #require(try json(get("/openapi/v2"))["paths"]?.objectValue)
    let ids = paths.values.flatMap { item in
      (item.objectValue ?? [:]).values.compactMap { $0.objectValue?["operationId"]?.stringValue }
    }
    #expect(ids.count > 600)
    #expect(Set(ids).count == ids.count)
    let exec = paths["/api/v1/namespaces/{namespace}/pods/{name}/exec"]
    #expect(exec?["post"]?["operationId"] == .string("connectCoreV1PostNamespacedPodExec"))
  }

  @Test func negotiation() throws {
    let protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    #expect(try get("/openapi/v2", accept: protobuf).headers["content-type"] == protobuf)
    #expect(try get("/openapi/v2", accept: "application/xml").status == 406)
    #expect(try get("/openapi/v2", accept: "*/*").headers["content-type"] == "application/json")
    let v3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
    #expect(try get("/openapi/v3/version", accept: v3).status == 406)
    #expect(try get("/openapi/v3/version", accept: v3 + ", application/json;q=0.5").status == 200)
    #expect(try get("/openapi/v3/apis/nothing/v1").status == 404)
    #expect(Self.service.respond(path: "/api", accept: "*/*", query: [], headers: .init()) == nil)
  }

  @Test func tagsSaveTransfers() throws {
    let first = try get("/openapi/v3/apis/apps/v1")
    let tag = try #require(first.headers["etag"])
    #expect(tag.count == 130)
    #expect(try get("/openapi/v3/apis/apps/v1", headers: ["if-none-match": tag]).status == 304)
    let moved = try get("/openapi/v3/apis/apps/v1", query: [("hash", "old")])
    #expect(moved.status == 301)
    #expect(moved.headers["location"] == "/openapi/v3/apis/apps/v1?hash=" + tag.dropFirst().dropLast())
  }

  @Test func protobufNestsProperly() throws {
    let protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    guard case .bytes(let bytes) = try get("/openapi/v2", accept: protobuf).body else {
      Issue.record("no bytes")
      return
    }
    var names: Set<String> = []
    for (number, paths) in fields(bytes[...]) where number == 9 {
      for (_, entry) in fields(paths) {
        if let name = fields(entry).first(where: { $0.0 == 1 }) {
          names.insert(String(decoding: name.1, as: UTF8.self))
        }
      }
    }
    #expect(names.contains("io.k8s.api.apps.v1.Deployment"))
    let definitions = try #require(try json(get("/openapi/v2"))["definitions"]?.objectValue)
    #expect(names == Set(definitions.keys))
  }

  /// The length-delimited fields of a message.
  private func fields(_ bytes: ArraySlice<UInt8>) -> [(Int, ArraySlice<UInt8>)] {
    var rest = bytes
    func varint() -> Int {
      var value = 0
      var shift = 0
      while let byte = rest.popFirst() {
        value |= Int(byte & 0x7F) << shift
        if byte < 0x80 { break }
        shift += 7
      }
      return value
    }
    var result: [(Int, ArraySlice<UInt8>)] = []
    while !rest.isEmpty {
      let key = varint()
      guard key & 7 == 2 else {
        _ = varint()
        continue
      }
      let count = varint()
      guard count <= rest.count else { return [] }
      result.append((key >> 3, rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return result
  }

  @Test func theCacheKeepsWhatWasUsedLast() {
    let cache = OpenAPICache(capacity: 10)
    var built = 0
    func get(_ name: String) {
      _ = cache.document(name) { () -> [UInt8] in
        built += 1; return [1, 2, 3, 4]
      }
    }
    for name in ["a", "b", "a", "c", "a"] { get(name) }
    #expect(built == 3)
    #expect(cache.size == 8)
    get("b")
    #expect(built == 4)
  }
}
