import API
import APIMachinery
import HTTP
import Storage
import Synchronization
import Testing

@testable import APIServer

/// Two servers on one store; what the first writes reaches the second late.
@Suite struct RegistryFreshnessTests {
  private let maps = "/api/v1/namespaces/default/configmaps"

  private func withTwo(
    _ body: (RegistryHarness, Registry, DistantStorage) async throws -> Void
  ) async throws {
    try await RegistryHarness.with { first in
      let storage = DistantStorage(first.storage)
      let second = try Registry(storage: storage, logger: first.registry.logger)
      try await second.start()
      let result = await Result { try await body(first, second, storage) }
      second.stop()
      try result.get()
    }
  }

  @Test func readsWithoutARevisionShowWhatOthersWrote() async throws {
    try await withTwo { first, second, storage in
      storage.hold()
      let made = try await first.create(maps, #"{"metadata":{"name":"a"}}"#)
      // What the cache has is enough for some.
      #expect(await first.call("GET", maps + "/a?resourceVersion=0", at: second).status == 404)
      #expect(try names(await first.call("GET", maps + "?resourceVersion=0", at: second).json()) == [])
      for target in [
        maps + "/a", maps, maps + "?limit=1", maps + "/a?resourceVersion=\(version(made))",
        maps + "?resourceVersion=\(version(made))",
        maps + "?resourceVersion=\(version(made))&resourceVersionMatch=Exact",
        maps + "?fieldSelector=metadata.name%3Da",
        maps + "?fieldSelector=metadata.name%3Da&resourceVersion=\(version(made))",
      ] {
        storage.hold()
        async let answer = first.call("GET", target, at: second)
        try await Task.sleep(for: .milliseconds(30))
        storage.release()
        let found = await answer
        #expect(found.status == 200, "\(target): \(found.text)")
        #expect(found.text.contains(#""name":"a""#), "\(target)")
      }
    }
  }

  @Test func changesThatAreRefusedAreLookedAtAgain() async throws {
    try await withTwo { first, second, storage in
      storage.hold()
      let made = try await first.create(maps, #"{"metadata":{"name":"a"}}"#)
      let body = #"{"metadata":{"name":"a","resourceVersion":"\#(version(made))"},"data":{"k":"v"}}"#
      async let answer = first.call("PUT", maps + "/a", body, at: second)
      try await Task.sleep(for: .milliseconds(30))
      storage.release()
      let found = await answer
      #expect(found.status == 200, "\(found.text)")
    }
  }

  @Test func aStoreThatIsAwayLeavesReadsAndStopsWrites() async throws {
    try await withTwo { first, second, storage in
      try await first.create(maps, #"{"metadata":{"name":"a"}}"#)
      storage.set(away: true)
      let read = await first.call("GET", maps + "/a", at: second)
      #expect(read.status == 200)
      #expect(read.headers["Warning"]?.contains("may be out of date") == true)
      #expect(await first.call("GET", maps + "/a?resourceVersion=0", at: second).headers["Warning"] == nil)
      let list = await first.call("GET", maps, at: second)
      #expect(list.status == 200)
      #expect(list.headers["Warning"] != nil)
      let write = await first.call("POST", maps, #"{"metadata":{"name":"b"}}"#, at: second)
      #expect(write.status == 503)
      #expect(write.reason == "ServiceUnavailable")
      #expect(write.headers["Retry-After"] == "1")
      storage.set(away: false)
      #expect(await first.call("POST", maps, #"{"metadata":{"name":"b"}}"#, at: second).status == 201)
    }
  }

  @Test func aWatchFromARevisionThatIsNotHereYetBeginsAfterIt() async throws {
    try await withTwo { first, second, storage in
      storage.hold()
      try await first.create(maps, #"{"metadata":{"name":"a"}}"#)
      let seen = try await first.create(maps, #"{"metadata":{"name":"b"}}"#)
      let reader = try await first.watch(maps + "?watch=1&resourceVersion=\(version(seen))", at: second)
      storage.release()
      try await first.create(maps, #"{"metadata":{"name":"c"}}"#)
      #expect(try await reader.next(1).map { name($0.object) } == ["c"])
      reader.cancel()
    }
  }

  @Test func lostHistoryEndsWatchesAndTellsSubscribersTheDifference() async throws {
    try await withTwo { first, second, storage in
      for name in ["gone", "same", "changed", "again"] {
        try await first.create(maps, #"{"metadata":{"name":"\#(name)"}}"#)
      }
      let seen = storage.currentRevision
      let cache = try #require(second.resource(GroupResource(group: "", resource: "configmaps"))?.cache)
      let told = Mutex<[String]>([])
      cache.subscribe({ _ in }) { event in
        told.withLock { $0.append("\(event.kind.rawValue) \(event.object.name)") }
      }
      let reader = try await first.watch(maps + "?watch=1&resourceVersion=\(seen)", at: second)
      storage.hold()
      for name in ["gone", "again"] { _ = await first.call("DELETE", maps + "/" + name) }
      _ = await first.call("PUT", maps + "/changed", #"{"metadata":{"name":"changed"},"data":{"k":"v"}}"#)
      for name in ["again", "new"] { try await first.create(maps, #"{"metadata":{"name":"\#(name)"}}"#) }
      try await storage.loseHistory()
      #expect(try await reader.next(1).isEmpty)
      #expect(
        told.withLock { $0 } == ["DELETED again", "DELETED gone", "MODIFIED changed", "ADDED again", "ADDED new"])
      let later = try await first.watch(maps + "?watch=1&resourceVersion=\(seen)", at: second)
      #expect(try await later.next(1).map { $0.object["code"] } == [410])
      let present = try names(await first.call("GET", maps, at: second).json())
      #expect(present.filter { $0 != "kube-root-ca.crt" } == ["again", "changed", "new", "same"])
    }
  }

  @Test func healthAsksTheStore() async throws {
    try await withTwo { _, _, storage in
      let well = HealthChecks(storage: storage)
      #expect(await well.answer(path: "/readyz/etcd-readiness", query: [])?.status == 200)
      #expect(await well.answer(path: "/livez/etcd-readiness", query: [])?.status == 404)
      #expect(await well.answer(path: "/livez/log", query: [])?.status == 200)
      storage.set(away: true)
      let ill = HealthChecks(storage: storage)
      for path in ["/livez", "/readyz", "/healthz", "/livez/etcd", "/readyz/etcd-readiness"] {
        #expect(await ill.answer(path: path, query: [])?.status == 500, "\(path)")
      }
      #expect(await ill.answer(path: "/livez", query: [("exclude", "etcd")])?.status == 200)
    }
  }

  @Test func knowsUpstreamsPlaces() {
    let places = Dictionary(uniqueKeysWithValues: StoredPlace.all.map { ($0.name, $0) })
    #expect(places["nodes"]?.upstream == "minions")
    #expect(places["deployments.apps"]?.upstream == "deployments")
    #expect(places["deployments.apps"]?.apiVersion == "apps/v1")
    #expect(places["services"]?.upstream == "services/specs")
    #expect(places["leases.coordination.k8s.io"]?.kind == "Lease")
    #expect(Set(places.values.map(\.upstream)).count == places.count)
  }
}
