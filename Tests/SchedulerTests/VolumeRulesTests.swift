import API
import Testing

@testable import Scheduler

@Suite struct VolumeRulesTests {
  private func core() -> SchedulerCore {
    var core = SchedulerCore(random: Seeded(state: 5))
    for (name, zone) in [("a", "x"), ("b", "y")] {
      var node = makeNode(name)
      node.metadata.labels["topology.kubernetes.io/zone"] = zone
      core.nodeChanged(node, now: 0)
    }
    return core
  }

  private func claiming(_ name: String, _ claim: String, priority: Int32 = 0) -> Pod {
    var pod = makePod(name, priority: priority)
    var volume = Volume()
    volume.name = "data"
    var source = PersistentVolumeClaimVolumeSource()
    source.claimName = claim
    volume.persistentVolumeClaim = source
    pod.spec.volumes = [volume]
    return pod
  }

  private func tryNext(
    _ core: inout SchedulerCore, _ pod: Pod, _ check: (@Sendable (NodeInfo, Snapshot) -> Refusal?)?
  ) -> (node: String?, message: String, victims: [String]) {
    core.podChanged(pod, now: 0)
    switch core.next(now: 0, .init(volumes: { _ in check.map { .depends($0) } ?? .anywhere })) {
    case .place(_, let node): return (node, "", [])
    case .refuse(_, let message, let choice): return (nil, message, choice?.victims.map(\.metadata.name) ?? [])
    case .consult, nil: return (nil, "", [])
    }
  }

  @Test func aClaimForOnePodIsUsedByOne() {
    var core = core()
    let first = claiming("first", "c")
    let rule = VolumeRestrictions.check(first, isExclusive: { _ in true })
    #expect(tryNext(&core, first, rule).node != nil)
    let second = tryNext(&core, claiming("second", "c"), rule)
    #expect(
      second.message.hasPrefix(
        "0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
          + "access mode."))
    #expect(tryNext(&core, claiming("vip", "c", priority: 5), rule).victims == ["first"])
  }

  @Test func disksAreNotSharedForWriting() {
    var core = core()
    func disk(_ name: String, readOnly: Bool) -> Pod {
      var pod = makePod(name)
      var volume = Volume()
      var source = GCEPersistentDiskVolumeSource()
      source.pdName = "d"
      source.readOnly = readOnly
      volume.gcePersistentDisk = source
      pod.spec.volumes = [volume]
      return pod
    }
    func check(_ pod: Pod) -> (@Sendable (NodeInfo, Snapshot) -> Refusal?)? {
      VolumeRestrictions.check(pod, isExclusive: { _ in false })
    }
    let nodes = ["p", "q"].map { tryNext(&core, disk($0, readOnly: false), check(disk($0, readOnly: false))).node }
    #expect(Set(nodes) == ["a", "b"])
    let reader = tryNext(&core, disk("r", readOnly: true), check(disk("r", readOnly: true)))
    #expect(reader.message.hasPrefix("0/2 nodes are available: 2 node(s) had no available disk."))
  }

  @Test func volumesStayInTheirZone() {
    var core = core()
    var volume = PersistentVolume()
    volume.metadata.labels = ["failure-domain.beta.kubernetes.io/zone": "y__z"]
    #expect(tryNext(&core, makePod("p"), VolumeZone.check([volume])).node == "b")
    volume.metadata.labels = ["topology.kubernetes.io/zone": "w"]
    #expect(
      tryNext(&core, makePod("q"), VolumeZone.check([volume])).message
        == "0/2 nodes are available: 2 node(s) had no available volume zone. preemption: 0/2 nodes are available: "
        + "2 Preemption is not helpful for scheduling.")
  }

  @Test func driversHaveLimits() {
    var core = core()
    let limits = NodeVolumeLimits(
      attached: { pod in Set(pod.claimKeys.map { .init(driver: "d", volume: $0.name) }) },
      limits: { $0 == "a" ? ["d": 1] : ["d": 2] },
      attachments: { $0 == "b" ? [.init(driver: "d", volume: "old")] : [] })
    let nodes = ["p", "q"].map { tryNext(&core, claiming($0, $0), limits.check(claiming($0, $0))).node }
    #expect(Set(nodes) == ["a", "b"])
    let third = tryNext(&core, claiming("r", "r"), limits.check(claiming("r", "r")))
    #expect(third.message.hasPrefix("0/2 nodes are available: 2 node(s) exceed max volume count."))
    // A volume that is there already takes no further place.
    #expect(tryNext(&core, claiming("s", "q"), limits.check(claiming("s", "q"))).node != nil)
  }
}
