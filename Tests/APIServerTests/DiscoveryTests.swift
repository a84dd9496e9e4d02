@testable import APIServer
import APIMachinery
import HTTP
import Testing

@Suite struct DiscoveryTests {
  let documents = DiscoveryDocuments()

  private func get(_ path: String, accept: String = "application/json", tag: String? = nil) throws -> (
    JSONValue, HTTPResponse
  ) {
    var headers: HTTPFields = ["accept": accept]
    if let tag { headers.add("if-none-match", tag) }
    let response = try #require(documents.answer(path: path, headers: headers))
    guard case .bytes(let bytes) = response.body else { return (.null, response) }
    return (try JSONValue(parsing: bytes), response)
  }

  @Test func listsVersionsGroupsAndResources() throws {
    #expect(try get("/api").0["versions"]?.arrayValue == [.string("v1")])
    let groups = try #require(try get("/apis").0["groups"]?.arrayValue)
    #expect(groups.contains { $0["name"]?.stringValue == "apps" })
    #expect(!groups.contains { $0["name"]?.stringValue == "" })
    let apps = try get("/apis/apps").0
    #expect(apps["kind"]?.stringValue == "APIGroup")
    #expect(apps["preferredVersion"]?["groupVersion"]?.stringValue == "apps/v1")
    let core = try get("/api/v1").0
    #expect(core["groupVersion"]?.stringValue == "v1")
    let resources = try #require(core["resources"]?.arrayValue)
    let pods = try #require(resources.first { $0["name"]?.stringValue == "pods" })
    #expect(pods["kind"]?.stringValue == "Pod" && pods["namespaced"]?.boolValue == true)
    // The value that every released cluster shows.
    #expect(pods["storageVersionHash"]?.stringValue == "xPOwRZ+Yhw8=")
    #expect(pods["shortNames"]?.arrayValue == [.string("po")])
    let eviction = try #require(resources.first { $0["name"]?.stringValue == "pods/eviction" })
    #expect(eviction["group"]?.stringValue == "policy" && eviction["kind"]?.stringValue == "Eviction")
    #expect(documents.answer(path: "/apis/none", headers: [:]) == nil)
  }

  @Test func aggregatesWhenAsked() throws {
    let accept =
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
      + "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    let (list, response) = try get("/apis", accept: accept)
    #expect(list["kind"]?.stringValue == "APIGroupDiscoveryList")
    #expect(response.headers["content-type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    let apps = list["items"]?.arrayValue?.first { $0["metadata"]?["name"]?.stringValue == "apps" }
    let deployments = apps?["versions"]?.arrayValue?.first?["resources"]?.arrayValue?.first {
      $0["resource"]?.stringValue == "deployments"
    }
    #expect(deployments?["responseKind"]?["kind"]?.stringValue == "Deployment")
    #expect(deployments?["scope"]?.stringValue == "Namespaced")
    #expect(
      deployments?["subresources"]?.arrayValue?.compactMap { $0["subresource"]?.stringValue } == ["scale", "status"])
    // An older form alone is not served: the plain document comes.
    let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    #expect(try get("/apis", accept: old).0["kind"]?.stringValue == "APIGroupList")
  }

  @Test func sparesWhatTheClientHas() throws {
    let first = try get("/api/v1").1
    let again = try get("/api/v1", tag: first.headers["etag"]).1
    #expect(again.status == 304)
  }
}

@Suite struct OpenAPITests {
  let documents = OpenAPIDocuments(version: ServerVersion(gitVersion: "v1.36.2+test"))

  private func get(_ path: String, query: [(String, String)] = []) throws -> JSONValue {
    let response = try #require(documents.answer(path: path, query: query, headers: [:]))
    guard case .bytes(let bytes) = response.body else { return .null }
    return try JSONValue(parsing: bytes)
  }

  @Test func describesKindsAndOperations() throws {
    let url = try #require(
      try get("/openapi/v3")["paths"]?["apis/apps/v1"]?["serverRelativeURL"]?.stringValue)
    let hash = try #require(url.split(separator: "=").last.map(String.init))
    #expect(url.hasPrefix("/openapi/v3/apis/apps/v1?hash="))
    let document = try get("/openapi/v3/apis/apps/v1", query: [("hash", hash)])
    let schemas = try #require(document["components"]?["schemas"])
    let deployment = try #require(schemas["io.k8s.api.apps.v1.Deployment"])
    #expect(
      deployment["x-kubernetes-group-version-kind"]?.arrayValue?.first?["kind"]?.stringValue == "Deployment")
    #expect(
      deployment["properties"]?["spec"]?["allOf"]?.arrayValue?.first?["$ref"]?.stringValue
        == "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec")
    let containers = try #require(schemas["io.k8s.api.core.v1.PodSpec"]?["properties"]?["containers"])
    #expect(containers["type"]?.stringValue == "array")
    #expect(containers["x-kubernetes-patch-merge-key"]?.stringValue == "name")
    let patch = document["paths"]?["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]?["patch"]
    #expect(patch?["x-kubernetes-group-version-kind"]?["kind"]?.stringValue == "Deployment")
    // kubectl looks for these to know whether it may leave validation and dry runs to the server.
    let names = patch?["parameters"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
    #expect(names.contains("fieldValidation") && names.contains("dryRun"))
  }

  @Test func everyReferenceLeadsSomewhere() throws {
    for (path, root) in [("/openapi/v3/api/v1", "#/components/schemas/"), ("/openapi/v2", "#/definitions/")] {
      let document = try get(path)
      let schemas = try #require((document["components"]?["schemas"] ?? document["definitions"])?.objectValue)
      var missing: Set<String> = []
      func walk(_ value: JSONValue) {
        switch value {
        case .object(let fields):
          if case .string(let target)? = fields["$ref"], target.hasPrefix(root),
            schemas[String(target.dropFirst(root.count))] == nil
          {
            missing.insert(target)
          }
          for field in fields.values { walk(field) }
        case .array(let items): for item in items { walk(item) }
        default: break
        }
      }
      walk(document)
      #expect(missing.isEmpty)
      #expect(schemas.count > 100)
    }
  }
}
