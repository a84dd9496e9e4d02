import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

@Suite struct AttachDecisionTests {
  private func volume(_ modes: [String] = ["ReadWriteOnce"]) -> PersistentVolume {
    PersistentVolume {
      $0.metadata.name = "pv"
      $0.spec.accessModes = modes
      $0.spec.csi = CSIPersistentVolumeSource {
        $0.driver = "disk.example.com"
        $0.volumeHandle = "handle"
      }
      $0.spec.claimRef = ObjectReference {
        $0.namespace = "default"
        $0.name = "data"
        $0.uid = "claim"
      }
    }
  }

  private func node(_ name: String, ready: Bool = true, inUse: Bool = false, taints: [String] = []) -> Node {
    Node {
      $0.metadata.name = name
      $0.metadata.annotations = ["volumes.kubernetes.io/controller-managed-attach-detach": "true"]
      $0.spec.taints = taints.map { key in Taint { $0.key = key } }
      $0.status.conditions = [
        NodeCondition {
          $0.type = "Ready"
          $0.status = ready ? "True" : "Unknown"
        }
      ]
      if inUse { $0.status.volumesInUse = ["kubernetes.io/csi/disk.example.com^handle"] }
    }
  }

  private func attachment(_ node: String, attached: Bool = true) -> VolumeAttachment {
    let volume = volume()
    var attachment = Attachment.make(volume, volume.spec.csi ?? .init(), node: node)
    attachment.status.attached = attached
    return attachment
  }

  private func decide(
    _ pods: [Pod], _ attachments: [VolumeAttachment], _ nodes: [Node], modes: [String] = ["ReadWriteOnce"],
    since: Int64? = nil, needed: Bool = true, mayForce: Bool = true
  ) -> AttachDecision {
    var unneeded: [String: Time] = [:]
    if let since {
      for attachment in attachments { unneeded[attachment.metadata.name] = moment.adding(seconds: -since) }
    }
    return AttachDecision.decide(
      .init(
        volume: volume(modes), source: volume().spec.csi ?? .init(), needsAttachment: needed, pods: pods,
        attachments: attachments, nodes: Dictionary(uniqueKeysWithValues: nodes.map { ($0.metadata.name, $0) }),
        unneeded: unneeded, mayForce: mayForce), now: moment)
  }

  @Test func namesAreThoseThatKubeletsLookFor() {
    let name = attachment("node-1").metadata.name
    #expect(name.hasPrefix("csi-") && name.utf8.count == 68)
    #expect(name != attachment("node-2").metadata.name)
  }

  @Test func aVolumeGoesWhereItsPodIs() {
    let pod = makePod("a", node: "n1")
    #expect(decide([pod], [], [node("n1")]).attach == ["n1"])
    #expect(decide([pod], [attachment("n1", attached: false)], [node("n1")]) == AttachDecision())
    #expect(decide([pod], [], [node("n1")], needed: false).attach.isEmpty)
    var unmanaged = node("n1")
    unmanaged.metadata.annotations = [:]
    #expect(decide([pod], [], [unmanaged]).attach.isEmpty)
    var done = pod
    done.status.phase = "Succeeded"
    #expect(decide([done], [], [node("n1")]).attach.isEmpty)
  }

  @Test func aVolumeForOneIsNotGivenToAnother() {
    let pods = [makePod("a", node: "n1"), makePod("b", node: "n2")]
    let both = [node("n1"), node("n2")]
    let decision = decide(pods, [attachment("n1")], both)
    #expect(decision.attach.isEmpty)
    #expect(
      decision.refused.map(\.message) == ["Multi-Attach error for volume \"pv\" Volume is already used by pod(s) a"])
    #expect(decide(pods, [], both).attach == ["n1"])
    #expect(decide(pods, [attachment("n1")], both, modes: ["ReadWriteMany"]).attach == ["n2"])
    #expect(
      decide([pods[1]], [attachment("n1")], [node("n1", inUse: true), node("n2")]).refused.map(\.message) == [
        "Multi-Attach error for volume \"pv\" Volume is already exclusively attached to one node and can't be attached "
          + "to another"
      ])
  }

  @Test func whatIsMountedStaysUntilItIsNot() {
    #expect(decide([], [attachment("n1")], [node("n1")]).detach.count == 1)
    let mounted = decide([], [attachment("n1")], [node("n1", inUse: true)])
    #expect(mounted.detach.isEmpty && mounted.again == 361)
    #expect(mounted.unneeded.values.map { $0 } == [moment])
  }

  @Test func aNodeThatIsLostLosesItsVolumes() {
    let lost = [node("n1", ready: false, inUse: true)]
    #expect(decide([], [attachment("n1")], lost, since: 300).detach.isEmpty)
    #expect(decide([], [attachment("n1")], lost, since: 361).detach.count == 1)
    #expect(decide([], [attachment("n1")], [], since: 361).detach.count == 1)
    #expect(decide([], [attachment("n1")], lost, since: 361, mayForce: false).detach.isEmpty)
    // One that is well only takes its time.
    #expect(decide([], [attachment("n1")], [node("n1", inUse: true)], since: 361).detach.isEmpty)
    let fenced = [node("n1", ready: false, inUse: true, taints: ["node.kubernetes.io/out-of-service"])]
    #expect(decide([], [attachment("n1")], fenced).detach.count == 1)
  }

  @Test func nodesAreToldOfWhatStays() {
    var going = attachment("n1")
    going.metadata.deletionTimestamp = moment
    func reported(_ attachments: [VolumeAttachment], leaving: Set<String> = []) -> [String] {
      AttachDecision.reported(
        "n1", attachments: attachments, volumes: { $0 == "pv" ? volume() : nil }, leaving: leaving
      ).map(\.name)
    }
    #expect(reported([attachment("n1"), attachment("n2")]) == ["kubernetes.io/csi/disk.example.com^handle"])
    #expect(reported([going]).isEmpty && reported([attachment("n1", attached: false)]).isEmpty)
    #expect(reported([attachment("n1")], leaving: [attachment("n1").metadata.name]).isEmpty)
  }

  @Test func theControllerAttachesTellsAndDetaches() async throws {
    try await withControllers(["persistentvolume-attach-detach-controller"]) { api, client in
      try api.seed(node("n1"))
      try api.seed(volume())
      try api.seed(
        PersistentVolumeClaim {
          $0.metadata.name = "data"
          $0.metadata.namespace = "default"
          $0.metadata.uid = "claim"
          $0.spec.volumeName = "pv"
        })
      let claim = try #require(api.objects(PersistentVolumeClaim.self).first)
      try api.modify(PersistentVolume.self, name: "pv") { $0.spec.claimRef?.uid = claim.metadata.uid }
      var pod = makePod("a", node: "n1")
      pod.spec.volumes = [
        Volume {
          $0.name = "data"
          $0.persistentVolumeClaim = PersistentVolumeClaimVolumeSource { $0.claimName = "data" }
        }
      ]
      try api.seed(pod)
      #expect(await eventually { api.objects(VolumeAttachment.self).count == 1 })
      let name = try #require(api.objects(VolumeAttachment.self).first?.metadata.name)
      try api.modify(VolumeAttachment.self, name: name) { $0.status.attached = true }
      #expect(await eventually { api.object(Node.self, name: "n1")?.status.volumesAttached.count == 1 })
      try api.modify(Pod.self, namespace: "default", name: "a") { $0.status.phase = "Succeeded" }
      #expect(await eventually { api.objects(VolumeAttachment.self).isEmpty })
      #expect(await eventually { api.object(Node.self, name: "n1")?.status.volumesAttached.isEmpty == true })
      // The kubelet heard of it before the driver did.
      let order = api.writes.filter { $0.path.contains("/status") && $0.method == "PATCH" || $0.method == "DELETE" }
      #expect(order.map(\.method).suffix(2) == ["PATCH", "DELETE"])
    }
  }
}
