import API
import Client
import Synchronization

/// Ties pods with claims to the nodes that their volumes allow, and has unbound claims bound before the pod is
/// (`volumeBindingMode: WaitForFirstConsumer`).
///
///     claim bound ─────────────────▶ the volume's node affinity decides
///     unbound, Immediate ──────────▶ not yet: the binder comes first
///     unbound, WaitForFirstConsumer ▶ a free volume on the node, or the provisioner: told the node by annotation
final class VolumeBinding: ReservePlugin, PreBindPlugin {
  let name = "VolumeBinding"

  private let client: APIClient
  private let claims: Lister<PersistentVolumeClaim>
  private let volumes: Lister<PersistentVolume>
  private let classes: Lister<StorageClass>
  /// Volumes promised to claims by pods on their way to a node: volume name → claim.
  private let promised = Mutex<[String: ObjectKey]>([:])
  private let timeout: Swift.Duration

  static let selectedNode = "volume.kubernetes.io/selected-node"

  init(client: APIClient, informers: InformerFactory, timeout: Swift.Duration = .seconds(600)) {
    self.client = client
    self.timeout = timeout
    claims = informers.informer(PersistentVolumeClaim.self).lister
    volumes = informers.informer(PersistentVolume.self).lister
    classes = informers.informer(StorageClass.self).lister
  }

  private func refusal(_ reason: String) -> Refusal { Refusal(plugin: name, reasons: [reason], unresolvable: true) }

  private func claimNames(of pod: Pod) -> [(name: String, isEphemeral: Bool)] {
    pod.spec.volumes.compactMap { volume in
      if let claim = volume.persistentVolumeClaim { return (claim.claimName, false) }
      return volume.ephemeral == nil ? nil : ("\(pod.metadata.name)-\(volume.name)", true)
    }
  }

  /// What the pod's claims say about nodes, from what the informers hold now.
  func verdict(for pod: Pod) -> VolumeVerdict {
    let names = claimNames(of: pod)
    guard !names.isEmpty else { return .anywhere }
    var bound: [PersistentVolume] = []
    var waiting: [PersistentVolumeClaim] = []
    for (name, isEphemeral) in names {
      guard let claim = claims.get(namespace: pod.metadata.namespace, name: name) else {
        return .impossible(
          refusal(
            isEphemeral
              ? "waiting for ephemeral volume controller to create the persistentvolumeclaim \"\(name)\""
              : "persistentvolumeclaim \"\(name)\" not found"))
      }
      if isEphemeral, claim.metadata.controllerOwner?.uid != pod.metadata.uid {
        return .impossible(
          refusal(
            "PVC \(pod.metadata.namespace)/\(name) was not created for pod \(pod.metadata.namespace)/\(pod.metadata.name) "
              + "(pod is not owner)"))
      }
      if claim.metadata.deletionTimestamp != nil {
        return .impossible(refusal("persistentvolumeclaim \"\(name)\" is being deleted"))
      }
      if claim.status.phase == "Lost" {
        return .impossible(
          refusal(
            "persistentvolumeclaim \"\(name)\" bound to non-existent persistentvolume \"\(claim.spec.volumeName)\""))
      }
      if claim.isFullyBound {
        guard let volume = volumes.get(name: claim.spec.volumeName) else {
          return .impossible(refusal("persistentvolume \"\(claim.spec.volumeName)\" not found"))
        }
        bound.append(volume)
      } else if storageClass(of: claim)?.volumeBindingMode == "WaitForFirstConsumer" {
        waiting.append(claim)
      } else {
        return .impossible(refusal("pod has unbound immediate PersistentVolumeClaims"))
      }
    }
    let (fixed, open) = (bound, waiting)
    return .depends { [self] info, _ in
      let (node, labels) = (info.node.metadata.name, info.node.metadata.labels)
      if fixed.contains(where: { !Self.allows($0, node: node, labels: labels) }) {
        return refusal("node(s) didn't match PersistentVolume's node affinity")
      }
      for claim in open {
        guard freeVolume(for: claim, node: node, labels: labels) == nil else { continue }
        let provisioner = storageClass(of: claim)?.provisioner ?? ""
        if provisioner.isEmpty || provisioner == "kubernetes.io/no-provisioner" {
          return refusal("node(s) didn't find available persistent volumes to bind")
        }
      }
      return nil
    }
  }

  /// Labels by which a volume names a node; set by the scheduler's shell from its node informer.
  private let labelsOfNode = Mutex<@Sendable (String) -> [String: String]>({ _ in [:] })

  func useNodes(_ lister: Lister<Node>) {
    labelsOfNode.withLock { $0 = { lister.get(name: $0)?.metadata.labels ?? [:] } }
  }

  private func nodeLabels(_ name: String) -> [String: String] { labelsOfNode.withLock { $0 }(name) }

  private func storageClass(of claim: PersistentVolumeClaim) -> StorageClass? {
    claim.spec.storageClassName.flatMap { $0.isEmpty ? nil : classes.get(name: $0) }
  }

  private static func allows(_ volume: PersistentVolume, node: String, labels: [String: String]) -> Bool {
    guard let required = volume.spec.nodeAffinity?.required else { return true }
    var stand = Node()
    stand.metadata.name = node
    stand.metadata.labels = labels
    return NodeAffinity.matches(required, stand)
  }

  /// The smallest unclaimed volume that satisfies the claim on that node.
  private func freeVolume(
    for claim: PersistentVolumeClaim, node: String, labels: [String: String]
  ) -> PersistentVolume? {
    let taken = promised.withLock { $0 }
    let wanted = claim.spec.resources.requests["storage"] ?? Quantity()
    let candidates = volumes.list().filter { volume in
      volume.status.phase == "Available" && volume.spec.storageClassName == (claim.spec.storageClassName ?? "")
        && (taken[volume.metadata.name].map { $0 == claim.key } ?? true)
        && volume.spec.claimRef.map({ $0.namespace == claim.metadata.namespace && $0.name == claim.metadata.name })
          ?? true
        && Set(claim.spec.accessModes).isSubset(of: volume.spec.accessModes)
        && (volume.spec.capacity["storage"] ?? Quantity()) >= wanted && Self.allows(volume, node: node, labels: labels)
    }
    return candidates.min { ($0.spec.capacity["storage"] ?? Quantity()) < ($1.spec.capacity["storage"] ?? Quantity()) }
  }

  // Reserve, PreBind

  func reserve(_ pod: PodInfo, on node: String) async -> Refusal? {
    for claim in unbound(pod.pod) {
      guard let volume = freeVolume(for: claim, node: node, labels: nodeLabels(node)) else { continue }
      promised.withLock { $0[volume.metadata.name] = claim.key }
    }
    return nil
  }

  func unreserve(_ pod: PodInfo, on node: String) async {
    let keys = Set(claimNames(of: pod.pod).map { ObjectKey(namespace: pod.pod.metadata.namespace, name: $0.name) })
    promised.withLock { promised in promised = promised.filter { !keys.contains($0.value) } }
  }

  private func unbound(_ pod: Pod) -> [PersistentVolumeClaim] {
    claimNames(of: pod).compactMap { claims.get(namespace: pod.metadata.namespace, name: $0.name) }.filter {
      !$0.isFullyBound
    }
  }

  /// Writes what was promised and waits until every claim is bound.
  func preBind(_ pod: PodInfo, to node: String) async throws {
    let waiting = unbound(pod.pod)
    guard !waiting.isEmpty else { return }
    for claim in waiting {
      let volume = promised.withLock { $0.first { $0.value == claim.key }?.key }
      if let volume {
        try await claimVolume(volume, for: claim)
      } else if claim.metadata.annotations[Self.selectedNode] != node {
        let patch = JSONValue.object([
          "metadata": .object(["annotations": .object([Self.selectedNode: .string(node)])])
        ])
        _ = try await client.patch(
          PersistentVolumeClaim.self, namespace: claim.metadata.namespace, name: claim.metadata.name,
          .merge(patch.encoded()))
      }
    }
    try await waitUntilBound(pod.pod, waiting, node)
    await unreserve(pod, on: node)
  }

  private func claimVolume(_ name: String, for claim: PersistentVolumeClaim) async throws {
    var volume = try await client.get(PersistentVolume.self, name: name)
    var reference = ObjectReference()
    reference.kind = "PersistentVolumeClaim"
    reference.apiVersion = "v1"
    reference.namespace = claim.metadata.namespace
    reference.name = claim.metadata.name
    reference.uid = claim.metadata.uid
    volume.spec.claimRef = reference
    volume.metadata.annotations["pv.kubernetes.io/bound-by-controller"] = "yes"
    _ = try await client.update(volume)
  }

  private func waitUntilBound(_ pod: Pod, _ waiting: [PersistentVolumeClaim], _ node: String) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + timeout
    while clock.now < deadline {
      let current = waiting.map { claims.get($0.key) }
      if current.allSatisfy({ $0?.isFullyBound ?? false }) { return }
      if current.contains(where: { $0 == nil }) { throw VolumeBindingError(message: "a claim of the pod was deleted") }
      // The provisioner gives a node up by taking the annotation away again.
      let seen = current.compactMap { $0?.metadata.annotations[Self.selectedNode] }
      if seen.contains(where: { !$0.isEmpty && $0 != node }) {
        throw VolumeBindingError(message: "the provisioner rejected node \"\(node)\"")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw VolumeBindingError(message: "timed out waiting for the condition")
  }
}

struct VolumeBindingError: Error, CustomStringConvertible {
  var message: String
  var description: String { "binding volumes: \(message)" }
}

extension PersistentVolumeClaim {
  /// Bound, and the binder has finished its side.
  var isFullyBound: Bool {
    !spec.volumeName.isEmpty && metadata.annotations["pv.kubernetes.io/bind-completed"] != nil
  }
}
