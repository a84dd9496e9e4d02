import APIMachinery
import Foundation
import NIOSSL
import PKI
import Storage
import StorageEtcd
import Synchronization
import Testing

/// What writers have been promised.
private final class Progress: Sendable {
  let acknowledged = Mutex<[String: Revision]>([:])
  let isOver = Mutex(false)
}

/// One at a time: each starts an etcd.
@Suite(.serialized) struct EtcdTests {
  @Test(arguments: StorageConformance.cases)
  func oneMember(_ requirement: StorageConformance.Case) async throws {
    let etcd = try EtcdCluster()
    let store = try await etcd.open { $0.recentEvents = 4 }
    try await requirement.run(store)
    await store.close()
  }

  /// What several members could spoil.
  @Test(
    arguments: StorageConformance.cases.filter { requirement in
      ["under load", "of writers that race", "a follower has an event before", "compaction"]
        .contains { requirement.name.hasPrefix($0) }
    })
  func threeMembers(_ requirement: StorageConformance.Case) async throws {
    let etcd = try EtcdCluster(members: 3)
    let store = try await etcd.open()
    try await requirement.run(store)
    await store.close()
  }

  @Test func writesGoOnWhenAMemberDies() async throws {
    let etcd = try EtcdCluster(members: 3)
    let store = try await etcd.open()
    let gathered = Gathered()
    let subscription = try gathered.follow(store, prefix: "/k/")
    defer { subscription.cancel() }
    let progress = Progress()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          var round = 0
          while !progress.isOver.withLock({ $0 }) {
            let key = "/k/\(writer)/\(round)"
            // A write without an answer may have happened or not; the next one is another.
            if let value = try? committed(await store.put(key, Array("\(round)".utf8), if: .absent)) {
              progress.acknowledged.withLock { $0[key] = value.modRevision }
            }
            round += 1
          }
        }
      }
      group.addTask {
        defer { progress.isOver.withLock { $0 = true } }
        // The first one is where the store is connected.
        for victim in [0, 1] {
          let before = progress.acknowledged.withLock { $0.count }
          etcd.stop(victim)
          let began = ContinuousClock.now
          try await eventually {
            if progress.acknowledged.withLock({ $0.count }) < before + 50 {
              throw StorageError.unavailable("no writes")
            }
          }
          #expect(ContinuousClock.now - began < .seconds(5), "member \(victim)")
          try etcd.start(victim)
          // Only the return of this one lets the next one go.
          try await eventually { try await etcd.open(port: etcd.ports[victim]).close() }
        }
      }
      try await group.waitForAll()
    }
    let expected = progress.acknowledged.withLock { $0 }
    let found = try await eventually { try await store.list(prefix: "/k/") }
    let revisions = Dictionary(uniqueKeysWithValues: found.items.map { ($0.key, $0.modRevision) })
    #expect(expected.count > 100)
    for (key, revision) in expected { #expect(revisions[key] == revision) }
    #expect(gathered.events.map(\.revision) == gathered.events.map(\.revision).sorted())
    #expect(Set(gathered.events.map(\.current.key)) == Set(revisions.keys))
    #expect(gathered.events.count == revisions.count)
    await store.close()
  }

  @Test func aStoreThatGoesAwayComesBack() async throws {
    let etcd = try EtcdCluster()
    let store = try await etcd.open()
    let gathered = Gathered()
    let subscription = try gathered.follow(store, prefix: "/k/")
    defer { subscription.cancel() }
    let first = try committed(await store.put("/k/a", [1], if: .absent))
    etcd.stop(0)
    // The connection may end just as the first write is on its way.
    _ = try? await store.put("/k/b", [1], if: .absent)
    let began = ContinuousClock.now
    await #expect {
      _ = try await store.put("/k/c", [1], if: .absent)
    } throws: {
      if case StorageError.unavailable = $0 { true } else { false }
    }
    await #expect {
      _ = try await store.latestRevision()
    } throws: {
      if case StorageError.unavailable = $0 { true } else { false }
    }
    #expect(ContinuousClock.now - began < .seconds(2))
    await #expect(throws: StorageError.self) { try await store.checkHealth() }
    #expect(store.currentRevision >= first.modRevision)
    try etcd.start(0)
    let second = try await eventually { try committed(await store.put("/k/d", [2], if: .any)) }
    try await store.checkHealth()
    #expect(gathered.events.last?.current == second)
    #expect(gathered.events.first?.current == first)
    #expect(gathered.snapshots.count == 1)
    await store.close()
  }

  @Test func whatWasCompactedMeanwhileArrivesAsANewSnapshot() async throws {
    let etcd = try EtcdCluster()
    let elsewhere = try freePorts(1)[0]
    let store = try await etcd.open()
    let gathered = Gathered()
    let subscription = try gathered.follow(store, prefix: "/k/")
    defer { subscription.cancel() }
    for name in ["a", "b"] { _ = try committed(await store.put("/k/\(name)", [1], if: .absent)) }
    etcd.stop(0)
    // Up again where only another server looks.
    try etcd.start(0, port: elsewhere)
    let other = try await etcd.open(port: elsewhere)
    for round in 0..<5 { _ = try committed(await other.put("/k/c", [UInt8(round)], if: .any)) }
    _ = try committed(await other.delete("/k/a", if: .any))
    try await other.compact(to: other.currentRevision)
    let last = other.currentRevision
    await other.close()
    etcd.stop(0)
    try etcd.start(0)
    try await eventually { try await store.checkHealth() }
    // Without any further write: the deletion itself is gone from the history.
    try await eventually { try await store.reach(try await store.latestRevision()) }
    #expect(store.currentRevision == last)
    #expect(gathered.snapshots.last?.keys == ["/k/b", "/k/c"])
    #expect(gathered.snapshots.last?.revision == last)
    let next = try committed(await store.put("/k/d", [1], if: .absent))
    #expect(gathered.events.last?.current == next)
    await #expect(throws: StorageError.compacted(requested: 3, compacted: last)) {
      _ = try await store.events(prefix: "/k/", after: 3)
    }
    await store.close()
  }

  @Test func serversSeeEachOthersWrites() async throws {
    let etcd = try EtcdCluster()
    let one = try await etcd.open()
    let two = try await etcd.open()
    let gathered = Gathered()
    let subscription = try gathered.follow(two, prefix: "/k/")
    defer { subscription.cancel() }
    #expect(!one.servesCurrentReads)
    for round in 0..<50 {
      let value = try committed(await one.put("/k/a", [UInt8(round)], if: .any))
      let present = try await two.latestRevision()
      #expect(present >= value.modRevision)
      try await two.reach(present)
      #expect(gathered.events.last?.current == value)
    }
    await one.close()
    await two.close()
  }

  @Test func onlyOneServerCompacts() async throws {
    let etcd = try EtcdCluster()
    let stores = [
      try await etcd.open { $0.compactionInterval = .milliseconds(300) },
      try await etcd.open { $0.compactionInterval = .milliseconds(300) },
    ]
    for round in 0..<20 { _ = try committed(await stores[0].put("/k/a", [UInt8(round)], if: .any)) }
    let target = stores[0].currentRevision
    // Both learn of it, whoever did it.
    try await eventually {
      for store in stores where store.compactedRevision < target { throw StorageError.unavailable("not compacted") }
    }
    // The word of it comes just before the deed.
    try await eventually {
      do { _ = try await stores[1].list(prefix: "/", after: nil, limit: nil, at: 3) } catch StorageError.compacted {
        return
      }
      throw StorageError.unavailable("not compacted")
    }
    for store in stores { await store.close() }
  }

  @Test func keysThatEndAtTheSameTimeShareALease() async throws {
    let etcd = try EtcdCluster()
    let store = try await etcd.open()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for name in 0..<20 {
        group.addTask { _ = try committed(await store.put("/k/\(name)", [1], if: .absent, ttl: 3600)) }
      }
      try await group.waitForAll()
    }
    #expect(try etcd.etcdctl("lease", "list").hasPrefix("found 1 leases"))
    await store.close()
  }

  @Test func objectsLieWhereUpstreamHasThem() async throws {
    let etcd = try EtcdCluster()
    let layout = EtcdLayout(resources: [
      .init(name: "nodes", place: "minions", apiVersion: "v1", kind: "Node"),
      .init(name: "deployments.apps", place: "deployments", apiVersion: "apps/v1", kind: "Deployment"),
      .init(name: "services", place: "services/specs", apiVersion: "v1", kind: "Service"),
      .init(name: "endpoints", place: "services/endpoints", apiVersion: "v1", kind: "Endpoints"),
    ])
    let store = try await etcd.open { $0.layout = layout }
    let body = Array(#"{"metadata":{"name":"x"},"spec":{}}"#.utf8)
    let keys = ["nodes/x", "deployments.apps/ns/x", "services/ns/x", "endpoints/ns/x", "masterleases/1"]
    for key in keys {
      let value = try committed(await store.put("/registry/" + key, body, if: .absent))
      #expect(value.value == body)
      #expect(try await store.get("/registry/" + key) == value)
    }
    #expect(
      try etcd.etcdctl("get", "--prefix", "/registry/").split(separator: "\n").map(String.init) == [
        "/registry/deployments/ns/x",
        #"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"x"},"spec":{}}"#,
        "/registry/masterleases/1", #"{"metadata":{"name":"x"},"spec":{}}"#,
        "/registry/minions/x", #"{"kind":"Node","apiVersion":"v1","metadata":{"name":"x"},"spec":{}}"#,
        "/registry/services/endpoints/ns/x",
        #"{"kind":"Endpoints","apiVersion":"v1","metadata":{"name":"x"},"spec":{}}"#,
        "/registry/services/specs/ns/x", #"{"kind":"Service","apiVersion":"v1","metadata":{"name":"x"},"spec":{}}"#,
      ])
    // What another server wrote: a line feed at the end, and the type the other way round.
    let foreign = #"{"apiVersion":"v1","kind":"Node","metadata":{"name":"x"},"spec":{}}"# + "\n"
    _ = try etcd.etcdctl("put", "/registry/minions/y", foreign)
    #expect(try await store.get("/registry/nodes/y")?.value == body)
    #expect(
      try await store.list(prefix: "/registry/nodes/").items.map(\.key) == ["/registry/nodes/x", "/registry/nodes/y"])
    // A custom resource carries its type on both sides.
    let custom = Array(#"{"metadata":{"name":"x"},"spec":{},"apiVersion":"a.example/v1","kind":"K"}"#.utf8)
    _ = try committed(await store.put("/registry/things.a.example/ns/x", custom, if: .absent))
    #expect(try await store.get("/registry/things.a.example/ns/x")?.value == custom)
    let wrote = #"{"apiVersion":"a.example/v1","kind":"K","metadata":{"name":"x"},"spec":{}}"# + "\n"
    _ = try etcd.etcdctl("put", "/registry/a.example/things/ns/y", wrote)
    #expect(try await store.get("/registry/things.a.example/ns/y")?.value == custom)
    let gathered = Gathered()
    _ = try gathered.follow(store, prefix: "/registry/")
    let others = ["nodes/y", "things.a.example/ns/x", "things.a.example/ns/y"]
    #expect(gathered.snapshots[0].keys == (keys + others).map { "/registry/" + $0 }.sorted())
    await store.close()
  }

  @Test func aStoreThatCannotBeUsedSaysWhyAtOnce() async throws {
    func problem(_ configuration: EtcdConfiguration) async -> String {
      do {
        try await EtcdStorage.open(configuration, logger: quiet).close()
        return "opened"
      } catch {
        return "\(error)"
      }
    }
    let etcd = try EtcdCluster()
    try await etcd.open().close()
    let good = try etcd.configuration()

    var nobody = good
    let free = try freePorts(1)[0]
    nobody.endpoints = ["https://127.0.0.1:\(free)"]
    nobody.startTimeout = .milliseconds(300)
    #expect(
      await problem(nobody) == "the store cannot be reached: etcd at 127.0.0.1:\(free): connection refused")

    var stranger = good
    let other = try CertificateAuthority.create(commonName: "other", now: .now)
    stranger.tls.trustRoots = .certificates([
      try NIOSSLCertificate(bytes: Array(other.certificatePEM.utf8), format: .pem)
    ])
    let began = ContinuousClock.now
    #expect(await problem(stranger).hasSuffix("not signed by the given authority, or not for this name"))

    var anonymous = good
    anonymous.tls.certificateChain = []
    anonymous.tls.privateKey = nil
    #expect(await problem(anonymous).hasSuffix("it refuses this server's certificate"))
    #expect(ContinuousClock.now - began < .seconds(3))

    let second = try EtcdCluster()
    try await second.open().close()
    var mixed = good
    mixed.endpoints += second.endpoints
    #expect(await problem(mixed).contains("members of different clusters"))

    mixed.endpoints = ["https://127.0.0.1:1", "http://127.0.0.1:2"]
    #expect(await problem(mixed).contains("must all begin with https://"))
  }
}
