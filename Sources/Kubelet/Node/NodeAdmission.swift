import API

/// Why a pod may not run here.
struct AdmissionRefusal: Sendable, Equatable {
  var reason: String
  var message: String
}

/// The kubelet's last word on a pod that was given to this node. Pure.
enum NodeAdmission {
  /// Nil when the pod may run beside those already admitted.
  static func check(_ pod: Pod, node: Node, admitted: [Pod]) -> AdmissionRefusal? {
    if let os = pod.spec.os?.name, os != "linux" {
      return AdmissionRefusal(
        reason: "PodOSNotSupported", message: "Failed to admit pod as the OS field doesn't match node OS")
    }
    if let want = pod.spec.nodeSelector[NodeLabels.os], let have = node.metadata.labels[NodeLabels.os], want != have {
      return AdmissionRefusal(
        reason: "PodOSSelectorNodeLabelDoesNotMatch",
        message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label")
    }
    if let refusal = resources(pod, node, admitted) { return refusal }
    let labels = node.metadata.labels
    let selected = pod.spec.nodeSelector.allSatisfy { labels[$0.key] == $0.value }
    let affine =
      pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
      .map { $0.matches(labels: labels, nodeName: node.metadata.name) } ?? true
    if !selected || !affine {
      return AdmissionRefusal(
        reason: "NodeAffinity",
        message: "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
    }
    for port in hostPorts(pod) where admitted.contains(where: { hostPorts($0).contains(port) }) {
      return AdmissionRefusal(
        reason: "NodePorts",
        message:
          "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
    }
    if !pod.isStatic,
      let taint = node.spec.taints.first(where: { taint in
        taint.effect == "NoExecute" && !pod.spec.tolerations.tolerate(taint)
      })
    {
      return AdmissionRefusal(
        reason: "TaintToleration",
        message:
          "Pod was rejected: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate (\(taint.key))"
      )
    }
    return nil
  }

  private static func resources(_ pod: Pod, _ node: Node, _ admitted: [Pod]) -> AdmissionRefusal? {
    let allocatable = node.status.allocatable
    if let most = allocatable["pods"]?.value, Int64(admitted.count) + 1 > most {
      return AdmissionRefusal(
        reason: "OutOfpods",
        message:
          "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: \(admitted.count), capacity: \(most)"
      )
    }
    for (name, wanted) in requests(pod).sorted(by: { $0.key < $1.key }) where !wanted.isZero {
      guard let has = allocatable[name] else { continue }
      let used = admitted.reduce(Quantity(0)) { $0 + (requests($1)[name] ?? Quantity(0)) }
      if used + wanted > has {
        func number(_ quantity: Quantity) -> Int64 { name == "cpu" ? quantity.milliValue : quantity.value }
        return AdmissionRefusal(
          reason: "OutOf\(name)",
          message:
            "Pod was rejected: Node didn't have enough resource: \(name), requested: \(number(wanted)), used: \(number(used)), capacity: \(number(has))"
        )
      }
    }
    return nil
  }

  static func requests(_ pod: Pod) -> [String: Quantity] { pod.spec.totalRequests }

  private static func hostPorts(_ pod: Pod) -> [String] {
    (pod.spec.containers + pod.spec.initContainers.filter(\.isSidecar)).flatMap(\.ports).filter { $0.hostPort > 0 }
      .map { "\($0.hostIP.isEmpty ? "0.0.0.0" : $0.hostIP)/\($0.protocol)/\($0.hostPort)" }
  }
}

/// Labels every node carries.
enum NodeLabels {
  static let hostname = "kubernetes.io/hostname"
  static let os = "kubernetes.io/os"
  static let arch = "kubernetes.io/arch"
}
