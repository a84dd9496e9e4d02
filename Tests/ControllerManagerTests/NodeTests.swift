import API
import Client
import Testing

@testable import ControllerManager

@Suite struct NodeTests {
  private func node(_ name: String = "node-1", ready: String? = "True") -> Node {
    Node {
      $0.metadata.name = name
      $0.metadata.creationTimestamp = moment
      if let ready {
        $0.status.conditions = [
          NodeCondition {
            $0.type = "Ready"
            $0.status = ready
            $0.lastHeartbeatTime = moment
          }
        ]
      }
    }
  }

  @Test func aSilentNodeBecomesUnknown() {
    let node = node()
    var health = NodeHealth(node, lease: nil, now: moment)
    health.observe(node, lease: nil, now: moment.adding(seconds: 40))
    let before = health.conditions(of: node, grace: 50, startupGrace: 60, now: moment.adding(seconds: 50))
    #expect(before == node.status.conditions)
    let after = health.conditions(of: node, grace: 50, startupGrace: 60, now: moment.adding(seconds: 51))
    #expect(after.condition("Ready")?.status == "Unknown")
    #expect(after.condition("Ready")?.reason == "NodeStatusUnknown")
    #expect(after.condition("Ready")?.message == "Kubelet stopped posting node status.")
    #expect(after.condition("PIDPressure")?.reason == "NodeStatusNeverUpdated")
  }

  @Test func aLeaseKeepsItAlive() {
    let node = node()
    func lease(_ second: Int64) -> Lease { Lease { $0.spec.renewTime = MicroTime(seconds: second) } }
    var health = NodeHealth(node, lease: lease(1), now: moment)
    health.observe(node, lease: lease(2), now: moment.adding(seconds: 40))
    let later = moment.adding(seconds: 80)
    #expect(health.conditions(of: node, grace: 50, startupGrace: 60, now: later) == node.status.conditions)
  }

  @Test func manySilentNodesPauseEvictions() {
    func disruption(silent: Int, ready: Int) -> Disruption {
      var disruption = Disruption()
      for index in 0..<silent { disruption.note(node("s\(index)", ready: "Unknown")) }
      for index in 0..<ready { disruption.note(node("r\(index)")) }
      return disruption
    }
    let cases: [(silent: Int, ready: Int, state: Disruption.State, rate: Double)] = [
      (2, 1, .normal, 0.1), (3, 2, .partial, 0), (3, 3, .normal, 0.1), (40, 20, .partial, 0.01), (5, 0, .full, 0.1),
    ]
    for (silent, ready, state, rate) in cases {
      #expect(disruption(silent: silent, ready: ready).state("/") == state)
      #expect(disruption(silent: silent, ready: ready).rate("/") == rate)
    }
    #expect(!disruption(silent: 5, ready: 0).mayEvict)
    // A zone that is heard of again, and one whose nodes are gone, are whole.
    var recovering = disruption(silent: 3, ready: 1)
    for index in 0..<2 { recovering.note(node("s\(index)")) }
    #expect(recovering.state("/") == .normal && recovering.mayEvict)
    for name in ["s0", "s1", "s2", "r0"] { recovering.forget(name) }
    #expect(recovering.state("/") == .normal && !recovering.mayEvict)
    var lost = node("a", ready: "Unknown")
    func evicts(_ mayBegin: Bool) -> Bool {
      NodeTaints.desired(for: lost, mayEvict: true, mayBegin: mayBegin, now: moment).contains {
        $0.effect == "NoExecute"
      }
    }
    #expect(!evicts(false))
    lost.spec.taints = NodeTaints.desired(for: lost, mayEvict: true, now: moment)
    #expect(evicts(false))
  }

  @Test func nodesOfAZoneAreGivenUpOneAfterAnother() {
    var limiter = EvictionLimiter()
    func wait(_ zone: String, _ node: String, _ seconds: Int64) -> Int64? {
      limiter.wait(zone, node: node, rate: 0.1, now: moment.adding(seconds: seconds))
    }
    #expect(wait("a", "1", 0) == nil)
    #expect(wait("a", "2", 4) == 6)
    #expect(wait("b", "3", 4) == nil)
    #expect(wait("a", "1", 5) == nil)
    #expect(wait("a", "2", 10) == nil)
    #expect(wait("a", "1", 11) == 9)
    var fast = EvictionLimiter()
    let turns = (0..<5).map { fast.wait("z", node: "\($0)", rate: 3, now: moment) }
    #expect(turns == [nil, nil, nil, 1, 1])
    #expect(fast.wait("z", node: "x", rate: 0, now: moment) != nil)
  }

  private static func ownSlice() -> EndpointSlice {
    EndpointSlice {
      $0.metadata.namespace = "kube-system"
      $0.metadata.name = "kube-dns-node-1"
      $0.metadata.labels = ["endpointslice.kubernetes.io/managed-by": "cluster-dns.apus.dev"]
      $0.metadata.ownerReferences = [
        OwnerReference {
          $0.kind = "Node"
          $0.name = "node-1"
        }
      ]
      $0.endpoints = [
        Endpoint {
          $0.addresses = ["10.0.0.1"]
          $0.conditions.ready = true
        }
      ]
    }
  }

  @Test func endpointsOfANodeItselfFollowIt() async throws {
    let slice = Self.ownSlice()
    #expect(NodeEndpoints.owners(slice) == ["node-1"])
    #expect(NodeEndpoints.following(slice, isReady: true) == nil)
    let gone = NodeEndpoints.following(slice, isReady: false)
    #expect(gone?.endpoints.first?.conditions.ready == false)
    #expect(gone.flatMap { NodeEndpoints.following($0, isReady: true) }?.endpoints.first?.conditions.ready == true)
    #expect(
      NodeEndpoints.owners(EndpointSlice { $0.metadata.ownerReferences = slice.metadata.ownerReferences }).isEmpty)
    try await withControllers(["node-endpoints-controller"]) { api, _ in
      try api.seed(node("node-1", ready: "Unknown"))
      try api.seed(slice)
      #expect(
        await eventually {
          api.object(EndpointSlice.self, namespace: "kube-system", name: "kube-dns-node-1")?
            .endpoints.first?.conditions.ready == false
        })
    }
  }

  @Test func taintsFollowConditions() {
    func taints(_ ready: String?, mayEvict: Bool = true, _ change: (inout Node) -> Void = { _ in }) -> Set<String> {
      var node = node(ready: ready)
      change(&node)
      return Set(NodeTaints.desired(for: node, mayEvict: mayEvict, now: moment).map { "\($0.key):\($0.effect)" })
    }
    #expect(taints("True").isEmpty)
    #expect(taints("False") == ["node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"])
    #expect(
      taints("Unknown") == ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"])
    #expect(taints("Unknown", mayEvict: false) == ["node.kubernetes.io/unreachable:NoSchedule"])
    #expect(taints("True") { $0.spec.unschedulable = true } == ["node.kubernetes.io/unschedulable:NoSchedule"])
    let foreign = taints("True") {
      $0.spec.taints = [
        Taint {
          $0.key = "mine"; $0.effect = "NoExecute"
        }
      ]
    }
    #expect(foreign == ["mine:NoExecute"])
  }

  @Test func tolerationsSayHowLongAPodMayStay() {
    let taint = Taint {
      $0.key = "node.kubernetes.io/unreachable"
      $0.effect = "NoExecute"
    }
    func pod(_ seconds: [Int64?]) -> Pod {
      Pod {
        $0.spec.tolerations = seconds.map { seconds in
          Toleration {
            $0.key = "node.kubernetes.io/unreachable"
            $0.operator = "Exists"
            $0.effect = "NoExecute"
            $0.tolerationSeconds = seconds
          }
        }
      }
    }
    #expect(EvictionTime.of(pod([]), taints: []) == .never)
    #expect(EvictionTime.of(pod([]), taints: [taint]) == .now)
    #expect(EvictionTime.of(pod([nil]), taints: [taint]) == .never)
    #expect(EvictionTime.of(pod([300]), taints: [taint]) == .after(seconds: 300))
    #expect(EvictionTime.of(pod([300, 20]), taints: [taint]) == .after(seconds: 20))
    #expect(EvictionTime.of(pod([0]), taints: [taint]) == .now)
  }

  @Test func cutsRangesForNodes() throws {
    var allocator = try #require(CIDRAllocator(cluster: "10.244.0.0/22", nodeMask: 24))
    allocator.occupy("10.244.1.0/24")
    func take() -> String? { allocator.allocate() }
    #expect(take() == "10.244.0.0/24")
    #expect(take() == "10.244.2.0/24")
    #expect(take() == "10.244.3.0/24")
    #expect(take() == nil)
    allocator.release("10.244.2.0/24")
    #expect(take() == "10.244.2.0/24")
    let foreign = allocator.occupy("10.245.0.0/24")
    #expect(!foreign)
    #expect(CIDRAllocator(cluster: "nonsense", nodeMask: 24) == nil)
    #expect(CIDRAllocator(cluster: "10.0.0.0/24", nodeMask: 16) == nil)
    var six = try #require(CIDRAllocator(cluster: "fd00:10:244::/62", nodeMask: 64))
    six.occupy("fd00:10:244:1::/64")
    let taken = [six.allocate(), six.allocate(), six.allocate(), six.allocate()]
    #expect(taken == ["fd00:10:244::/64", "fd00:10:244:2::/64", "fd00:10:244:3::/64", nil])
    func count(_ ranges: String) -> Int? { CIDRAllocator.list(ranges, maskIPv4: 24, maskIPv6: 64)?.count }
    #expect(count("10.0.0.0/16,fd00::/56") == 2 && count("10.0.0.0/16") == 1)
    #expect(count("10.0.0.0/16,10.1.0.0/16") == nil && count("10.0.0.0/16,x") == nil && count("") == nil)
  }

  @Test func collectsPodsOfNobody() {
    var orphan = makePod("orphan", node: "gone")
    orphan.metadata.creationTimestamp = moment
    var unscheduled = makePod("unscheduled", node: "")
    unscheduled.metadata.deletionTimestamp = moment
    var finished = (0..<3).map { makePod("finished\($0)") }
    for index in finished.indices {
      finished[index].status.phase = "Succeeded"
      finished[index].metadata.creationTimestamp = moment.adding(seconds: Int64(index))
    }
    let victims = PodGCDecision.victims(
      pods: [orphan, unscheduled, makePod("fine")] + finished, nodes: ["node-1": node()], missing: ["gone"],
      threshold: 2)
    #expect(victims.map(\.pod.metadata.name) == ["finished0", "orphan", "unscheduled"])
    #expect(victims.map(\.reason) == [.terminated, .orphaned, .unscheduled])
  }

  @Test func nodesGetRangesAndPodsLeaveTaintedNodes() async throws {
    try await withControllers(["node-ipam-controller", "taint-eviction-controller"]) { api, client in
      try await client.create(node("node-1", ready: nil))
      try await client.create(node("node-2", ready: nil))
      #expect(
        await eventually {
          Set(api.objects(Node.self).map(\.spec.podCIDR)) == ["10.244.0.0/24", "10.244.1.0/24"]
        })
      try api.seed(makePod("a"))
      try api.modify(Node.self, name: "node-1") {
        $0.spec.taints = [
          Taint {
            $0.key = "x"
            $0.effect = "NoExecute"
          }
        ]
      }
      #expect(
        await eventually {
          let pod = api.object(Pod.self, namespace: "default", name: "a")
          return pod?.metadata.deletionTimestamp != nil
            && pod?.status.conditions.condition("DisruptionTarget")?.reason == "DeletionByTaintManager"
        })
    }
  }

  @Test func aNodeThatIsNotReadyIsTaintedAndItsPodsAreMarked() async throws {
    try await withControllers(["node-lifecycle-controller"]) { api, _ in
      try api.seed(node("node-2"))
      try api.seed(makePod("a"))
      try api.seed(node("node-1", ready: "False"))
      #expect(
        await eventually {
          Set(api.object(Node.self, name: "node-1")?.spec.taints.map(\.effect) ?? []) == ["NoSchedule", "NoExecute"]
        })
      #expect(
        await eventually { api.object(Pod.self, namespace: "default", name: "a")?.isReady == false })
    }
  }
}
