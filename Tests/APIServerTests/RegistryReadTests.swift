import API
import APIMachinery
import StorageSQLite
import Testing

@testable import APIServer

@Suite struct RegistryReadTests {
  private let maps = "/api/v1/namespaces/default/configmaps"

  private func fill(_ harness: RegistryHarness, _ count: Int) async throws {
    for index in 0..<count {
      try await harness.create(
        maps, #"{"metadata":{"name":"m\#(index)","labels":{"odd":"\#(index % 2)"}},"data":{"k":"v"}}"#)
    }
  }

  @Test func getAndListShowServedForm() async throws {
    try await RegistryHarness.with { harness in
      let made = try await harness.create(
        maps, #"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"x":"1"}}"#)
      let got = await harness.call("GET", maps + "/a")
      #expect(got.status == 200)
      #expect(got.text.hasPrefix(#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":""#))
      let tree = try got.json()
      #expect(tree["data"]?["x"] == "1")
      #expect(version(tree) == version(made))
      #expect(tree["metadata"]?["uid"]?.stringValue?.count == 36)
      let list = try await harness.call("GET", maps).json()
      #expect(list["kind"] == "ConfigMapList")
      #expect(names(list) == ["a"])
      #expect(list["items"]?.arrayValue?.first?["kind"] == nil)
      let missing = await harness.call("GET", maps + "/b")
      #expect(missing.status == 404)
      #expect(missing.message == #"configmaps "b" not found"#)
    }
  }

  @Test func listsInPagesOfOneState() async throws {
    try await RegistryHarness.with { harness in
      try await fill(harness, 5)
      let first = try await harness.call("GET", maps + "?limit=2").json()
      #expect(names(first) == ["m0", "m1"])
      #expect(first["metadata"]?["remainingItemCount"] == 3)
      let token = try #require(first["metadata"]?["continue"]?.stringValue)
      // What happens between two pages does not show in the second.
      try await harness.create(maps, #"{"metadata":{"name":"m2a"}}"#)
      let second = try await harness.call("GET", maps + "?limit=2&continue=\(token)").json()
      #expect(names(second) == ["m2", "m3"])
      #expect(version(second) == version(first))
      let last = try await harness.call(
        "GET", maps + "?continue=\(second["metadata"]?["continue"]?.stringValue ?? "")"
      ).json()
      #expect(names(last) == ["m4"])
      #expect(last["metadata"]?["continue"] == nil)
    }
  }

  @Test func expiredContinueGivesAnInconsistentToken() async throws {
    try await RegistryHarness.with { harness in
      try await fill(harness, 4)
      let first = try await harness.call("GET", maps + "?limit=2").json()
      let token = try #require(first["metadata"]?["continue"]?.stringValue)
      try await fill2(harness)
      try await harness.storage.compact(to: harness.storage.currentRevision)
      let expired = await harness.call("GET", maps + "?limit=2&continue=\(token)")
      #expect(expired.status == 410)
      #expect(expired.reason == "Expired")
      let rest = try #require(try expired.json()["metadata"]?["continue"]?.stringValue)
      let next = try await harness.call("GET", maps + "?continue=\(rest)").json()
      #expect(names(next) == ["m2", "m3", "n"])
    }
  }

  private func fill2(_ harness: RegistryHarness) async throws {
    try await harness.create(maps, #"{"metadata":{"name":"n"}}"#)
  }

  @Test func selectsByLabelsAndFields() async throws {
    try await RegistryHarness.with { harness in
      try await fill(harness, 4)
      #expect(names(try await harness.call("GET", maps + "?labelSelector=odd%3D1").json()) == ["m1", "m3"])
      #expect(names(try await harness.call("GET", maps + "?fieldSelector=metadata.name%3Dm2").json()) == ["m2"])
      let bad = await harness.call("GET", maps + "?fieldSelector=data.k%3Dv")
      #expect(bad.status == 400)
      #expect(bad.message == "field label not supported: data.k")
    }
  }

  @Test func checksListOptions() async throws {
    try await RegistryHarness.with { harness in
      let forbidden = await harness.call("GET", maps + "?resourceVersionMatch=Exact")
      #expect(forbidden.status == 422)
      #expect(
        forbidden.message
          == "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
          + "resourceVersionMatch is forbidden unless resourceVersion is provided")
      let future = await harness.call("GET", maps + "/x?resourceVersion=99999999")
      #expect(future.status == 504)
      let cause = try future.json()["details"]?["causes"]?.arrayValue?.first
      #expect(cause?["reason"] == "ResourceVersionTooLarge")
      let none = await harness.call("GET", maps, accept: "text/html")
      #expect(none.status == 406)
    }
  }

  @Test func rendersTablesAndMetadata() async throws {
    try await RegistryHarness.with { harness in
      try await fill(harness, 1)
      let table = try await harness.call(
        "GET", maps, accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
      ).json()
      #expect(table["kind"] == "Table")
      #expect(table["columnDefinitions"]?.arrayValue?.map { $0["name"] } == ["Name", "Data", "Age"])
      let row = try #require(table["rows"]?.arrayValue?.first)
      #expect(row["cells"]?.arrayValue?.prefix(2) == ["m0", 1])
      #expect(row["object"]?["kind"] == "PartialObjectMetadata")
      let partial = try await harness.call(
        "GET", maps, accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
      ).json()
      #expect(partial["kind"] == "PartialObjectMetadataList")
      #expect(names(partial) == ["m0"])
      #expect(partial["items"]?.arrayValue?.first?["data"] == nil)
    }
  }
}
