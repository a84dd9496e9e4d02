import API
import Client

/// All that a pod's volumes say about nodes: the four volume plugins, in upstream's order.
struct VolumeRules: Sendable {
  let binding: VolumeBinding
  private let claims: Lister<PersistentVolumeClaim>
  private let volumes: Lister<PersistentVolume>
  private let limits: NodeVolumeLimits
  let waits: [@Sendable () async throws -> Void]
  private let csiNodes: Informer<CSINode>
  private let attachments: Informer<VolumeAttachment>

  init(binding: VolumeBinding, informers: InformerFactory) {
    self.binding = binding
    let claims = informers.informer(PersistentVolumeClaim.self).lister
    let volumes = informers.informer(PersistentVolume.self).lister
    let classes = informers.informer(StorageClass.self).lister
    csiNodes = informers.informer(CSINode.self)
    attachments = informers.informer(VolumeAttachment.self)
    self.claims = claims
    self.volumes = volumes
    waits = [csiNodes.waitForSync, attachments.waitForSync]
    let (nodes, attached) = (csiNodes.lister, attachments.lister)
    limits = NodeVolumeLimits(
      attached: { pod in
        var found: Set<NodeVolumeLimits.Attached> = []
        for key in pod.claimKeys {
          guard let claim = claims.get(key) else { continue }
          if let csi = volumes.get(name: claim.spec.volumeName)?.spec.csi {
            found.insert(.init(driver: csi.driver, volume: csi.volumeHandle))
          } else if claim.spec.volumeName.isEmpty, let name = claim.spec.storageClassName,
            let provisioner = classes.get(name: name)?.provisioner, !provisioner.isEmpty
          {
            // Not made yet: the claim's name stands for the volume.
            found.insert(.init(driver: provisioner, volume: "\(key.namespace)/\(key.name)"))
          }
        }
        return found
      },
      limits: { name in
        var limits: [String: Int] = [:]
        for driver in nodes.get(name: name)?.spec.drivers ?? [] {
          if let count = driver.allocatable?.count { limits[driver.name] = Int(count) }
        }
        return limits
      },
      attachments: { name in
        var found: Set<NodeVolumeLimits.Attached> = []
        for attachment in attached.list() where attachment.spec.nodeName == name {
          guard let volume = attachment.spec.source.persistentVolumeName,
            let csi = volumes.get(name: volume)?.spec.csi
          else { continue }
          found.insert(.init(driver: csi.driver, volume: csi.volumeHandle))
        }
        return found
      })
  }

  /// Calls `changed` whenever what the rules look at changes.
  func follow(_ changed: @escaping @Sendable () -> Void) {
    csiNodes.addHandler { _ in changed() }
    attachments.addHandler { _ in changed() }
  }

  func verdict(for pod: Pod) -> VolumeVerdict {
    if pod.spec.volumes.isEmpty { return .anywhere }
    let bound = pod.claimKeys.compactMap { claims.get($0) }.compactMap { volumes.get(name: $0.spec.volumeName) }
    let restrictions = VolumeRestrictions.check(pod) { [claims] in
      claims.get($0)?.spec.accessModes.contains("ReadWriteOncePod") ?? false
    }
    let limit = limits.check(pod)
    let zone = VolumeZone.check(bound)
    var nodes: (@Sendable (NodeInfo, Snapshot) -> Refusal?)?
    switch binding.verdict(for: pod) {
    case .impossible(let refusal): return .impossible(refusal)
    case .depends(let check): nodes = check
    case .anywhere: break
    }
    let checks = [restrictions, limit, nodes, zone].compactMap { $0 }
    if checks.isEmpty { return .anywhere }
    return .depends { node, snapshot in
      for check in checks { if let refusal = check(node, snapshot) { return refusal } }
      return nil
    }
  }
}
