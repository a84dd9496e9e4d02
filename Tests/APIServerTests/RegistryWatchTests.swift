import API
import APIMachinery
import StorageSQLite
import Testing

@testable import APIServer

@Suite struct RegistryWatchTests {
  private let maps = "/api/v1/namespaces/default/configmaps"

  @Test func showsStateThenChanges() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      let reader = try await harness.watch(maps + "?watch=1")
      #expect(try await reader.next(1).map(\.type) == ["ADDED"])
      try await harness.create(maps, #"{"metadata":{"name":"b"}}"#)
      _ = await harness.call("PUT", maps + "/b", #"{"metadata":{"name":"b"},"data":{"k":"v"}}"#)
      _ = await harness.call("DELETE", maps + "/b")
      let events = try await reader.next(3)
      #expect(events.map(\.type) == ["ADDED", "MODIFIED", "DELETED"])
      #expect(events[2].object["data"]?["k"] == "v")
      let versions = events.compactMap { UInt64(version($0.object)) }
      #expect(versions == versions.sorted() && Set(versions).count == 3)
      reader.cancel()
    }
  }

  @Test func startsAtAnyKnownRevision() async throws {
    try await RegistryHarness.with { harness in
      let first = try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      try await harness.create(maps, #"{"metadata":{"name":"b"}}"#)
      let reader = try await harness.watch(maps + "?watch=1&resourceVersion=\(version(first))")
      #expect(try await reader.next(1).map { name($0.object) } == ["b"])
      reader.cancel()
    }
  }

  @Test func moveInAndOutOfASelector() async throws {
    try await RegistryHarness.with { harness in
      let reader = try await harness.watch(maps + "?watch=1&labelSelector=on%3Dyes")
      try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      for value in ["yes", "no"] {
        _ = await harness.call(
          "PUT", maps + "/a", #"{"metadata":{"name":"a","labels":{"on":"\#(value)"}}}"#)
      }
      let events = try await reader.next(2)
      #expect(events.map(\.type) == ["ADDED", "DELETED"])
      #expect(events[1].object["metadata"]?["labels"]?["on"] == "yes")
      reader.cancel()
    }
  }

  @Test func streamsListsWithAnEndMark() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      let reader = try await harness.watch(
        maps + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
      let events = try await reader.next(2)
      #expect(events.map(\.type) == ["ADDED", "BOOKMARK"])
      #expect(events[1].object["metadata"]?["annotations"]?["k8s.io/initial-events-end"] == "true")
      reader.cancel()
    }
  }

  @Test func tellsWhenHistoryIsGone() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      try await harness.storage.compact(to: harness.storage.currentRevision)
      let restarted = try Registry(storage: harness.storage, logger: harness.registry.logger)
      try await restarted.start()
      let reader = try await harness.watch(maps + "?watch=1&resourceVersion=1", at: restarted)
      let events = try await reader.next(1)
      #expect(events.map(\.type) == ["ERROR"])
      #expect(events[0].object["code"] == 410)
      #expect(events[0].object["reason"] == "Expired")
      restarted.stop()
    }
  }

  @Test func endsWhenItsTimeIsUp() async throws {
    try await RegistryHarness.with { harness in
      let reader = try await harness.watch(maps + "?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")
      _ = harness.registry.watches.tick(.now + .seconds(2))
      let events = try await reader.next(5)
      #expect(events.map(\.type) == ["BOOKMARK"])
    }
  }

  @Test func aWatchGoesOnAcrossARestart() async throws {
    try await RegistryHarness.with { harness in
      let first = try await harness.create(maps, #"{"metadata":{"name":"a"}}"#)
      try await harness.create(maps, #"{"metadata":{"name":"b"}}"#)
      _ = await harness.call("DELETE", maps + "/a")
      let restarted = try Registry(storage: harness.storage, logger: harness.registry.logger)
      try await restarted.start()
      let reader = try await harness.watch(maps + "?watch=1&resourceVersion=\(version(first))", at: restarted)
      let missed = try await reader.next(2)
      #expect(missed.map(\.type) == ["ADDED", "DELETED"])
      #expect(missed.map { name($0.object) } == ["b", "a"])
      _ = await harness.call("DELETE", maps + "/b")
      #expect(try await reader.next(1).map { name($0.object) } == ["b"])
      reader.cancel()
      restarted.stop()
    }
  }

  @Test func tablesAreWatchedToo() async throws {
    try await RegistryHarness.with { harness in
      let reader = try await harness.watch(
        maps + "?watch=1", accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
      for name in ["a", "b"] { try await harness.create(maps, #"{"metadata":{"name":"\#(name)"}}"#) }
      let events = try await reader.next(2)
      #expect(events.map { $0.object["kind"] } == ["Table", "Table"])
      // Only the first carries the columns.
      #expect(events.map { $0.object["columnDefinitions"]?.arrayValue?.count } == [3, 0])
      #expect(events[1].object["rows"]?.arrayValue?.first?["cells"]?.arrayValue?.first == "b")
      reader.cancel()
    }
  }
}
