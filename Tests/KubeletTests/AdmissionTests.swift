import API
import Testing

@testable import Kubelet

@Suite struct AdmissionTests {
  private var node: Node {
    var node = Node()
    node.metadata.name = "node1"
    node.metadata.labels = ["zone": "a"]
    node.status.allocatable = ["cpu": Quantity(2), "memory": Quantity(1000), "pods": Quantity(2)]
    return node
  }

  @Test func resourcesAreCounted() {
    let half = makePod("half") { $0.spec.containers[0].resources.requests["cpu"] = Quantity(milli: 1500) }
    #expect(NodeAdmission.check(half, node: node, admitted: []) == nil)
    #expect(
      NodeAdmission.check(half, node: node, admitted: [half])
        == AdmissionRefusal(
          reason: "OutOfcpu",
          message:
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1500, capacity: 2000"))
    #expect(NodeAdmission.check(makePod(), node: node, admitted: [makePod("a"), makePod("b")])?.reason == "OutOfpods")
  }

  @Test func initContainersCountByTheirPeak() {
    let pod = makePod {
      $0.spec.containers[0].resources.requests["cpu"] = Quantity(1)
      $0.spec.initContainers = [
        makeContainer("side") {
          $0.restartPolicy = "Always"
          $0.resources.requests["cpu"] = Quantity(1)
        },
        makeContainer("init") { $0.resources.requests["cpu"] = Quantity(3) },
      ]
    }
    #expect(NodeAdmission.requests(pod)["cpu"] == Quantity(4))
  }

  @Test func selectorsAndPorts() {
    #expect(
      NodeAdmission.check(makePod { $0.spec.nodeSelector = ["zone": "b"] }, node: node, admitted: [])?.reason
        == "NodeAffinity")
    let port = makePod("one") {
      var port = ContainerPort()
      port.containerPort = 80
      port.hostPort = 80
      port.protocol = "TCP"
      $0.spec.containers[0].ports = [port]
    }
    #expect(NodeAdmission.check(port, node: node, admitted: [port])?.reason == "NodePorts")
  }

  @Test func taintsThatEvictRefuse() {
    var tainted = node
    var taint = Taint()
    taint.key = "broken"
    taint.effect = "NoExecute"
    tainted.spec.taints = [taint]
    #expect(NodeAdmission.check(makePod(), node: tainted, admitted: [])?.reason == "TaintToleration")
    let tolerant = makePod {
      var toleration = Toleration()
      toleration.operator = "Exists"
      $0.spec.tolerations = [toleration]
    }
    #expect(NodeAdmission.check(tolerant, node: tainted, admitted: []) == nil)
  }

  @Test func containersAreCollectedByAgeAndPod() {
    func ended(_ id: String, _ uid: String, _ at: Int64) -> ContainerGCDecision.Ended {
      .init(id: id, uid: uid, name: "main", createdAt: at)
    }
    let doomed = ContainerGCDecision.containers(
      [ended("old", "p", 1), ended("new", "p", 2), ended("gone", "q", 3)], livePods: ["p"], keep: 1, minimumAge: .zero,
      now: at(100))
    #expect(doomed == ["gone", "old"])
    let sandboxes = ContainerGCDecision.sandboxes(
      [("a", "p", false, 1), ("b", "p", true, 2), ("c", "q", false, 1), ("d", "q", false, 2)], withContainers: ["d"],
      livePods: ["p"])
    #expect(sandboxes == ["a", "c"])
  }

  @Test func imagesUnusedLongestGoFirst() {
    func record(_ used: Int64) -> ImageGC.Record { .init(firstSeen: at(1), lastUsed: at(used), size: 1) }
    let order = ImageGC.candidates(
      ["a": record(50), "b": record(10), "c": record(5)], inUse: ["c"], minimumAge: .seconds(120), now: at(1000))
    #expect(order == ["b", "a"])
    #expect(ImageGC.candidates(["a": record(1)], inUse: [], minimumAge: .seconds(120), now: at(60)).isEmpty)
  }
}
