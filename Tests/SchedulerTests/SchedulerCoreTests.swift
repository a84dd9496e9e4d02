import API
import Testing

@testable import Scheduler

func makeNode(_ name: String, cpu: Int64 = 4000, memory: Int64 = 8 << 30, pods: Int64 = 110) -> Node {
  var node = Node()
  node.metadata.name = name
  node.metadata.labels = ["kubernetes.io/hostname": name]
  node.status.allocatable = ["cpu": Quantity(milli: cpu), "memory": Quantity(memory), "pods": Quantity(pods)]
  return node
}

func makePod(_ name: String, cpu: Int64 = 100, memory: Int64 = 64 << 20, priority: Int32 = 0) -> Pod {
  var pod = Pod()
  pod.metadata.name = name
  pod.metadata.namespace = "default"
  pod.metadata.uid = name
  pod.spec.schedulerName = "default-scheduler"
  pod.spec.priority = priority
  var container = Container()
  container.name = "main"
  container.resources.requests = ["cpu": Quantity(milli: cpu), "memory": Quantity(memory)]
  pod.spec.containers = [container]
  return pod
}

/// A reproducible source of chance (SplitMix64).
struct Seeded: RandomNumberGenerator, Sendable {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

private func anywhere(_: Pod) -> VolumeVerdict { .anywhere }

extension SchedulerCore {
  mutating func place(now: Double = 0) -> (pod: String, node: String)? {
    guard case .place(let pod, let node) = next(now: now, .init(volumes: anywhere)) else { return nil }
    return (pod.metadata.name, node)
  }

  mutating func refusal(now: Double = 0) -> String? {
    guard case .refuse(_, let message, _) = next(now: now, .init(volumes: anywhere)) else { return nil }
    // What it says of preemption has tests of its own.
    return message.split(separator: " preemption: ").first.map(String.init)
  }
}

@Suite struct SchedulerCoreTests {
  private func core(_ nodes: [Node]) -> SchedulerCore {
    var core = SchedulerCore(random: Seeded(state: 1))
    for node in nodes { core.nodeChanged(node, now: 0) }
    return core
  }

  @Test func loadIsSpread() {
    var core = core([makeNode("a"), makeNode("b"), makeNode("c")])
    var counts: [String: Int] = [:]
    for index in 0..<9 { core.podChanged(makePod("p\(index)"), now: 0) }
    while let placed = core.place() { counts[placed.node, default: 0] += 1 }
    #expect(counts == ["a": 3, "b": 3, "c": 3])
  }

  @Test func priorityGoesFirstThenAge() {
    var core = core([makeNode("a")])
    core.podChanged(makePod("old"), now: 0)
    core.podChanged(makePod("new"), now: 1)
    core.podChanged(makePod("vip", priority: 10), now: 2)
    #expect([core.place()?.pod, core.place()?.pod, core.place()?.pod] == ["vip", "old", "new"])
  }

  @Test func reasonsAreCounted() {
    var cordoned = makeNode("b")
    cordoned.spec.unschedulable = true
    var tainted = makeNode("c")
    var taint = Taint()
    taint.key = "dedicated"
    taint.value = "db"
    taint.effect = "NoSchedule"
    tainted.spec.taints = [taint]
    var core = core([makeNode("a", cpu: 100), cordoned, tainted])
    core.podChanged(makePod("big", cpu: 2000, memory: 64 << 30), now: 0)
    #expect(
      core.refusal()
        == "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) had untolerated taint {dedicated: db}, 1 node(s) were unschedulable."
    )
  }

  @Test func aRefusedPodWaitsForAnEventThatHelps() {
    var core = core([makeNode("a", cpu: 1000)])
    core.podChanged(makePod("first", cpu: 800), now: 0)
    #expect(core.place()?.pod == "first")
    core.podChanged(makePod("second", cpu: 800), now: 0)
    #expect(core.refusal() == "0/1 nodes are available: 1 Insufficient cpu.")
    var relabelled = makeNode("a", cpu: 1000)
    relabelled.metadata.labels["x"] = "y"
    core.nodeChanged(relabelled, now: 1)
    #expect(core.next(now: 20, .init(volumes: anywhere)) == nil)
    core.podDeleted("first", now: 20)
    #expect(core.place(now: 20)?.node == "a")
  }

  @Test func backoffDoubles() {
    var core = core([makeNode("a", cpu: 100)])
    core.podChanged(makePod("p", cpu: 800), now: 0)
    var tries: [Double] = []
    for tick in 0..<200 {
      let now = Double(tick) / 10
      core.podChanged(makePod("other\(tick)", cpu: 1), now: now)
      _ = core.flush(now: now)
      while let decision = core.next(now: now, .init(volumes: anywhere)) {
        switch decision {
        case .refuse(let pod, _, _) where pod.metadata.name == "p": tries.append(now)
        case .place(let pod, _): core.podDeleted(pod.metadata.uid, now: now)
        default: break
        }
      }
    }
    #expect(tries.prefix(4) == [0, 1, 3, 7])
  }

  @Test func gatedPodsWait() {
    var core = core([makeNode("a")])
    var pod = makePod("p")
    var gate = PodSchedulingGate()
    gate.name = "wait"
    pod.spec.schedulingGates = [gate]
    core.podChanged(pod, now: 0)
    #expect(core.next(now: 0, .init(volumes: anywhere)) == nil)
    pod.spec.schedulingGates = []
    core.podChanged(pod, now: 1)
    #expect(core.place(now: 1)?.node == "a")
  }

  @Test func hostPortsAreExclusive() {
    var core = core([makeNode("a"), makeNode("b")])
    for name in ["p", "q", "r"] {
      var pod = makePod(name)
      var port = ContainerPort()
      port.hostPort = 80
      port.containerPort = 80
      port.protocol = "TCP"
      pod.spec.containers[0].ports = [port]
      core.podChanged(pod, now: 0)
    }
    #expect(Set([core.place()?.node, core.place()?.node]) == ["a", "b"])
    #expect(
      core.refusal() == "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.")
  }

  @Test func affinityIsRequiredAndPreferred() {
    var ssd = makeNode("a", cpu: 1000)
    ssd.metadata.labels["disk"] = "ssd"
    var core = core([ssd, makeNode("b", cpu: 64000, memory: 64 << 30)])
    var preferring = makePod("p")
    var requirement = NodeSelectorRequirement()
    requirement.key = "disk"
    requirement.operator = "In"
    requirement.values = ["ssd"]
    var term = NodeSelectorTerm()
    term.matchExpressions = [requirement]
    var preferred = PreferredSchedulingTerm()
    preferred.weight = 100
    preferred.preference = term
    var affinity = Affinity()
    var nodeAffinity = API.NodeAffinity()
    nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution = [preferred]
    affinity.nodeAffinity = nodeAffinity
    preferring.spec.affinity = affinity
    core.podChanged(preferring, now: 0)
    #expect(core.place()?.node == "a")
    var selecting = makePod("q")
    selecting.spec.nodeSelector = ["disk": "hdd"]
    core.podChanged(selecting, now: 0)
    #expect(core.refusal() == "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
  }

  @Test func aLostBindingGivesTheRoomBack() {
    var core = core([makeNode("a", cpu: 1000)])
    let pod = makePod("p", cpu: 800)
    core.podChanged(pod, now: 0)
    #expect(core.place() != nil)
    core.forget(pod, now: 0)
    #expect(core.snapshot.nodes["a"]?.requested.milliCPU == 0)
    _ = core.flush(now: 2)
    #expect(core.place(now: 2)?.node == "a")
  }

  /// Random churn: no node over-committed, and no pod left waiting while a node has room for it.
  @Test(arguments: UInt64(1)...4)
  func churn(seed: UInt64) {
    var random = Seeded(state: seed)
    var core = SchedulerCore(random: Seeded(state: seed))
    var nodes: [String: Node] = [:]
    var placed: [String: (pod: Pod, node: String)] = [:]
    var waiting: [String: Pod] = [:]
    var now = 0.0
    for step in 0..<250 {
      now += 1
      switch Int.random(in: 0..<10, using: &random) {
      case 0, 1:
        let name = "n\(Int.random(in: 0..<8, using: &random))"
        var node = makeNode(name, cpu: Int64.random(in: 500...4000, using: &random), pods: 12)
        node.spec.unschedulable = Int.random(in: 0..<5, using: &random) == 0
        nodes[name] = node
        core.nodeChanged(node, now: now)
      case 2:
        if let victim = placed.keys.sorted().randomElement(using: &random) {
          placed[victim] = nil
          core.podDeleted(victim, now: now)
        }
      default:
        let pod = makePod("p\(step)", cpu: Int64.random(in: 1...6, using: &random) * 150)
        waiting[pod.metadata.uid] = pod
        core.podChanged(pod, now: now)
      }
      now += 11
      _ = core.flush(now: now)
      while let decision = core.next(now: now, .init(volumes: anywhere)) {
        guard case .place(var pod, let node) = decision else { continue }
        waiting[pod.metadata.uid] = nil
        pod.spec.nodeName = node
        placed[pod.metadata.uid] = (pod, node)
        core.bound(pod)
        core.podChanged(pod, now: now)
        #expect(nodes[node]?.spec.unschedulable == false)
        let used = placed.values.filter { $0.node == node }.reduce(0) {
          $0 + Resources($1.pod.spec.totalRequests).milliCPU
        }
        #expect(core.snapshot.nodes[node]?.requested.milliCPU == used)
      }
    }
    now += 400
    _ = core.flush(now: now)
    while let decision = core.next(now: now, .init(volumes: anywhere)) {
      if case .place(let pod, let node) = decision {
        placed[pod.metadata.uid] = (pod, node); waiting[pod.metadata.uid] = nil
      }
    }
    for pod in waiting.values {
      let info = PodInfo(pod)
      for node in core.snapshot.nodes.values { #expect(Framework.deciding.refusal(of: info, on: node) != nil) }
    }
  }
}
