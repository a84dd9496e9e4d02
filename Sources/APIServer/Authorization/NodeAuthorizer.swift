import API
import APIMachinery
import APIMeta
import Synchronization

/// Nodes reach their own objects, and of secrets, config maps, claims and accounts those that their pods name.
///
/// Upstream keeps a graph of all objects; here an index from node to what its pods refer to is enough, since the edges
/// that matter all start at a pod. Volumes are checked through the claim that is bound to them.
final class NodeAuthorizer: Authorizer {
  typealias Answer = (decision: AuthorizationDecision, reason: String)

  enum Reference: Hashable, Sendable {
    case pod(namespace: String, name: String)
    case secret(namespace: String, name: String)
    case configMap(namespace: String, name: String)
    case claim(namespace: String, name: String)
    case resourceClaim(namespace: String, name: String)
    case serviceAccount(namespace: String, name: String)
  }
  fileprivate struct Index {
    var byNode: [String: [Reference: Int]] = [:]
    /// What each pod contributes, so that it can be taken back.
    var pods: [String: (node: String, references: Set<Reference>)] = [:]
  }
  private let state = Mutex(Index())
  private let rules: [PolicyRule]
  private let registry: Registry

  init(registry: Registry) {
    self.registry = registry
    rules = BootstrapPolicy.nodeRules
  }

  func follow() {
    registry.subscribe(Pod.self) { pods in
      state.withLock { index in
        for pod in pods { index.set(pod) }
      }
    } handler: { change in
      self.state.withLock { index in
        switch change {
        case .added(let pod), .updated(_, let pod): index.set(pod)
        case .deleted(let pod): index.remove("\(pod.metadata.namespace)/\(pod.metadata.name)")
        }
      }
    }
  }

  static func nodeName(_ user: UserInfo) -> String? {
    guard user.name.hasPrefix(UserInfo.nodeUserPrefix), user.groups.contains(UserInfo.nodesGroup) else { return nil }
    return String(user.name.dropFirst(UserInfo.nodeUserPrefix.count))
  }

  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> Answer {
    guard let node = Self.nodeName(user) else { return (.noOpinion, "") }
    if node.isEmpty { return (.noOpinion, "unknown node for user \(goQuoted(user.name))") }
    if attributes.isResource, let answer = authorizeResource(attributes, node) { return answer }
    return rules.contains { $0.covers(attributes) } ? (.allowed, "") : (.noOpinion, "")
  }

  /// Nil for resources to which every node has the same rights.
  private func authorizeResource(_ attributes: AuthorizationAttributes, _ node: String) -> Answer? {
    let (namespace, name) = (attributes.namespace, attributes.name)
    switch (attributes.apiGroup, attributes.resource) {
    case ("", "secrets"): return read(attributes, node, .secret(namespace: namespace, name: name))
    case ("", "configmaps"): return read(attributes, node, .configMap(namespace: namespace, name: name))
    case ("", "persistentvolumeclaims"):
      let reference = Reference.claim(namespace: namespace, name: name)
      guard attributes.subresource == "status" else { return get(attributes) ?? require(node, reference) }
      guard ["update", "patch"].contains(attributes.verb) else {
        return (.noOpinion, "can only get/update/patch this type")
      }
      return require(node, reference)
    case ("", "persistentvolumes"): return get(attributes) ?? related(node, name.isEmpty || isVolume(name, of: node))
    case ("resource.k8s.io", "resourceclaims"):
      return get(attributes) ?? require(node, .resourceClaim(namespace: namespace, name: name))
    case ("resource.k8s.io", "resourceslices"): return resourceSlice(attributes, node)
    case ("storage.k8s.io", "volumeattachments"):
      return get(attributes)
        ?? related(node, registry.object(VolumeAttachment.self, name: name)?.spec.nodeName == node)
    case ("", "serviceaccounts"):
      guard attributes.verb == "create", !name.isEmpty else {
        return (.noOpinion, "can only create tokens for individual service accounts")
      }
      guard attributes.subresource == "token" else {
        return (.noOpinion, "can only create token subresource of serviceaccount")
      }
      return require(node, .serviceAccount(namespace: namespace, name: name))
    case ("coordination.k8s.io", "leases"):
      guard Self.ownVerbs.contains(attributes.verb) else {
        return (.noOpinion, "can only get, create, update, patch, or delete a node lease")
      }
      guard namespace == "kube-node-lease" else {
        return (.noOpinion, "can only access leases in the \"kube-node-lease\" system namespace")
      }
      // The name of what is created is not known yet: admission looks at it.
      if attributes.verb != "create", name != node {
        return (.noOpinion, "can only access node lease with the same name as the requesting node")
      }
      return (.allowed, "")
    case ("storage.k8s.io", "csinodes"):
      guard Self.ownVerbs.contains(attributes.verb) else {
        return (.noOpinion, "can only get, create, update, patch, or delete a CSINode")
      }
      guard attributes.subresource.isEmpty else { return (.noOpinion, "cannot authorize CSINode subresources") }
      if attributes.verb != "create", name != node {
        return (.noOpinion, "can only access CSINode with the same name as the requesting node")
      }
      return (.allowed, "")
    case ("", "nodes"): return authorizeNode(attributes, node)
    case ("", "pods"): return authorizePod(attributes, node)
    default: return nil
    }
  }

  private static let ownVerbs = ["get", "create", "update", "patch", "delete"]

  private func authorizeNode(_ attributes: AuthorizationAttributes, _ node: String) -> Answer {
    switch (attributes.subresource, attributes.verb) {
    case ("", "create"), ("", "update"), ("", "patch"), ("status", "update"), ("status", "patch"):
      // Which node is admission's business.
      return (.allowed, "")
    case ("", "get"), ("", "list"), ("", "watch"):
      switch attributes.name {
      case node: return (.allowed, "")
      case "": return (.noOpinion, "node '\(node)' cannot read all nodes, only its own Node object")
      default: return (.noOpinion, "node '\(node)' cannot read '\(attributes.name)', only its own Node object")
      }
    default: return (.noOpinion, "")
    }
  }

  private func authorizePod(_ attributes: AuthorizationAttributes, _ node: String) -> Answer {
    let pod = Reference.pod(namespace: attributes.namespace, name: attributes.name)
    switch (attributes.subresource, attributes.verb) {
    case ("", "get"): return get(attributes) ?? require(node, pod)
    case ("", "list"), ("", "watch"):
      if Self.selects(attributes, "spec.nodeName", node) { return (.allowed, "") }
      if !attributes.name.isEmpty { return require(node, pod) }
      return (.noOpinion, "can only list/watch pods with spec.nodeName field selector")
    case ("", "create"), ("", "delete"), ("status", "update"), ("status", "patch"), ("eviction", "create"):
      // Mirror pods, and the state of the node's own pods; admission sees to that.
      return (.allowed, "")
    default: return (.noOpinion, "")
    }
  }

  private func resourceSlice(_ attributes: AuthorizationAttributes, _ node: String) -> Answer {
    guard attributes.subresource.isEmpty else { return (.noOpinion, "cannot authorize ResourceSlice subresources") }
    switch attributes.verb {
    case "create": return (.allowed, "")
    case "get", "update", "patch", "delete":
      return related(node, registry.object(ResourceSlice.self, name: attributes.name)?.spec.nodeName == node)
    case "watch", "list", "deletecollection":
      if Self.selects(attributes, "spec.nodeName", node) { return (.allowed, "") }
      return (.noOpinion, "can only list/watch/deletecollection resourceslices with nodeName field selector")
    default:
      return (
        .noOpinion,
        "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, "
          + "deletecollection"
      )
    }
  }

  private static func selects(_ attributes: AuthorizationAttributes, _ field: String, _ value: String) -> Bool {
    attributes.selectors.fields.contains { $0.path == field && $0.op == .equals && $0.value == value }
  }

  private func read(_ attributes: AuthorizationAttributes, _ node: String, _ reference: Reference) -> Answer {
    guard ["get", "list", "watch"].contains(attributes.verb) else {
      return (.noOpinion, "can only read resources of this type")
    }
    guard attributes.subresource.isEmpty else { return (.noOpinion, "cannot read subresource") }
    if attributes.namespace.isEmpty { return (.noOpinion, "can only read namespaced object of this type") }
    if attributes.name.isEmpty { return (.noOpinion, "No Object name found") }
    let answer = require(node, reference)
    if answer.decision != .allowed, case .secret(let namespace, let name) = reference,
      volumesOf(node).contains(where: { $0.names(namespace, name) })
    {
      return (.allowed, "")
    }
    return answer
  }

  /// Why an object may not be read as asked; nil when it depends on which object it is.
  private func get(_ attributes: AuthorizationAttributes) -> Answer? {
    guard attributes.verb == "get" else { return (.noOpinion, "can only get individual resources of this type") }
    guard attributes.subresource.isEmpty else { return (.noOpinion, "cannot get subresource") }
    return attributes.name.isEmpty ? (.noOpinion, "No Object name found") : nil
  }

  private func require(_ node: String, _ reference: Reference) -> Answer {
    related(node, state.withLock { $0.byNode[node]?[reference] != nil })
  }

  private func related(_ node: String, _ isRelated: Bool) -> Answer {
    isRelated ? (.allowed, "") : (.noOpinion, "no relationship found between node '\(node)' and this object")
  }

  private func isVolume(_ name: String, of node: String) -> Bool {
    guard let claim = registry.object(PersistentVolume.self, name: name)?.spec.claimRef else { return false }
    return state.withLock { $0.byNode[node]?[.claim(namespace: claim.namespace, name: claim.name)] != nil }
  }

  /// The volumes that the node's pods use through claims; asked for only when a secret is nobody's own.
  private func volumesOf(_ node: String) -> [PersistentVolume] {
    let claims = state.withLock { index in index.byNode[node].map { Array($0.keys) } ?? [] }
    return claims.compactMap { reference in
      guard case .claim(let namespace, let name) = reference,
        let claim = registry.object(PersistentVolumeClaim.self, namespace: namespace, name: name),
        let volume = registry.object(PersistentVolume.self, name: claim.spec.volumeName),
        volume.spec.claimRef?.namespace == namespace, volume.spec.claimRef?.name == name
      else { return nil }
      return volume
    }
  }
}

extension PersistentVolume {
  /// Whether mounting the volume takes this secret.
  fileprivate func names(_ namespace: String, _ name: String) -> Bool {
    let home = spec.claimRef?.namespace ?? ""
    let sources: [SecretReference?] = [
      spec.csi?.nodePublishSecretRef, spec.csi?.nodeStageSecretRef, spec.csi?.nodeExpandSecretRef,
      spec.cephfs?.secretRef, spec.rbd?.secretRef, spec.iscsi?.secretRef, spec.flexVolume?.secretRef,
      spec.scaleIO?.secretRef,
    ]
    if sources.contains(where: { $0?.name == name && ($0?.namespace ?? "") == namespace }) { return true }
    guard let azure = spec.azureFile else { return false }
    return azure.secretName == name && (azure.secretNamespace ?? home) == namespace
  }
}

extension NodeAuthorizer.Index {
  mutating func set(_ pod: Pod) {
    let key = "\(pod.metadata.namespace)/\(pod.metadata.name)"
    let references = pod.spec.nodeName.isEmpty ? [] : NodeAuthorizer.references(pod)
    if let old = pods[key], old.node == pod.spec.nodeName, old.references == references { return }
    remove(key)
    guard !pod.spec.nodeName.isEmpty else { return }
    pods[key] = (pod.spec.nodeName, references)
    for reference in references { byNode[pod.spec.nodeName, default: [:]][reference, default: 0] += 1 }
  }

  mutating func remove(_ key: String) {
    guard let old = pods.removeValue(forKey: key) else { return }
    for reference in old.references {
      let left = (byNode[old.node]?[reference] ?? 1) - 1
      byNode[old.node]?[reference] = left > 0 ? left : nil
    }
    if byNode[old.node]?.isEmpty == true { byNode[old.node] = nil }
  }
}

extension NodeAuthorizer {
  /// What a pod's kubelet may read.
  static func references(_ pod: Pod) -> Set<Reference> {
    let namespace = pod.metadata.namespace
    var result: Set<Reference> = []
    func secret(_ name: String?) {
      if let name, !name.isEmpty { result.insert(.secret(namespace: namespace, name: name)) }
    }
    func configMap(_ name: String?) {
      if let name, !name.isEmpty { result.insert(.configMap(namespace: namespace, name: name)) }
    }
    // A mirror pod speaks for nobody: it may name whatever the node's files name.
    result.insert(.pod(namespace: namespace, name: pod.metadata.name))
    if pod.metadata.annotations["kubernetes.io/config.mirror"] != nil { return result }
    if !pod.spec.serviceAccountName.isEmpty {
      result.insert(.serviceAccount(namespace: namespace, name: pod.spec.serviceAccountName))
    }
    for reference in pod.spec.imagePullSecrets { secret(reference.name) }
    let environments =
      (pod.spec.initContainers + pod.spec.containers).map { ($0.env, $0.envFrom) }
      + pod.spec.ephemeralContainers.map { ($0.env, $0.envFrom) }
    for (variables, sources) in environments {
      for source in sources {
        secret(source.secretRef?.name)
        configMap(source.configMapRef?.name)
      }
      for variable in variables {
        secret(variable.valueFrom?.secretKeyRef?.name)
        configMap(variable.valueFrom?.configMapKeyRef?.name)
      }
    }
    for volume in pod.spec.volumes {
      secret(volume.secret?.secretName)
      configMap(volume.configMap?.name)
      for source in volume.projected?.sources ?? [] {
        secret(source.secret?.name)
        configMap(source.configMap?.name)
      }
      secret(volume.csi?.nodePublishSecretRef?.name)
      secret(volume.cephfs?.secretRef?.name)
      secret(volume.rbd?.secretRef?.name)
      secret(volume.iscsi?.secretRef?.name)
      secret(volume.flexVolume?.secretRef?.name)
      secret(volume.azureFile?.secretName)
      if let claim = volume.persistentVolumeClaim {
        result.insert(.claim(namespace: namespace, name: claim.claimName))
      } else if volume.ephemeral != nil {
        result.insert(.claim(namespace: namespace, name: "\(pod.metadata.name)-\(volume.name)"))
      }
    }
    for status in pod.status.resourceClaimStatuses {
      if let name = status.resourceClaimName, !name.isEmpty {
        result.insert(.resourceClaim(namespace: namespace, name: name))
      }
    }
    for claim in pod.spec.resourceClaims {
      if let name = claim.resourceClaimName, !name.isEmpty {
        result.insert(.resourceClaim(namespace: namespace, name: name))
      }
    }
    return result
  }
}
