import API
import APIMachinery
import HTTP
import Storage
import StorageSQLite
import Testing

@testable import APIServer

/// `crontabs.stable.example.com`: two versions, status, scale, columns, a rule.
private func definition(
  _ changes: (inout JSONValue) -> Void = { _ in }, kind: String = "CronTab", plural: String = "crontabs"
) throws -> String {
  let schema = #"""
    {"openAPIV3Schema":{"type":"object","properties":{
      "spec":{"type":"object","x-kubernetes-validations":[
          {"rule":"self.replicas <= 10 || self.cron != ''","message":"many need a cron"}],
        "required":["cron"],"properties":{
          "cron":{"type":"string"},"image":{"type":"string","maxLength":20},
          "replicas":{"type":"integer","minimum":0,"default":1},
          "ports":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],
            "items":{"type":"object","required":["name"],"properties":{
              "name":{"type":"string"},"port":{"type":"integer"}}}}}},
      "status":{"type":"object","properties":{"replicas":{"type":"integer"},"selector":{"type":"string"}}}}}}
    """#
  var tree = try JSONValue(
    parsing: Array(
      #"""
      {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
       "metadata":{"name":"\#(plural).stable.example.com"},
       "spec":{"group":"stable.example.com","scope":"Namespaced",
        "names":{"plural":"\#(plural)","kind":"\#(kind)","shortNames":["\#(plural.prefix(2))"],"categories":["all"]},
        "versions":[
          {"name":"v1","served":true,"storage":true,"schema":\#(schema),
           "subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas",
             "statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}},
           "selectableFields":[{"jsonPath":".spec.image"}],
           "additionalPrinterColumns":[{"name":"Cron","type":"string","jsonPath":".spec.cron"},
             {"name":"Replicas","type":"integer","jsonPath":".spec.replicas","description":"how many"},
             {"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]},
          {"name":"v1beta1","served":true,"storage":false,"schema":\#(schema),"deprecated":true}]}}
      """#.utf8))
  changes(&tree)
  return String(decoding: tree.encoded(), as: UTF8.self)
}

private let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
private let crontabs = "/apis/stable.example.com/v1/namespaces/default/crontabs"

extension RegistryHarness {
  /// Creates a definition and waits until it is served.
  fileprivate func define(_ text: String, plural: String = "crontabs") async throws {
    try await create(definitions, text)
    try await established(plural)
  }

  fileprivate func established(_ plural: String) async throws {
    for _ in 0..<2000 {
      let answer = await call("GET", "\(definitions)/\(plural).stable.example.com")
      let conditions = try answer.json()["status"]?["conditions"]?.arrayValue ?? []
      if conditions.contains(where: { $0["type"] == "Established" && $0["status"] == "True" }) { return }
      try await Task.sleep(for: .milliseconds(2))
    }
    Issue.record("\(plural) was not established")
  }

  fileprivate func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    for _ in 0..<2000 {
      if try await condition() { return true }
      try await Task.sleep(for: .milliseconds(2))
    }
    return false
  }
}

private func cronTab(_ name: String, _ spec: String = #""cron":"* * * * *""#, more: String = "") -> String {
  #"{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"\#(name)"},"spec":{\#(spec)}\#(more)}"#
}

@Suite struct CustomResourceTests {
  @Test func areServedLikeAnyOther() async throws {
    try await RegistryHarness.with { harness in
      #expect(await harness.call("GET", crontabs).status == 404)
      try await harness.define(definition())
      let made = try await harness.create(
        crontabs, cronTab("a", #""cron":"x","unknown":1"#, more: #","status":{"replicas":9},"odd":true"#))
      #expect(made["apiVersion"] == "stable.example.com/v1")
      #expect(made["kind"] == "CronTab")
      #expect(made["spec"] == ["cron": "x", "replicas": 1])
      #expect(made["status"] == nil)
      #expect(made["metadata"]?["generation"] == 1)
      #expect(made["metadata"]?["managedFields"]?.arrayValue?.first?["manager"] == "tester")
      let got = try await harness.call("GET", crontabs + "/a").json()
      #expect(got == made)
      let list = try await harness.call("GET", "/apis/stable.example.com/v1/crontabs").json()
      #expect(list["kind"] == "CronTabList")
      #expect(list["items"]?.arrayValue == [made])
      let beta = await harness.call("GET", "/apis/stable.example.com/v1beta1/namespaces/default/crontabs/a")
      #expect(try beta.json()["apiVersion"] == "stable.example.com/v1beta1")
      #expect(beta.headers["warning"] == #"299 - "stable.example.com/v1beta1 CronTab is deprecated""#)
      let gone = await harness.call("DELETE", crontabs + "/a")
      #expect(gone.status == 200)
      #expect(await harness.call("GET", crontabs + "/a").status == 404)
    }
  }

  @Test func areValidated() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      let bad = await harness.call("POST", crontabs, cronTab("a", #""replicas":-1"#))
      #expect(bad.status == 422)
      let message = try bad.json()["message"]?.stringValue
      #expect(
        message
          == #"CronTab.stable.example.com "a" is invalid: [spec.cron: Required value, spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0]"#
      )
      let rule = await harness.call("POST", crontabs, cronTab("a", #""cron":"","replicas":11"#))
      #expect(
        try rule.json()["message"]
          == #"CronTab.stable.example.com "a" is invalid: spec: Invalid value: many need a cron"#)
      let strict = await harness.call(
        "POST", crontabs + "?fieldValidation=Strict", cronTab("a", #""cron":"x","crn":"y""#))
      #expect(strict.status == 400)
      #expect(
        try strict.json()["message"]
          == #"CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.crn""#
      )
      let warned = await harness.call(
        "POST", crontabs + "?fieldValidation=Warn", cronTab("a", #""cron":"x","crn":"y""#))
      #expect(warned.headers["warning"] == #"299 - "unknown field \"spec.crn\"""#)
    }
  }

  @Test func statusScaleAndGenerationAreApart() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      let made = try await harness.create(crontabs, cronTab("a"))
      let status = await harness.call(
        "PATCH", crontabs + "/a/status",
        #"{"metadata":{"labels":{"x":"y"}},"spec":{"cron":"no"},"status":{"replicas":2,"selector":"a=b"}}"#,
        type: "application/merge-patch+json")
      let after = try status.json()
      #expect(after["status"] == ["replicas": 2, "selector": "a=b"])
      #expect(after["spec"] == made["spec"])
      #expect(after["metadata"]?["labels"] == nil)
      #expect(after["metadata"]?["generation"] == 1)
      let scale = try await harness.call("GET", crontabs + "/a/scale").json()
      #expect(scale["spec"] == ["replicas": 1])
      #expect(scale["status"] == ["replicas": 2, "selector": "a=b"])
      #expect(scale["kind"] == "Scale")
      let scaled = await harness.call(
        "PATCH", crontabs + "/a/scale", #"{"spec":{"replicas":5}}"#, type: "application/merge-patch+json")
      #expect(scaled.status == 200)
      let now = try await harness.call("GET", crontabs + "/a").json()
      #expect(now["spec"]?["replicas"] == 5)
      #expect(now["metadata"]?["generation"] == 2)
      #expect(now["status"]?["replicas"] == 2)
    }
  }

  @Test func tablesHaveTheirColumns() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      try await harness.create(crontabs, cronTab("a"))
      let table = try await harness.call(
        "GET", crontabs, accept: "application/json;as=Table;v=v1;g=meta.k8s.io"
      ).json()
      #expect(
        table["columnDefinitions"]?.arrayValue?.map { $0["name"]?.stringValue } == ["Name", "Cron", "Replicas", "Age"])
      #expect(table["columnDefinitions"]?.arrayValue?[2]["description"] == "how many")
      let cells = table["rows"]?.arrayValue?.first?["cells"]?.arrayValue ?? []
      #expect(cells.prefix(3) == ["a", "* * * * *", 1])
      #expect(cells.last?.stringValue?.hasSuffix("s") == true)
    }
  }

  @Test func fieldsCanBeSelected() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      try await harness.create(crontabs, cronTab("a", #""cron":"x","image":"one""#))
      try await harness.create(crontabs, cronTab("b", #""cron":"x","image":"two""#))
      let list = try await harness.call("GET", crontabs + "?fieldSelector=spec.image%3Dtwo").json()
      #expect(list["items"]?.arrayValue?.map { $0["metadata"]?["name"]?.stringValue } == ["b"])
      #expect(await harness.call("GET", crontabs + "?fieldSelector=spec.cron%3Dx").status == 400)
    }
  }

  @Test func applyKnowsTheLists() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      func apply(_ manager: String, _ spec: String) async -> Answer {
        await harness.call(
          "PATCH", crontabs + "/a?fieldManager=\(manager)", cronTab("a", spec), type: "application/apply-patch+yaml")
      }
      #expect(await apply("one", #""cron":"x","ports":[{"name":"p","port":1}]"#).status == 201)
      #expect(await apply("two", #""ports":[{"name":"q","port":2}]"#).status == 200)
      let both = try await harness.call("GET", crontabs + "/a").json()
      #expect(both["spec"]?["ports"]?.arrayValue?.map { $0["name"]?.stringValue } == ["p", "q"])
      let conflict = await apply("two", #""ports":[{"name":"p","port":3}]"#)
      #expect(conflict.status == 409)
      #expect(
        try conflict.json()["message"]
          == #"Apply failed with 1 conflict: conflict with "one": .spec.ports[name="p"].port"#)
      let strategic = await harness.call(
        "PATCH", crontabs + "/a", "{}", type: "application/strategic-merge-patch+json")
      #expect(strategic.status == 415)
    }
  }

  @Test func watchersSeeThem() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      let watch = try await harness.watch(crontabs + "?watch=true")
      try await harness.create(crontabs, cronTab("a"))
      let event = try await watch.next(1).first
      #expect(event?.type == "ADDED")
      #expect(event?.object["kind"] == "CronTab")
      #expect(event?.object["spec"]?["replicas"] == 1)
      watch.cancel()
    }
  }

  @Test func aNewSchemaHoldsForWhatIsThere() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      try await harness.create(crontabs, cronTab("a", #""cron":"x","image":"old""#))
      let name = definitions + "/crontabs.stable.example.com"
      let changed = await harness.call(
        "PATCH", name,
        #"""
        [{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode",
          "value":{"type":"string","default":"fast"}},
         {"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/image"},
         {"op":"remove","path":"/spec/versions/0/selectableFields"}]
        """#, type: "application/json-patch+json")
      #expect(changed.status == 200, "\(changed.text)")
      #expect(
        try await harness.eventually {
          try await harness.call("GET", crontabs + "/a").json()["spec"]
            == ["cron": "x", "mode": "fast", "replicas": 1]
        })
    }
  }

  @Test func theStorageVersionCanChange() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      try await harness.create(crontabs, cronTab("a"))
      let name = definitions + "/crontabs.stable.example.com"
      let changed = await harness.call(
        "PATCH", name,
        #"[{"op":"replace","path":"/spec/versions/0/storage","value":false},{"op":"replace","path":"/spec/versions/1/storage","value":true}]"#,
        type: "application/json-patch+json")
      #expect(try changed.json()["status"]?["storedVersions"] == ["v1", "v1beta1"])
      func stored() async throws -> String {
        let value = try await harness.storage.get("/registry/crontabs.stable.example.com/default/a")
        return String(decoding: value?.value ?? [], as: UTF8.self)
      }
      #expect(try await stored().hasSuffix(#","apiVersion":"stable.example.com/v1","kind":"CronTab"}"#))
      // Writing what is there moves it to the new version.
      let moved = try await harness.eventually {
        let present = await harness.call("GET", crontabs + "/a")
        guard await harness.call("PUT", crontabs + "/a", present.text).status == 200 else { return false }
        return try await stored().hasSuffix(#","apiVersion":"stable.example.com/v1beta1","kind":"CronTab"}"#)
      }
      #expect(moved)
      #expect(try await harness.call("GET", crontabs + "/a").json()["apiVersion"] == "stable.example.com/v1")
    }
  }

  @Test func namesBelongToOne() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      try await harness.create(
        definitions, definition({ $0["spec"]?["names"]?["shortNames"] = ["cr"] }, kind: "Other", plural: "others"))
      let name = definitions + "/others.stable.example.com"
      #expect(
        try await harness.eventually {
          let conditions = try await harness.call("GET", name).json()["status"]?["conditions"]?.arrayValue ?? []
          return conditions.contains {
            $0["type"] == "NamesAccepted" && $0["status"] == "False" && $0["reason"] == "ShortNamesConflict"
              && $0["message"] == #""cr" is already in use"#
          }
        })
      #expect(await harness.call("GET", "/apis/stable.example.com/v1/others").status == 404)
      #expect(await harness.call("DELETE", definitions + "/crontabs.stable.example.com").status == 200)
      try await harness.established("others")
      #expect(await harness.call("GET", "/apis/stable.example.com/v1/others").status == 200)
    }
  }

  @Test func deletingTheDefinitionDeletesTheObjects() async throws {
    try await RegistryHarness.with { harness in
      try await harness.define(definition())
      try await harness.create(crontabs, cronTab("a"))
      let held = cronTab("b").replacing(#""name":"b""#, with: #""name":"b","finalizers":["example.com/hold"]"#)
      try await harness.create(crontabs, held)
      let deleted = try await harness.call("DELETE", definitions + "/crontabs.stable.example.com").json()
      #expect(deleted["metadata"]?["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"])
      #expect(try await harness.eventually { await harness.call("GET", crontabs + "/a").status == 404 })
      let late = await harness.call("POST", crontabs, cronTab("c"))
      #expect(late.status == 405)
      #expect(
        try late.json()["message"] == "create not allowed while custom resource definition is terminating")
      #expect(await harness.call("GET", crontabs + "/b").status == 200)
      _ = await harness.call(
        "PATCH", crontabs + "/b", #"{"metadata":{"finalizers":null}}"#, type: "application/merge-patch+json")
      #expect(
        try await harness.eventually {
          await harness.call("GET", definitions + "/crontabs.stable.example.com").status == 404
        })
      #expect(try await harness.eventually { await harness.call("GET", crontabs).status == 404 })
    }
  }

  @Test func badSchemasAreRefused() async throws {
    try await RegistryHarness.with { harness in
      let bad = try definition {
        for at in 0..<2 {
          var versions = $0["spec"]?["versions"]?.arrayValue ?? []
          versions[at]["schema"] = ["openAPIV3Schema": ["type": "object", "properties": ["spec": ["type": "array"]]]]
          versions[at]["selectableFields"] = nil
          $0["spec"]?["versions"] = .array(versions)
        }
      }
      let answer = await harness.call("POST", definitions, bad)
      #expect(answer.status == 422)
      #expect(
        try answer.json()["message"]?.stringValue?.hasSuffix(
          "is invalid: spec.validation.openAPIV3Schema.properties[spec].items: Required value: must be specified")
          == true, "\(answer.text)")
    }
  }

  @Test func discoveryAndOpenAPIShowThem() async throws {
    try await ServerFixture.with(listening: false) { fixture in
      let registry = fixture.server.registry
      let request = RegistryHarness.request(
        "POST", definitions, try definition(), type: "application/json", accept: "application/json", user: .apiServer)
      #expect(await registry.handle(request).status == 201)
      func document(_ path: String) throws -> JSONValue? {
        let head = HTTPFields([("accept", "application/json")])
        let response =
          fixture.server.discovery.documents.answer(path: path, headers: head)
          ?? fixture.server.openAPI.answer(path: path, query: [], headers: head)
        guard case .bytes(let bytes)? = response?.body else { return nil }
        return try JSONValue(parsing: bytes)
      }
      for _ in 0..<2000 where try document("/apis/stable.example.com") == nil {
        try await Task.sleep(for: .milliseconds(2))
      }
      let group = try document("/apis/stable.example.com")
      #expect(group?["preferredVersion"]?["version"] == "v1")
      let list = try document("/apis/stable.example.com/v1")
      #expect(
        list?["resources"]?.arrayValue?.map { $0["name"]?.stringValue } == [
          "crontabs", "crontabs/scale", "crontabs/status",
        ])
      #expect(list?["resources"]?.arrayValue?.first?["shortNames"] == ["cr"])
      let index = try document("/openapi/v3")
      #expect(index?["paths"]?["apis/stable.example.com/v1"] != nil)
      #expect(index?["paths"]?["apis/apps/v1"] != nil)
      let openAPI = try document("/openapi/v3/apis/stable.example.com/v1")
      let type = openAPI?["components"]?["schemas"]?["com.example.stable.v1.CronTab"]
      #expect(type?["properties"]?["spec"]?["properties"]?["cron"]?["type"] == "string")
      #expect(
        type?["x-kubernetes-group-version-kind"] == [
          ["group": "stable.example.com", "kind": "CronTab", "version": "v1"]
        ])
      #expect(openAPI?["components"]?["schemas"]?["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"] != nil)
      #expect(openAPI?["paths"]?["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}/scale"] != nil)
      let old = try document("/openapi/v2")
      #expect(old?["definitions"]?["com.example.stable.v1.CronTab"] != nil)
      #expect(old?["definitions"]?["io.k8s.api.apps.v1.Deployment"] != nil)
    }
  }
}

@Suite struct VersionPriorityTests {
  @Test func newerAndSteadierComeFirst() {
    let versions = ["foo10", "v1alpha1", "v2", "v10", "v1beta2", "foo1", "v1", "v11alpha2", "v3beta1", "v12alpha1"]
    #expect(
      versions.sorted { VersionPriority($0) > VersionPriority($1) } == [
        "v10", "v2", "v1", "v3beta1", "v1beta2", "v12alpha1", "v11alpha2", "v1alpha1", "foo1", "foo10",
      ])
  }
}
