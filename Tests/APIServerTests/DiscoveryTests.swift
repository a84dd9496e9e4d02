import APIMachinery
import HTTP
import Testing

@testable import APIServer

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
    // What has not changed keeps its type in caches.
    let again = try get("/apis", accept: accept, tag: response.headers["etag"]).1
    #expect(again.status == 304 && again.headers["content-type"] == response.headers["content-type"])
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
