import API
import Client
import Testing

@testable import ControllerManager

@Suite struct OwnerGraphTests {
  private func meta(
    _ uid: String, owners: [String] = [], blocking: Bool = true, finalizers: [String] = [], deleted: Bool = false
  ) -> ObjectMeta {
    ObjectMeta {
      $0.uid = uid
      $0.name = uid
      $0.namespace = "default"
      $0.finalizers = finalizers
      $0.deletionTimestamp = deleted ? moment : nil
      $0.ownerReferences = owners.map { owner in
        OwnerReference {
          $0.apiVersion = "v1"
          $0.kind = "ConfigMap"
          $0.name = owner
          $0.uid = owner
          $0.blockOwnerDeletion = blocking
        }
      }
    }
  }

  @Test func anUnknownOwnerIsLookedUp() {
    var graph = OwnerGraph()
    #expect(graph.observe(meta("a", owners: ["o"]), apiVersion: "v1", kind: "ConfigMap") == [.delete(uid: "o")])
    #expect(graph.nodes["o"]?.isVirtual == true)
    #expect(graph.forget(uid: "o") == [.delete(uid: "a")])
  }

  @Test func dependentsAreLookedAtWhenTheirOwnerGoes() {
    var graph = OwnerGraph()
    _ = graph.observe(meta("o"), apiVersion: "v1", kind: "ConfigMap")
    #expect(graph.observe(meta("a", owners: ["o"]), apiVersion: "v1", kind: "ConfigMap").isEmpty)
    #expect(graph.forget(uid: "o") == [.delete(uid: "a")])
    #expect(graph.forget(uid: "a").isEmpty)
    #expect(graph.nodes.isEmpty)
  }

  @Test func foregroundDeletionWaitsForTheBlocking() {
    var graph = OwnerGraph()
    _ = graph.observe(meta("o"), apiVersion: "v1", kind: "ConfigMap")
    _ = graph.observe(meta("a", owners: ["o"]), apiVersion: "v1", kind: "ConfigMap")
    _ = graph.observe(meta("b", owners: ["o"], blocking: false), apiVersion: "v1", kind: "ConfigMap")
    let work = graph.observe(
      meta("o", finalizers: ["foregroundDeletion"], deleted: true), apiVersion: "v1", kind: "ConfigMap")
    #expect(Set(work) == [.delete(uid: "a"), .delete(uid: "b"), .delete(uid: "o")])
    #expect(graph.blocking("o").map(\.identity.name) == ["a"])
    #expect(graph.forget(uid: "a") == [.delete(uid: "o")])
    #expect(graph.blocking("o").isEmpty)
  }

  @Test func decidesByTheOwnersThatAreLeft() {
    let one = meta("a", owners: ["x", "y"])
    func decide(
      _ x: CollectionDecision.OwnerState, _ y: CollectionDecision.OwnerState, dependents: Bool = false
    ) -> CollectionDecision {
      CollectionDecision.decide(one, owners: ["x": x, "y": y], hasDependents: dependents, hasDeletingDependents: false)
    }
    #expect(decide(.solid, .solid) == .keep(removeReferences: []))
    #expect(decide(.solid, .absent) == .keep(removeReferences: ["y"]))
    #expect(decide(.solid, .waiting) == .keep(removeReferences: ["y"]))
    #expect(decide(.absent, .absent) == .delete(policy: "Background", unblock: false))
    #expect(decide(.waiting, .absent, dependents: true) == .delete(policy: "Foreground", unblock: false))
    #expect(decide(.waiting, .absent) == .delete(policy: "Background", unblock: false))
  }
}

@Suite struct GarbageCollectorTests {
  private func map(_ name: String, owner: ConfigMap? = nil) -> ConfigMap {
    ConfigMap {
      $0.metadata.name = name
      $0.metadata.namespace = "default"
      if let owner { $0.metadata.ownerReferences = [.controller(of: owner)] }
    }
  }

  private func family(_ client: APIClient) async throws {
    let owner = try await client.create(map("owner"))
    let child = try await client.create(map("child", owner: owner))
    try await client.create(map("grandchild", owner: child))
  }

  @Test(arguments: ["Background", "Foreground"])
  func deletesDownToTheLast(policy: String) async throws {
    try await withControllers(["garbage-collector-controller"]) { api, client in
      try await family(client)
      try await client.delete(
        ConfigMap.self, namespace: "default", name: "owner",
        options: policy == "Foreground" ? .foreground : .background)
      #expect(await eventually { api.objects(ConfigMap.self).isEmpty })
    }
  }

  @Test func orphanLeavesTheDependents() async throws {
    try await withControllers(["garbage-collector-controller"]) { api, client in
      try await family(client)
      // The collector must have seen the family before it can be orphaned.
      try await Task.sleep(for: .milliseconds(150))
      try await client.delete(ConfigMap.self, namespace: "default", name: "owner", options: .orphan)
      #expect(await eventually { api.object(ConfigMap.self, namespace: "default", name: "owner") == nil })
      #expect(
        api.object(ConfigMap.self, namespace: "default", name: "child")?.metadata.ownerReferences.isEmpty == true)
      #expect(api.objects(ConfigMap.self).count == 2)
    }
  }

  @Test func findsDependentsOfOwnersThatWereNeverThere() async throws {
    try await withControllers(["garbage-collector-controller"]) { api, client in
      var ghost = map("ghost")
      ghost.metadata.uid = "no-such-uid"
      try await client.create(map("child", owner: ghost))
      #expect(await eventually { api.objects(ConfigMap.self).isEmpty })
    }
  }
}
