import API
import APIMachinery
import HTTP
import Testing

@testable import APIServer

@Suite struct RegistryWriteTests {
  private let maps = "/api/v1/namespaces/default/configmaps"
  private let deployments = "/apis/apps/v1/namespaces/default/deployments"
  private let web = #"""
    {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2,"selector":
    {"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":
    [{"name":"c","image":"i"}]}}},"status":{"replicas":7}}
    """#

  @Test func createSetsWhatTheServerOwns() async throws {
    try await RegistryHarness.with { harness in
      let made = try await harness.create(deployments, web)
      #expect(made["metadata"]?["generation"] == 1)
      #expect(made["metadata"]?["namespace"] == "default")
      #expect(made["status"]?["replicas"] == nil)
      let again = await harness.call("POST", deployments, web)
      #expect(again.status == 409)
      #expect(again.message == #"deployments.apps "web" already exists"#)
      let generated = try await harness.create(maps, #"{"metadata":{"generateName":"g-"}}"#)
      #expect(name(generated).hasPrefix("g-") && name(generated).count == 7)
      let elsewhere = await harness.call("POST", maps, #"{"metadata":{"name":"x","namespace":"other"}}"#)
      #expect(elsewhere.status == 400)
      let nowhere = await harness.call("POST", "/api/v1/namespaces/none/configmaps", #"{"metadata":{"name":"x"}}"#)
      #expect(nowhere.status == 404)
      #expect(nowhere.message == #"namespaces "none" not found"#)
    }
  }

  @Test func updatesAreOptimistic() async throws {
    try await RegistryHarness.with { harness in
      let made = try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      let body = #"{"metadata":{"name":"a","resourceVersion":"\#(version(made))"},"data":{"k":"1"}}"#
      let first = await harness.call("PUT", maps + "/a", body)
      #expect(first.status == 200)
      let stale = await harness.call("PUT", maps + "/a", body)
      #expect(stale.status == 409)
      #expect(
        stale.message == "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
          + "please apply your changes to the latest version and try again")
      let same = await harness.call("PUT", maps + "/a", #"{"metadata":{"name":"a"},"data":{"k":"1"}}"#)
      #expect(version(try same.json()) == version(try first.json()))
      let wrong = await harness.call("PUT", maps + "/a", #"{"metadata":{"name":"b"}}"#)
      #expect(wrong.status == 400)
    }
  }

  @Test func specAndStatusAreApart() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(deployments, web)
      let status = #"{"metadata":{"name":"web"},"spec":{"replicas":9},"status":{"replicas":2,"readyReplicas":1}}"#
      let written = try await harness.call("PUT", deployments + "/web/status", status).json()
      #expect(written["status"]?["readyReplicas"] == 1)
      #expect(written["spec"]?["replicas"] == 2)
      #expect(written["metadata"]?["generation"] == 1)
      let scaled = try await harness.call(
        "PUT", deployments + "/web/scale",
        #"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"web"},"spec":{"replicas":5}}"#
      ).json()
      #expect(scaled["spec"]?["replicas"] == 5)
      #expect(scaled["status"]?["replicas"] == 2)
      #expect(scaled["status"]?["selector"] == "app=web")
      let now = try await harness.call("GET", deployments + "/web").json()
      #expect(now["spec"]?["replicas"] == 5)
      #expect(now["status"]?["readyReplicas"] == 1)
      #expect(now["metadata"]?["generation"] == 2)
    }
  }

  @Test func dryRunsLeaveNothing() async throws {
    try await RegistryHarness.with { harness in
      let dry = await harness.call("POST", maps + "?dryRun=All", #"{"metadata":{"name":"a"}}"#)
      #expect(dry.status == 201)
      #expect(await harness.call("GET", maps + "/a").status == 404)
      let bad = await harness.call("POST", maps + "?dryRun=Some", #"{"metadata":{"name":"a"}}"#)
      #expect(bad.status == 422)
    }
  }

  @Test func finalizersHoldAnObject() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a","finalizers":["example.com/hold"]}}"#)
      let marked = await harness.call("DELETE", maps + "/a")
      #expect(marked.status == 200)
      let object = try marked.json()
      #expect(object["metadata"]?["deletionTimestamp"] != nil)
      #expect(object["metadata"]?["deletionGracePeriodSeconds"] == 0)
      let free = await harness.call("PUT", maps + "/a", #"{"metadata":{"name":"a"}}"#)
      #expect(free.status == 200)
      #expect(await harness.call("GET", maps + "/a").status == 404)
    }
  }

  @Test func deletesAnswerAndCheckPreconditions() async throws {
    try await RegistryHarness.with { harness in
      let made = try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      let wrong = await harness.call("DELETE", maps + "/a", #"{"preconditions":{"uid":"other"}}"#)
      #expect(wrong.status == 409)
      let gone = try await harness.call("DELETE", maps + "/a").json()
      #expect(gone["status"] == "Success")
      #expect(gone["details"]?["kind"] == "configmaps")
      #expect(gone["details"]?["uid"] == made["metadata"]?["uid"])
      #expect(await harness.call("DELETE", maps + "/a").status == 404)
      let waiting = try await harness.create(deployments, web)
      #expect(name(waiting) == "web")
      let foreground = await harness.call("DELETE", deployments + "/web", #"{"propagationPolicy":"Foreground"}"#)
      #expect(foreground.status == 202)
      #expect(try foreground.json()["metadata"]?["finalizers"] == ["foregroundDeletion"])
      for name in ["x", "y"] { try await harness.create(maps, #"{"metadata":{"name":"\#(name)"}}"#) }
      #expect(await harness.call("DELETE", maps).status == 200)
      #expect(names(try await harness.call("GET", maps).json()) == [])
    }
  }

  @Test func namespacesEndInSteps() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create("/api/v1/namespaces", #"{"metadata":{"name":"n"}}"#)
      let marked = try await harness.call("DELETE", "/api/v1/namespaces/n").json()
      #expect(marked["status"]?["phase"] == "Terminating")
      #expect(marked["spec"]?["finalizers"] == ["kubernetes"])
      let late = await harness.call("POST", "/api/v1/namespaces/n/configmaps", #"{"metadata":{"name":"x"}}"#)
      #expect(late.status == 403)
      #expect(
        late.message == "configmaps \"x\" is forbidden: unable to create new content in namespace n because it is "
          + "being terminated")
      let finalized = await harness.call(
        "PUT", "/api/v1/namespaces/n/finalize", #"{"metadata":{"name":"n"},"spec":{"finalizers":[]}}"#)
      #expect(finalized.status == 200)
      #expect(await harness.call("GET", "/api/v1/namespaces/n").status == 404)
      let immortal = await harness.call("DELETE", "/api/v1/namespaces/default")
      #expect(immortal.status == 403)
      #expect(immortal.message == #"namespaces "default" is forbidden: this namespace may not be deleted"#)
    }
  }

  @Test func eventsAreOneCollectionInTwoGroups() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(
        "/api/v1/namespaces/default/events",
        #"{"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"message":"hello","reason":"R","type":"Normal"}"#
      )
      let other = try await harness.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e").json()
      #expect(other["apiVersion"] == "events.k8s.io/v1")
      #expect(other["note"] == "hello")
      #expect(other["regarding"]?["name"] == "p")
      let found = try await harness.call(
        "GET", "/api/v1/events?fieldSelector=involvedObject.name%3Dp,type%3DNormal"
      ).json()
      #expect(names(found) == ["e"])
    }
  }

  @Test func patchesInEveryFormat() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(deployments, web)
      let merge = await harness.call(
        "PATCH", deployments + "/web", #"{"spec":{"replicas":3}}"#, type: "application/merge-patch+json")
      #expect(try merge.json()["spec"]?["replicas"] == 3)
      #expect(try merge.json()["metadata"]?["generation"] == 2)
      let json = await harness.call(
        "PATCH", deployments + "/web", #"[{"op":"replace","path":"/spec/replicas","value":4}]"#,
        type: "application/json-patch+json")
      #expect(try json.json()["spec"]?["replicas"] == 4)
      let strategic = await harness.call(
        "PATCH", deployments + "/web",
        #"{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"j"}]}}}}"#,
        type: "application/strategic-merge-patch+json")
      let containers = try strategic.json()["spec"]?["template"]?["spec"]?["containers"]?.arrayValue
      #expect(containers?.compactMap { $0["name"]?.stringValue }.sorted() == ["c", "d"])
      let unknown = await harness.call("PATCH", deployments + "/web", "{}", type: "text/plain")
      #expect(unknown.status == 415)
      let stale = await harness.call(
        "PATCH", deployments + "/web", #"{"metadata":{"resourceVersion":"1"}}"#, type: "application/merge-patch+json")
      #expect(stale.status == 409)
      let status = await harness.call(
        "PATCH", deployments + "/web/status", #"{"status":{"replicas":4},"spec":{"replicas":1}}"#,
        type: "application/merge-patch+json")
      #expect(try status.json()["status"]?["replicas"] == 4)
      #expect(try status.json()["spec"]?["replicas"] == 4)
    }
  }

  @Test func strictFieldsAreRefusedAndOthersWarned() async throws {
    try await RegistryHarness.with { harness in
      let body = #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"dta":{"k":"v"}}"#
      let strict = await harness.call("POST", maps + "?fieldValidation=Strict", body)
      #expect(strict.status == 400)
      #expect(
        strict.message == "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
          + "unknown field \"dta\"")
      let warned = await harness.call("POST", maps, body)
      #expect(warned.status == 201)
      #expect(warned.headers["Warning"] == #"299 - "unknown field \"dta\"""#)
      let wrong = await harness.call("POST", maps, #"{"metadata":{"name":"b"},"data":[]}"#)
      #expect(wrong.status == 400)
      let malformed = await harness.call("POST", maps, "{")
      #expect(malformed.status == 400)
      let kind = await harness.call("POST", maps, #"{"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"b"}}"#)
      #expect(
        kind.message == "the API version in the data (v2) does not match the expected API version (v1)")
    }
  }

  @Test func applyTracksOwnersAndConflicts() async throws {
    try await RegistryHarness.with { harness in
      let type = "application/apply-patch+yaml"
      func config(_ value: String) -> String {
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"\(value)\"\n"
      }
      let made = await harness.call("PATCH", maps + "/a?fieldManager=one", config("1"), type: type)
      #expect(made.status == 201, "\(made.text)")
      let entries = try made.json()["metadata"]?["managedFields"]?.arrayValue
      #expect(entries?.map { $0["operation"] } == ["Apply"])
      let same = await harness.call("PATCH", maps + "/a?fieldManager=one", config("1"), type: type)
      #expect(same.status == 200)
      #expect(version(try same.json()) == version(try made.json()))
      let conflict = await harness.call("PATCH", maps + "/a?fieldManager=two", config("2"), type: type)
      #expect(conflict.status == 409)
      #expect(conflict.message == #"Apply failed with 1 conflict: conflict with "one": .data.k"#)
      let forced = await harness.call("PATCH", maps + "/a?fieldManager=two&force=true", config("2"), type: type)
      #expect(try forced.json()["data"]?["k"] == "2")
      let anonymous = await harness.call("PATCH", maps + "/a", config("2"), type: type)
      #expect(anonymous.status == 422)
    }
  }

  @Test func updatesRecordTheirWriter() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a"},"data":{"x":"1"}}"#)
      let other = await harness.call(
        "PATCH", maps + "/a?fieldManager=other", #"{"data":{"y":"2"}}"#, type: "application/merge-patch+json")
      let entries = try #require(try other.json()["metadata"]?["managedFields"]?.arrayValue)
      #expect(entries.compactMap { $0["manager"]?.stringValue }.sorted() == ["other", "tester"])
      let mine = try #require(entries.first { $0["manager"] == "other" })
      #expect(mine["fieldsV1"] == ["f:data": ["f:y": [:]]])
    }
  }
}
