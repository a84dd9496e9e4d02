import API
import APIMachinery
import APIMeta
import Synchronization

/// Nodes reach their own objects, and of secrets, config maps, claims and accounts those that their pods name.
///
/// Upstream keeps a graph of all objects; here an index from node to what its pods refer to is enough, since the edges
/// that matter all start at a pod. Volumes are checked through the claim that is bound to them.
final class NodeAuthorizer: Authorizer {
  enum Reference: Hashable, Sendable {
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

  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    guard let node = Self.nodeName(user) else { return (.noOpinion, "") }
    if node.isEmpty { return (.noOpinion, "unknown node for user \(goQuoted(user.name))") }
    if attributes.isResource {
      switch (attributes.apiGroup, attributes.resource) {
      case ("", "secrets"):
        return read(attributes, node, .secret(namespace: attributes.namespace, name: attributes.name))
      case ("", "configmaps"):
        return read(attributes, node, .configMap(namespace: attributes.namespace, name: attributes.name))
      case ("", "persistentvolumeclaims"):
        let reference = Reference.claim(namespace: attributes.namespace, name: attributes.name)
        if attributes.subresource == "status" { return require(node, reference) }
        return get(attributes, node, reference)
      case ("", "persistentvolumes"): return volume(attributes, node)
      case ("resource.k8s.io", "resourceclaims"):
        return get(attributes, node, .resourceClaim(namespace: attributes.namespace, name: attributes.name))
      case ("", "serviceaccounts") where attributes.subresource == "token" && attributes.verb == "create":
        return require(node, .serviceAccount(namespace: attributes.namespace, name: attributes.name))
      case ("coordination.k8s.io", "leases"):
        guard attributes.namespace == "kube-node-lease" else {
          return (.noOpinion, "can only access leases in the \"kube-node-lease\" system namespace")
        }
        if attributes.verb != "create", attributes.name != node {
          return (.noOpinion, "can only access node lease with the same name as the requesting node")
        }
      case ("storage.k8s.io", "csinodes"):
        if attributes.verb != "create", attributes.name != node {
          return (.noOpinion, "can only access CSINode with the same name as the requesting node")
        }
      default: break
      }
    }
    return rules.contains { $0.covers(attributes) } ? (.allowed, "") : (.noOpinion, "")
  }

  private func read(_ attributes: AuthorizationAttributes, _ node: String, _ reference: Reference) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    guard ["get", "list", "watch"].contains(attributes.verb), attributes.subresource.isEmpty else {
      return (.noOpinion, "can only read resources of this type")
    }
    if attributes.name.isEmpty { return (.noOpinion, "can only read namespaced object of this type") }
    return require(node, reference)
  }

  private func get(_ attributes: AuthorizationAttributes, _ node: String, _ reference: Reference) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    guard attributes.verb == "get" else { return (.noOpinion, "can only get individual resources of this type") }
    guard attributes.subresource.isEmpty else { return (.noOpinion, "cannot get subresource") }
    return require(node, reference)
  }

  private func require(_ node: String, _ reference: Reference) -> (decision: AuthorizationDecision, reason: String) {
    state.withLock { $0.byNode[node]?[reference] != nil }
      ? (.allowed, "") : (.noOpinion, "no relationship found between node \(goQuoted(node)) and this object")
  }

  private func volume(_ attributes: AuthorizationAttributes, _ node: String) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    guard attributes.verb == "get", attributes.subresource.isEmpty else {
      return (.noOpinion, "can only get individual resources of this type")
    }
    guard let claim = registry.object(PersistentVolume.self, name: attributes.name)?.spec.claimRef else {
      return (.noOpinion, "no relationship found between node \(goQuoted(node)) and this object")
    }
    return require(node, .claim(namespace: claim.namespace, name: claim.name))
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
    if pod.metadata.annotations["kubernetes.io/config.mirror"] != nil { return [] }
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
