import API
import APIMachinery
import Client
import Logging

/// Binds claims and volumes to each other, both ways, and follows what becomes of either.
final class PersistentVolumeController: Controller {
  private enum Item: Hashable, Sendable {
    case claim(ObjectKey)
    case volume(String)
  }

  let name = "persistentvolume-binder-controller"
  private let client: APIClient
  private let claims: Informer<PersistentVolumeClaim>
  private let volumes: Informer<PersistentVolume>
  private let classes: Informer<StorageClass>
  private let pods: Informer<Pod>
  private let recorder: EventRecorder
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let queue = WorkQueue<Item>("persistentvolume", baseDelay: .milliseconds(20), maxDelay: .seconds(60))

  init(_ context: ControllerContext) {
    client = context.client
    claims = context.informers.informer(PersistentVolumeClaim.self)
    volumes = context.informers.informer(PersistentVolume.self)
    classes = context.informers.informer(StorageClass.self)
    pods = context.informers.informer(Pod.self)
    recorder = context.recorder("persistentvolume-controller")
    logger = context.logger(name)
    now = context.now
    pods.addIndex("claim", keys: ClaimUse.keys)
    claims.addHandler { [queue] event in
      queue.add(.claim(event.object.key))
      if !event.object.spec.volumeName.isEmpty { queue.add(.volume(event.object.spec.volumeName)) }
    }
    volumes.addHandler { [queue, claims] event in
      let volume = event.object
      queue.add(.volume(volume.metadata.name))
      if let reference = volume.spec.claimRef {
        queue.add(.claim(ObjectKey(namespace: reference.namespace, name: reference.name)))
      } else {
        // A free volume may be what some claim waits for.
        for claim in claims.lister.list() where claim.spec.volumeName.isEmpty || claim.status.phase != "Bound" {
          queue.add(.claim(claim.key))
        }
      }
      if case .deleted = event {
        for claim in claims.lister.list() where claim.spec.volumeName == volume.metadata.name {
          queue.add(.claim(claim.key))
        }
      }
    }
    classes.addHandler { [queue, claims] event in
      for claim in claims.lister.list()
      where claim.spec.volumeName.isEmpty && VolumeMatch.storageClass(claim) == event.object.metadata.name {
        queue.add(.claim(claim.key))
      }
    }
  }

  func run() async throws {
    try await claims.waitForSync()
    try await volumes.waitForSync()
    try await classes.waitForSync()
    try await pods.waitForSync()
    // One worker: two claims must not take one volume.
    await runWorkers(queue, count: 1, logger: logger) { [self] item in
      switch item {
      case .claim(let key): try await reconcileClaim(key)
      case .volume(let name): try await reconcileVolume(name)
      }
    }
  }

  // MARK: Claims

  func reconcileClaim(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let cached = claims.lister.get(key) else { return .done }
    let name = VolumeMatch.storageClass(cached)
    let storage = name.isEmpty ? nil : classes.lister.get(name: name)
    let awaiting = pods.lister.byIndex("claim", key.description).filter { $0.spec.nodeName.isEmpty && $0.isActive }
    switch ClaimDecision.decide(
      cached, volumes: volumes.lister.list(), storage: storage, awaitedBy: awaiting)
    {
    case .bind(let volume):
      try await bind(cached, volume)
      return .done
    case .pending(let notice):
      if let notice {
        recorder.event(cached, type: notice.type, reason: notice.reason, message: notice.message)
      }
      try await setPhase("Pending", of: cached)
      // As upstream's periodic pass: what is missing may come without any event here.
      return notice == nil ? .done : .after(.seconds(15))
    case .provision(let provisioner):
      try await ask(provisioner, for: cached)
      return .done
    case .lost(let reason, let message):
      if cached.status.phase != "Lost" {
        recorder.event(cached, type: "Warning", reason: reason, message: message)
        try await setPhase("Lost", of: cached)
      }
      return .done
    }
  }

  private func bind(_ claim: PersistentVolumeClaim, _ volume: PersistentVolume) async throws {
    var volume = volume
    let wanted = ClaimBinding.volume(volume, for: claim)
    if wanted.spec != volume.spec || wanted.metadata.annotations != volume.metadata.annotations {
      volume = try await client.update(wanted)
    }
    try await setPhase("Bound", of: volume)
    var claim = claim
    let bound = ClaimBinding.claim(claim, for: volume)
    if bound.spec != claim.spec || bound.metadata.annotations != claim.metadata.annotations {
      claim = try await client.update(bound)
    }
    let status = ClaimBinding.status(claim, for: volume)
    if status != claim.status {
      claim.status = status
      try await client.updateStatus(claim)
    }
  }

  private func ask(_ provisioner: String, for claim: PersistentVolumeClaim) async throws {
    var claim = claim
    if claim.metadata.annotations[VolumeMatch.storageProvisioner] != provisioner {
      claim.metadata.annotations[VolumeMatch.storageProvisioner] = provisioner
      claim.metadata.annotations[VolumeMatch.betaStorageProvisioner] = provisioner
      claim = try await client.update(claim)
    }
    recorder.event(
      claim, type: "Normal", reason: "ExternalProvisioning",
      message: "Waiting for a volume to be created either by the external provisioner '\(provisioner)' or manually "
        + "by the system administrator. If volume creation is delayed, please verify that the provisioner is "
        + "running and correctly registered.")
    try await setPhase("Pending", of: claim)
  }

  private func setPhase(_ phase: String, of claim: PersistentVolumeClaim) async throws {
    guard claim.status.phase != phase else { return }
    var claim = claim
    claim.status.phase = phase
    try await client.updateStatus(claim)
  }

  // MARK: Volumes

  func reconcileVolume(_ name: String) async throws -> ReconcileResult {
    guard let volume = volumes.lister.get(name: name) else { return .done }
    var claim: PersistentVolumeClaim?
    if let reference = volume.spec.claimRef, !reference.uid.isEmpty {
      claim = claims.lister.get(namespace: reference.namespace, name: reference.name)
      // Releasing a volume destroys data: the cache's word is not enough.
      if claim?.metadata.uid != reference.uid {
        do {
          claim = try await client.get(
            PersistentVolumeClaim.self, namespace: reference.namespace, name: reference.name)
        } catch let error as StatusError where error.isNotFound {
          claim = nil
        }
      }
    }
    switch VolumeDecision.decide(volume, claim: claim) {
    case .phase(let phase):
      try await setPhase(phase, of: volume)
    case .waitForClaim(let key, let phase):
      if !phase.isEmpty { try await setPhase(phase, of: volume) }
      if claims.lister.get(key) != nil { queue.add(.claim(key)) }
    case .unbind:
      try await client.update(VolumeDecision.unbound(volume))
    case .released(let delete):
      if volume.status.phase != "Released", volume.status.phase != "Failed" {
        try await setPhase("Released", of: volume)
      }
      // Deleting is the business of whoever made it; a volume nobody made cannot be deleted by anybody.
      if delete, volume.metadata.annotations[VolumeMatch.provisionedBy] == nil, volume.status.phase != "Failed" {
        let message = "error getting deleter volume plugin for volume \"\(name)\": no volume plugin matched"
        recorder.event(volume, type: "Warning", reason: "VolumeFailedDelete", message: message)
        try await setPhase("Failed", of: volume, message: message)
      }
    }
    return .done
  }

  private func setPhase(_ phase: String, of volume: PersistentVolume, message: String = "") async throws {
    guard volume.status.phase != phase else { return }
    var volume = volume
    volume.status.phase = phase
    volume.status.message = message
    volume.status.lastPhaseTransitionTime = now()
    do {
      try await client.updateStatus(volume)
    } catch let error as StatusError where error.isConflict {
      // Just written above: read and write once more.
      var live = try await client.get(PersistentVolume.self, name: volume.metadata.name)
      guard live.status.phase != phase else { return }
      live.status = volume.status
      try await client.updateStatus(live)
    }
  }
}

/// Which claims a pod uses.
enum ClaimUse {
  @Sendable static func keys(_ pod: Pod) -> [String] {
    pod.spec.volumes.compactMap { volume in
      if let claim = volume.persistentVolumeClaim?.claimName { return "\(pod.metadata.namespace)/\(claim)" }
      if volume.ephemeral != nil { return "\(pod.metadata.namespace)/\(pod.metadata.name)-\(volume.name)" }
      return nil
    }
  }
}
