import API
import APIMachinery

/// What a kubelet may change: its own node, the pods bound to it, its lease.
struct NodeRestriction: AdmissionPlugin {
  private static let restrictedPrefix = "node-restriction.kubernetes.io/"

  /// The node that a user speaks for; nil for everybody else.
  private func node(_ user: UserInfo) -> String? {
    guard user.name.hasPrefix(UserInfo.nodeUserPrefix), user.groups.contains(UserInfo.nodesGroup) else { return nil }
    return String(user.name.dropFirst(UserInfo.nodeUserPrefix.count))
  }

  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, let node = node(request.user) else { return }
    try check(object, node, request)
  }

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation == .delete, let node = node(request.user) else { return }
    try check(object, node, request)
  }

  private func check(_ object: LiveObject, _ node: String, _ request: AdmissionRequest) throws {
    switch (request.resource.info.group, request.resource.info.resource) {
    case ("", "pods"): try checkPod(object, node, request)
    case ("", "nodes"): try checkNode(object, node, request)
    case ("coordination.k8s.io", "leases"):
      if request.namespace != "kube-node-lease" || object.metadata.name != node {
        throw request.forbidden(
          object.metadata.name, "can only access node lease with the same name as the requesting node")
      }
    default: break
    }
  }

  private func checkPod(_ object: LiveObject, _ node: String, _ request: AdmissionRequest) throws {
    guard let pod = object.as(Pod.self) else { return }
    let name = pod.metadata.name
    switch request.operation {
    case .create:
      guard pod.isMirror else {
        throw request.forbidden(
          name,
          "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"\(node)\" can only create mirror pods")
      }
      if pod.spec.nodeName != node {
        throw request.forbidden(name, "node \"\(node)\" can only create pods with spec.nodeName set to itself")
      }
    case .update:
      let present = request.old?.as(Pod.self)?.spec.nodeName ?? pod.spec.nodeName
      if request.subresource == "status", present != node {
        throw request.forbidden(
          name, "node \"\(node)\" can only update pod status for pods with spec.nodeName set to itself")
      }
      if request.subresource == "status", let old = request.old, old.metadata.labels != pod.metadata.labels {
        throw request.forbidden(name, "node \"\(node)\" cannot update labels through pod status")
      }
      if request.subresource.isEmpty {
        throw request.forbidden(
          name, "unexpected operation \"UPDATE\", node \"\(node)\" can only create and delete mirror pods")
      }
    case .delete:
      if pod.spec.nodeName != node {
        throw request.forbidden(name, "node \"\(node)\" can only delete pods with spec.nodeName set to itself")
      }
    }
  }

  private func checkNode(_ object: LiveObject, _ node: String, _ request: AdmissionRequest) throws {
    let name = object.metadata.name
    if name != node {
      throw request.forbidden(name, "node \"\(node)\" is not allowed to modify node \"\(name)\"")
    }
    guard let new = object.as(Node.self) else { return }
    let old = request.old?.as(Node.self)
    func marked(_ labels: [String: String]) -> [String: String] {
      labels.filter { Self.isRestricted($0.key) }
    }
    switch request.operation {
    case .create:
      let bad = marked(new.metadata.labels).keys.sorted()
      if !bad.isEmpty {
        throw request.forbidden(
          name, "is not allowed to set the following labels: \(bad.joined(separator: ", "))")
      }
    case .update:
      guard let old else { return }
      if new.spec.taints != old.spec.taints {
        throw request.forbidden(name, "node \"\(node)\" is not allowed to modify taints")
      }
      let (before, after) = (marked(old.metadata.labels), marked(new.metadata.labels))
      let bad = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted()
      if !bad.isEmpty {
        throw request.forbidden(name, "is not allowed to modify labels: \(bad.joined(separator: ", "))")
      }
    case .delete: throw request.forbidden(name, "node \"\(node)\" is not allowed to delete itself")
    }
  }

  /// Labels by which workloads are kept on nodes that a kubelet must not be able to choose for itself.
  private static func isRestricted(_ key: String) -> Bool {
    if key.hasPrefix(restrictedPrefix) { return true }
    let domain = key.split(separator: "/", maxSplits: 1)
    guard domain.count == 2 else { return false }
    let prefix = String(domain[0])
    guard
      prefix == "kubernetes.io" || prefix == "k8s.io" || prefix.hasSuffix(".kubernetes.io")
        || prefix.hasSuffix(".k8s.io")
    else { return false }
    if prefix == "kubelet.kubernetes.io" || prefix.hasSuffix(".kubelet.kubernetes.io")
      || prefix == "node.kubernetes.io" || prefix.hasSuffix(".node.kubernetes.io")
    {
      return false
    }
    return !allowed.contains(key)
  }

  private static let allowed: Set<String> = [
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "failure-domain.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
  ]
}
