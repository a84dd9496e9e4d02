import API
import APIMachinery

/// What a kubelet may change: its own node, the pods bound to it, its lease, tokens for its pods.
struct NodeRestriction: AdmissionPlugin {
  /// The node that a user speaks for; nil for everybody else.
  private func node(_ user: UserInfo) -> String? {
    guard user.name.hasPrefix(UserInfo.nodeUserPrefix), user.groups.contains(UserInfo.nodesGroup) else { return nil }
    return String(user.name.dropFirst(UserInfo.nodeUserPrefix.count))
  }

  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, let node = node(request.user) else { return }
    try check(object, node, request, registry)
  }

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation == .delete, let node = node(request.user) else { return }
    try check(object, node, request, registry)
  }

  private func check(
    _ object: LiveObject, _ node: String, _ request: AdmissionRequest, _ registry: Registry
  ) throws {
    let name = object.metadata.name
    if node.isEmpty {
      throw request.forbidden(name, "could not determine node from user \(goQuoted(request.user.name))")
    }
    switch (request.resource.info.group, request.resource.info.resource) {
    case ("", "pods"): try checkPod(object, node, request, registry)
    case ("", "nodes"): try checkNode(object, node, request)
    case ("", "persistentvolumeclaims"): try checkClaim(object, node, request)
    case ("coordination.k8s.io", "leases"):
      if request.namespace != "kube-node-lease" {
        throw request.forbidden(name, "can only access leases in the \"kube-node-lease\" system namespace")
      }
      if name != node {
        throw request.forbidden(name, "can only access node lease with the same name as the requesting node")
      }
    case ("storage.k8s.io", "csinodes"):
      if name != node {
        throw request.forbidden(name, "can only access CSINode with the same name as the requesting node")
      }
    case ("resource.k8s.io", "resourceslices"):
      guard let slice = (request.operation == .create ? object : request.old ?? object).as(ResourceSlice.self),
        slice.spec.nodeName != node
      else { return }
      throw request.forbidden(
        name,
        "can only \(request.operation == .create ? "create" : "access") ResourceSlice with the same NodeName as the "
          + "requesting node")
    case ("discovery.k8s.io", "endpointslices"):
      // Upstream gives nodes no right to write them. Ours publish where their DNS answers, and nothing else.
      if request.namespace != "kube-system" || name != "kube-dns-\(node)" {
        throw request.forbidden(
          name, "node \"\(node)\" can only write the EndpointSlice \"kube-system/kube-dns-\(node)\"")
      }
    default: break
    }
  }

  // MARK: Pods

  private func checkPod(
    _ object: LiveObject, _ node: String, _ request: AdmissionRequest, _ registry: Registry
  ) throws {
    guard let pod = object.as(Pod.self) else { return }
    let name = pod.metadata.name
    switch (request.operation, request.subresource) {
    case (.create, ""):
      if let problem = mirrorProblem(pod, node, registry) { throw request.forbidden(name, problem) }
    case (.delete, "eviction"):
      if pod.spec.nodeName != node {
        throw request.forbidden(name, "node \(node) can only evict pods with spec.nodeName set to itself")
      }
    case (.delete, _):
      if pod.spec.nodeName != node {
        throw request.forbidden(name, "node \"\(node)\" can only delete pods with spec.nodeName set to itself")
      }
    case (.update, "status"):
      let old = request.old?.as(Pod.self) ?? pod
      if old.spec.nodeName != node {
        throw request.forbidden(
          name, "node \"\(node)\" can only update pod status for pods with spec.nodeName set to itself")
      }
      if old.metadata.labels != pod.metadata.labels {
        throw request.forbidden(name, "node \"\(node)\" cannot update labels through pod status")
      }
      if old.status.resourceClaimStatuses != pod.status.resourceClaimStatuses {
        throw request.forbidden(name, "node \"\(node)\" cannot update resource claim statues")
      }
    case (let operation, ""):
      throw request.forbidden(
        name,
        "unexpected operation \"\(operation == .create ? "CREATE" : "UPDATE")\", "
          + "node \"\(node)\" can only create and delete mirror pods")
    case (_, let subresource):
      throw request.forbidden(
        name, "unexpected pod subresource \"\(subresource)\", only 'status' and 'eviction' are allowed")
    }
  }

  /// Why a node may not create a pod; nil when it is the image of one that it runs from its own files.
  private func mirrorProblem(_ pod: Pod, _ node: String, _ registry: Registry) -> String? {
    guard pod.isMirror else {
      return
        "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"\(node)\" can only create mirror pods"
    }
    func only(_ what: String) -> String { "node \"\(node)\" can only create pods with \(what)" }
    if pod.spec.nodeName != node { return only("spec.nodeName set to itself") }
    let owners = pod.metadata.ownerReferences
    if owners.count > 1 { return only("a single owner reference set to itself") }
    guard let owner = owners.first, owner.apiVersion == "v1", owner.kind == "Node", owner.name == node else {
      return only("an owner reference set to itself")
    }
    if owner.controller != true { return only("a controller owner reference set to itself") }
    if owner.blockOwnerDeletion == true {
      return "node \"\(node)\" must not set blockOwnerDeletion on an owner reference"
    }
    guard let known = registry.object(Node.self, name: node) else {
      return "error looking up node \(node) to verify uid: node \"\(node)\" not found"
    }
    if owner.uid != known.metadata.uid {
      return "node \(node) UID mismatch: expected \(owner.uid) got \(known.metadata.uid)"
    }
    func reference(_ what: String) -> String { "node \"\(node)\" can not create pods that reference \(what)" }
    if !pod.spec.serviceAccountName.isEmpty { return reference("a service account") }
    // What it names as an ordinary pod; as a mirror it would name nothing.
    var plain = pod
    plain.metadata.annotations["kubernetes.io/config.mirror"] = nil
    let named = NodeAuthorizer.references(plain)
    if named.contains(where: { if case .secret = $0 { true } else { false } }) { return reference("secrets") }
    if named.contains(where: { if case .configMap = $0 { true } else { false } }) { return reference("configmaps") }
    if pod.spec.volumes.contains(where: { $0.projected?.sources.contains { $0.clusterTrustBundle != nil } == true }) {
      return reference("clustertrustbundles")
    }
    if pod.spec.volumes.contains(where: { $0.persistentVolumeClaim != nil }) {
      return reference("persistentvolumeclaims")
    }
    return nil
  }

  // MARK: Nodes

  private func checkNode(_ object: LiveObject, _ node: String, _ request: AdmissionRequest) throws {
    let name = object.metadata.name
    if name != node {
      throw request.forbidden(name, "node \"\(node)\" is not allowed to modify node \"\(name)\"")
    }
    guard let new = object.as(Node.self) else { return }
    let old = request.old?.as(Node.self)
    switch request.operation {
    case .create:
      if new.spec.configSource != nil {
        throw request.forbidden(
          name, "node \"\(node)\" is not allowed to create pods with a non-nil configSource")
      }
      let bad = Self.forbiddenLabels(new.metadata.labels, [:])
      if !bad.isEmpty {
        throw request.forbidden(
          name, "node \"\(node)\" is not allowed to set the following labels: \(bad.joined(separator: ", "))")
      }
    case .update:
      guard let old else { return }
      if new.spec.configSource != nil, new.spec.configSource != old.spec.configSource {
        throw request.forbidden(
          name, "node \"\(node)\" is not allowed to update configSource to a new non-nil configSource")
      }
      if new.spec.taints != old.spec.taints {
        throw request.forbidden(name, "node \"\(node)\" is not allowed to modify taints")
      }
      let bad = Self.forbiddenLabels(new.metadata.labels, old.metadata.labels)
      if !bad.isEmpty {
        throw request.forbidden(name, "is not allowed to modify labels: \(bad.joined(separator: ", "))")
      }
    case .delete: break
    }
  }

  /// The labels in which two sets differ and that a node may not choose for itself: workloads are kept on nodes by them.
  static func forbiddenLabels(_ new: [String: String], _ old: [String: String]) -> [String] {
    Set(new.keys).union(old.keys).filter { new[$0] != old[$0] && isRestricted($0) }.sorted()
  }

  private static func isRestricted(_ key: String) -> Bool {
    guard let slash = key.firstIndex(of: "/") else { return false }
    let domain = String(key[..<slash])
    func within(_ parent: String) -> Bool { domain == parent || domain.hasSuffix("." + parent) }
    if within("node-restriction.kubernetes.io") { return true }
    guard within("kubernetes.io") || within("k8s.io") else { return false }
    return !within("kubelet.kubernetes.io") && !within("node.kubernetes.io") && !allowed.contains(key)
  }

  private static let allowed: Set<String> = [
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "failure-domain.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
  ]

  // MARK: Claims and tokens

  private func checkClaim(_ object: LiveObject, _ node: String, _ request: AdmissionRequest) throws {
    let name = object.metadata.name
    guard request.subresource == "status", request.operation == .update else {
      throw request.forbidden(name, "may only update PVC status")
    }
    guard var new = object.as(PersistentVolumeClaim.self), var old = request.old?.as(PersistentVolumeClaim.self) else {
      return
    }
    func strip(_ claim: inout PersistentVolumeClaim) {
      claim.metadata.resourceVersion = ""
      claim.metadata.managedFields = []
      claim.status.capacity = [:]
      claim.status.conditions = []
      claim.status.allocatedResources = [:]
      claim.status.allocatedResourceStatuses = [:]
    }
    strip(&new)
    strip(&old)
    if new != old {
      throw request.forbidden(
        name, "node \"\(node)\" is not allowed to update fields other than status.capacity and status.conditions")
    }
  }

  /// A node gets tokens only for pods that it runs.
  func check(_ token: TokenRequest, _ context: WriteContext, _ registry: Registry) throws {
    guard let node = node(context.user) else { return }
    func forbidden(_ message: String) -> StatusError {
      .forbidden(context.resource.groupResource, context.name, message)
    }
    guard let bound = token.spec.boundObjectRef, bound.apiVersion == "v1", bound.kind == "Pod", !bound.name.isEmpty
    else {
      throw forbidden("node requested token not bound to a pod")
    }
    if bound.uid.isEmpty { throw forbidden("node requested token with a pod binding without a uid") }
    guard let pod = registry.object(Pod.self, namespace: context.namespace, name: bound.name) else {
      throw StatusError.notFound(Pod.groupResource, bound.name)
    }
    if pod.metadata.uid != bound.uid {
      throw forbidden(
        "the UID in the bound object reference (\(bound.uid)) does not match the UID in record. The object might have "
          + "been deleted and then recreated")
    }
    if pod.spec.nodeName != node {
      throw forbidden("node requested token bound to a pod scheduled on a different node")
    }
  }
}
