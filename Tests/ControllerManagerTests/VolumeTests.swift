import API
import Client
import Testing

@testable import ControllerManager

@Suite struct VolumeTests {
  private func claim(_ name: String = "data", size: Int64 = 10, storage: String? = "") -> PersistentVolumeClaim {
    PersistentVolumeClaim {
      $0.metadata.name = name
      $0.metadata.namespace = "default"
      $0.metadata.uid = name + "-uid"
      $0.spec.accessModes = ["ReadWriteOnce"]
      $0.spec.storageClassName = storage
      $0.spec.resources.requests["storage"] = Quantity(size)
    }
  }

  private func volume(_ name: String, size: Int64 = 10, modes: [String] = ["ReadWriteOnce"]) -> PersistentVolume {
    PersistentVolume {
      $0.metadata.name = name
      $0.spec.capacity["storage"] = Quantity(size)
      $0.spec.accessModes = modes
      $0.spec.persistentVolumeReclaimPolicy = "Retain"
      $0.status.phase = "Available"
    }
  }

  private func phase(_ api: MemoryAPI) -> String? {
    api.object(PersistentVolumeClaim.self, namespace: "default", name: "data")?.status.phase
  }

  private var lazy: StorageClass {
    StorageClass {
      $0.metadata.name = "local-path"
      $0.provisioner = "apus.dev/local-path"
      $0.volumeBindingMode = "WaitForFirstConsumer"
    }
  }

  @Test func takesTheSmallestThatSuits() {
    let volumes = [volume("big", size: 100), volume("small", size: 5), volume("fits", size: 20)]
    #expect(VolumeMatch.best(for: claim(), of: volumes, delayed: false)?.metadata.name == "fits")
    #expect(VolumeMatch.best(for: claim(size: 500), of: volumes, delayed: false) == nil)
    #expect(VolumeMatch.best(for: claim(), of: [volume("ro", modes: ["ReadOnlyMany"])], delayed: false) == nil)
    #expect(VolumeMatch.best(for: claim(), of: volumes, delayed: true) == nil)
  }

  @Test func aVolumeThatNamesTheClaimComesFirst() {
    var named = volume("named", size: 1000)
    named.spec.claimRef = ObjectReference {
      $0.namespace = "default"
      $0.name = "data"
    }
    #expect(VolumeMatch.best(for: claim(), of: [volume("a"), named], delayed: true)?.metadata.name == "named")
  }

  @Test func claimsWaitProvisionOrAreLost() {
    var waiting = claim(storage: "local-path")
    guard case .pending(let notice) = ClaimDecision.decide(waiting, volumes: [], storage: lazy, awaitedBy: []) else {
      Issue.record("does not wait")
      return
    }
    #expect(notice?.reason == "WaitForFirstConsumer")
    waiting.metadata.annotations["volume.kubernetes.io/selected-node"] = "node-1"
    #expect(
      ClaimDecision.decide(waiting, volumes: [], storage: lazy, awaitedBy: [])
        == .provision(provisioner: "apus.dev/local-path"))
    guard case .pending(let none) = ClaimDecision.decide(claim(), volumes: [], storage: nil, awaitedBy: []) else {
      Issue.record("does not wait")
      return
    }
    #expect(none?.message == "no persistent volumes available for this claim and no storage class is set")
    var bound = claim()
    bound.metadata.annotations["pv.kubernetes.io/bind-completed"] = "yes"
    bound.spec.volumeName = "gone"
    guard case .lost = ClaimDecision.decide(bound, volumes: [], storage: nil, awaitedBy: []) else {
      Issue.record("is not lost")
      return
    }
  }

  @Test func bothEndsOfABindingAgreeAndRest() {
    let claim = claim()
    let free = volume("v")
    let taken = ClaimBinding.volume(free, for: claim)
    #expect(taken.spec.claimRef?.uid == "data-uid")
    #expect(taken.metadata.annotations["pv.kubernetes.io/bound-by-controller"] == "yes")
    #expect(ClaimBinding.volume(taken, for: claim) == taken)
    let bound = ClaimBinding.claim(claim, for: taken)
    #expect(bound.spec.volumeName == "v")
    #expect(ClaimBinding.claim(bound, for: taken) == bound)
    #expect(ClaimDecision.decide(bound, volumes: [taken], storage: nil, awaitedBy: []) == .bind(taken))
    #expect(VolumeDecision.decide(taken, claim: bound) == .phase("Bound"))
    #expect(VolumeDecision.decide(taken, claim: nil) == .released(delete: false))
  }

  @Test func deletesOnlyItsOwnDirectories() {
    func volume(_ path: String) -> PersistentVolume {
      PersistentVolume { $0.spec.hostPath = HostPathVolumeSource { $0.path = path } }
    }
    #expect(LocalPathVolume.directory(of: volume("/v/pvc-1_a_b"), under: "/v") == "/v/pvc-1_a_b")
    #expect(LocalPathVolume.directory(of: volume("/v/pvc-1/../../etc"), under: "/v") == nil)
    #expect(LocalPathVolume.directory(of: volume("/etc"), under: "/v") == nil)
    #expect(LocalPathVolume.directory(of: volume("/v"), under: "/v") == nil)
  }

  @Test func bindsAFreeVolumeAndReleasesIt() async throws {
    try await withControllers(["persistentvolume-binder-controller"]) { api, client in
      try api.seed(volume("v"))
      try await client.create(claim())
      #expect(
        await eventually { phase(api) == "Bound" })
      #expect(api.object(PersistentVolume.self, name: "v")?.status.phase == "Bound")
      try await client.delete(PersistentVolumeClaim.self, namespace: "default", name: "data")
      #expect(await eventually { api.object(PersistentVolume.self, name: "v")?.status.phase == "Released" })
    }
  }

  @Test func localPathGoesAllTheWay() async throws {
    let names = [
      "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "local-path-provisioner",
    ]
    try await withControllers(names, configure: { $0.localNodeName = "node-1" }) { api, client in
      try api.seed(
        Node {
          $0.metadata.name = "node-1"
          $0.metadata.labels["kubernetes.io/hostname"] = "node-1"
        })
      #expect(await eventually { api.object(StorageClass.self, name: "local-path") != nil })
      try await client.create(claim(storage: "local-path"))
      let patch = #"{"metadata":{"annotations":{"volume.kubernetes.io/selected-node":"node-1"}}}"#
      try await client.patch(
        PersistentVolumeClaim.self, namespace: "default", name: "data", .merge(Array(patch.utf8)))
      #expect(
        await eventually { phase(api) == "Bound" })
      let volume = api.objects(PersistentVolume.self).first
      #expect(volume?.metadata.name.hasPrefix("pvc-") == true)
      #expect(volume.flatMap(LocalPathVolume.host) == "node-1")
      #expect(
        await eventually {
          api.object(PersistentVolumeClaim.self, namespace: "default", name: "data")?.metadata.finalizers
            == ["kubernetes.io/pvc-protection"]
        })
      try await client.delete(PersistentVolumeClaim.self, namespace: "default", name: "data")
      #expect(await eventually { api.objects(PersistentVolumeClaim.self).isEmpty })
      #expect(await eventually { api.objects(PersistentVolume.self).isEmpty })
    }
  }

  @Test func anotherNodeIsAskedToDelete() async throws {
    let path = "/data/volumes/pvc-1_default_data"
    try await withControllers(["local-path-provisioner"], configure: { $0.localNodeName = "node-1" }) { api, client in
      for name in ["node-1", "node-2"] {
        try api.seed(
          Node {
            $0.metadata.name = name
            $0.metadata.labels["kubernetes.io/hostname"] = name
          })
      }
      var released = LocalPathVolume.make(
        for: claim(storage: "local-path"), storage: StorageClass { $0.metadata.name = "local-path" },
        node: try #require(api.object(Node.self, name: "node-2")), directory: "/data/volumes",
        provisioner: "apus.dev/local-path")
      released.metadata.name = "pvc-1"
      released.spec.hostPath?.path = path
      released.status.phase = "Released"
      try api.seed(released)
      func asked() -> [String] {
        api.object(Node.self, name: "node-2").map { LocalPathDeletion.paths(LocalPathDeletion.request, of: $0) } ?? []
      }
      #expect(await eventually { asked() == [path] })
      #expect(api.object(PersistentVolume.self, name: "pvc-1") != nil)
      try await client.patch(
        Node.self, name: "node-2", .merge(LocalPathDeletion.patch(LocalPathDeletion.done, [path])))
      #expect(await eventually { api.object(PersistentVolume.self, name: "pvc-1") == nil })
      #expect(await eventually { asked().isEmpty })
    }
  }

  @Test(
    arguments: [
      ("/var/lib/apus/volumes/pvc-1_a_b", true), ("/volumes/pvc-1", true), ("/etc/passwd", false),
      ("/volumes/../etc/pvc-1", false), ("/x/volumes/../pvc-1", false), ("volumes/pvc-1", false),
      ("/volumes/pvc-1/x", false),
    ])
  func onlyVolumesAreDeleted(_ path: String, _ isVolume: Bool) {
    #expect(LocalPathDeletion.isVolume(path) == isVolume)
  }
}
