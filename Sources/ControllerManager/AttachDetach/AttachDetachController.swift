import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Asks CSI drivers, by VolumeAttachments, to bring volumes to the nodes on which pods need them and to take them away
/// again, and tells kubelets which they have.
final class AttachDetachController: Controller {
  private enum Item: Hashable, Sendable {
    case volume(String)
    case node(String)
  }

  /// What is remembered between passes.
  private struct Memory {
    var unneeded: [String: Time] = [:]
    /// Attachments that kubelets must not begin to use, as they are about to go; by name, with whether their deletion
    /// was asked for.
    var leaving: [String: Bool] = [:]
    /// What pods have been told already.
    var told: Set<String> = []
  }

  let name = "persistentvolume-attach-detach-controller"
  private let client: APIClient
  private let pods: Informer<Pod>
  private let claims: Informer<PersistentVolumeClaim>
  private let volumes: Informer<PersistentVolume>
  private let nodes: Informer<Node>
  private let drivers: Informer<CSIDriver>
  private let attachments: Informer<VolumeAttachment>
  private let recorder: EventRecorder
  private let mayForce: Bool
  private let syncPeriod: Duration?
  private let logger: Logger
  private let now: @Sendable () -> Time
  private let memory = Mutex(Memory())
  private let queue = WorkQueue<Item>("attach_detach", baseDelay: .milliseconds(100), maxDelay: .seconds(120))

  init(_ context: ControllerContext) {
    client = context.client
    pods = context.informers.informer(Pod.self)
    claims = context.informers.informer(PersistentVolumeClaim.self)
    volumes = context.informers.informer(PersistentVolume.self)
    nodes = context.informers.informer(Node.self)
    drivers = context.informers.informer(CSIDriver.self)
    attachments = context.informers.informer(VolumeAttachment.self)
    recorder = context.recorder("attachdetach-controller")
    mayForce = context.configuration.forceDetachOnTimeout
    syncPeriod = context.configuration.attachDetachSyncPeriod
    logger = context.logger(name)
    now = context.now
    pods.addIndex("claim", keys: ClaimUse.keys)
    attachments.addIndex("volume") { $0.spec.source.persistentVolumeName.map { [$0] } ?? [] }
    attachments.addIndex("node") { [$0.spec.nodeName] }
    follow()
  }

  private func follow() {
    pods.addHandler { [weak self, queue, claims] event in
      let pod = event.object
      guard !pod.spec.nodeName.isEmpty else { return }
      if case .updated(let old, let new) = event, old.spec.nodeName == new.spec.nodeName,
        Attachment.isOver(old) == Attachment.isOver(new)
      {
        return
      }
      for key in ClaimUse.keys(pod) {
        guard let volume = claims.lister.get(ObjectKey(key))?.spec.volumeName, !volume.isEmpty else { continue }
        if case .deleted = event { self?.forgetTelling(pod, volume) }
        queue.add(.volume(volume))
      }
    }
    claims.addHandler { [queue] event in
      if case .updated(let old, let new) = event, old.spec.volumeName == new.spec.volumeName { return }
      if !event.object.spec.volumeName.isEmpty { queue.add(.volume(event.object.spec.volumeName)) }
    }
    volumes.addHandler { [queue] event in
      if event.object.spec.csi != nil { queue.add(.volume(event.object.metadata.name)) }
    }
    attachments.addHandler { [weak self] event in
      guard let self else { return }
      let attachment = event.object
      if case .updated(let old, let new) = event { tell(old, new) }
      if case .deleted = event { forget(attachment.metadata.name) }
      if let volume = attachment.spec.source.persistentVolumeName { queue.add(.volume(volume)) }
      queue.add(.node(attachment.spec.nodeName))
    }
    drivers.addHandler { [queue, volumes] event in
      for volume in volumes.lister.list() where volume.spec.csi?.driver == event.object.metadata.name {
        queue.add(.volume(volume.metadata.name))
      }
    }
    nodes.addHandler { [weak self] event in
      guard let self else { return }
      let node = event.object
      if case .updated(let old, let new) = event, old.status.volumesInUse == new.status.volumesInUse,
        old.status.volumesAttached == new.status.volumesAttached, old.spec.taints == new.spec.taints,
        old.isReady == new.isReady, old.metadata.annotations == new.metadata.annotations
      {
        return
      }
      queue.add(.node(node.metadata.name))
      for attachment in attachments.lister.byIndex("node", node.metadata.name) {
        if let volume = attachment.spec.source.persistentVolumeName { queue.add(.volume(volume)) }
      }
    }
  }

  func run() async throws {
    try await pods.waitForSync()
    try await claims.waitForSync()
    try await volumes.waitForSync()
    try await nodes.waitForSync()
    try await drivers.waitForSync()
    try await attachments.waitForSync()
    // What came before everything was known is looked at once more.
    for volume in volumes.lister.list() where volume.spec.csi != nil { queue.add(.volume(volume.metadata.name)) }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await runWorkers(queue, count: 10, logger: logger) { [self] item in
          switch item {
          case .volume(let name): try await reconcileVolume(name)
          case .node(let name): try await reconcileNode(name)
          }
        }
      }
      group.addTask { [self] in
        guard let syncPeriod else { return }
        while !Task.isCancelled {
          try? await Task.sleep(for: syncPeriod)
          for attachment in attachments.lister.list() {
            if let volume = attachment.spec.source.persistentVolumeName { queue.add(.volume(volume)) }
          }
        }
      }
    }
  }

  // MARK: Volumes

  func reconcileVolume(_ name: String) async throws -> ReconcileResult {
    guard let volume = volumes.lister.get(name: name), let source = volume.spec.csi else { return .done }
    var users: [Pod] = []
    if let reference = volume.spec.claimRef {
      let key = ObjectKey(namespace: reference.namespace, name: reference.name)
      if let claim = claims.lister.get(key), claim.spec.volumeName == name, claim.metadata.uid == reference.uid {
        users = pods.lister.byIndex("claim", key.description).filter { !$0.spec.nodeName.isEmpty }
      }
    }
    // Those that somebody made by another name are his own business.
    let known = attachments.lister.byIndex("volume", name).filter {
      $0.metadata.name
        == Attachment.name(handle: source.volumeHandle, driver: source.driver, node: $0.spec.nodeName)
    }
    var seen: [String: Node] = [:]
    for node in Set(users.map(\.spec.nodeName) + known.map(\.spec.nodeName)) {
      seen[node] = nodes.lister.get(name: node)
    }
    let observed = AttachDecision.Observed(
      volume: volume, source: source,
      needsAttachment: drivers.lister.get(name: source.driver)?.spec.attachRequired ?? true, pods: users,
      attachments: known, nodes: seen, unneeded: memory.withLock { $0.unneeded }, mayForce: mayForce)
    let decision = AttachDecision.decide(observed, now: now())
    memory.withLock { memory in
      for attachment in known { memory.unneeded[attachment.metadata.name] = nil }
      memory.unneeded.merge(decision.unneeded) { $1 }
      // One that is needed again before anything was done stays.
      for attachment in known where memory.leaving[attachment.metadata.name] == false {
        memory.leaving[attachment.metadata.name] = nil
      }
      for attachment in decision.detach where memory.leaving[attachment.metadata.name] == nil {
        memory.leaving[attachment.metadata.name] = false
      }
    }
    for attachment in decision.detach { queue.add(.node(attachment.spec.nodeName)) }
    for (pod, message) in decision.refused
    where memory.withLock({ $0.told.insert("\(pod.metadata.uid)/\(name)").inserted }) {
      recorder.event(pod, type: "Warning", reason: "FailedAttachVolume", message: message)
    }
    for node in decision.attach { try await attach(volume, source, to: node) }
    return decision.again.map { .after(.seconds($0)) } ?? .done
  }

  private func attach(_ volume: PersistentVolume, _ source: CSIPersistentVolumeSource, to node: String) async throws {
    do {
      try await client.create(Attachment.make(volume, source, node: node))
    } catch let error as StatusError where error.isAlreadyExists {
      // From a pass that the cache does not show yet.
    } catch let error as StatusError {
      for pod in users(volume.metadata.name, on: node) {
        recorder.event(
          pod, type: "Warning", reason: "FailedAttachVolume",
          message: "AttachVolume.Attach failed for volume \"\(volume.metadata.name)\" : \(error.message)")
      }
      throw error
    }
  }

  private func forget(_ name: String) {
    memory.withLock { memory in
      memory.leaving[name] = nil
      memory.unneeded[name] = nil
    }
  }

  // MARK: Nodes

  /// A kubelet must not be told of a volume that is being taken away from it: first the status, then the deletion. As
  /// the queue hands a node to one worker at a time, no older state can come in between.
  func reconcileNode(_ name: String) async throws -> ReconcileResult {
    let here = attachments.lister.byIndex("node", name)
    let leaving = memory.withLock { $0.leaving }
    let doomed = here.filter { leaving[$0.metadata.name] == false }
    if let node = nodes.lister.get(name: name) {
      let wanted = AttachDecision.reported(
        name, attachments: here, volumes: { volumes.lister.get(name: $0) }, leaving: Set(leaving.keys))
      // What the cache shows of the node may be older than what was last written.
      if !doomed.isEmpty || wanted != node.status.volumesAttached.sorted(by: { $0.name < $1.name }) {
        try await report(wanted, on: name)
      }
    }
    for attachment in doomed {
      let isStill = memory.withLock { memory in
        guard memory.leaving[attachment.metadata.name] == false else { return false }
        memory.leaving[attachment.metadata.name] = true
        return true
      }
      if isStill { try await delete(attachment) }
    }
    return .done
  }

  private func report(_ volumes: [AttachedVolume], on node: String) async throws {
    let list = try volumes.map { try JSONValue(parsing: $0.encoded()) }
    let patch = JSONValue.object(["status": .object(["volumesAttached": .array(list)])])
    try await ignoringNotFound {
      try await client.patch(Node.self, name: node, .merge(patch.encoded()), subresource: "status")
    }
  }

  private func delete(_ attachment: VolumeAttachment) async throws {
    do {
      try await ignoringNotFound {
        try await client.delete(
          VolumeAttachment.self, name: attachment.metadata.name, options: .uid(attachment.metadata.uid))
      }
    } catch {
      memory.withLock { $0.leaving[attachment.metadata.name] = false }
      throw error
    }
  }

  // MARK: Events

  private func users(_ volume: String, on node: String) -> [Pod] {
    guard let reference = volumes.lister.get(name: volume)?.spec.claimRef else { return [] }
    return pods.lister.byIndex("claim", "\(reference.namespace)/\(reference.name)").filter {
      $0.spec.nodeName == node && !Attachment.isOver($0)
    }
  }

  private func forgetTelling(_ pod: Pod, _ volume: String) {
    _ = memory.withLock { $0.told.remove("\(pod.metadata.uid)/\(volume)") }
  }

  private func tell(_ old: VolumeAttachment, _ new: VolumeAttachment) {
    guard let volume = new.spec.source.persistentVolumeName else { return }
    if new.status.attached, !old.status.attached {
      for pod in users(volume, on: new.spec.nodeName) {
        forgetTelling(pod, volume)
        recorder.event(
          pod, type: "Normal", reason: "SuccessfulAttachVolume",
          message: "AttachVolume.Attach succeeded for volume \"\(volume)\" ")
      }
    }
    if let failure = new.status.attachError, failure != old.status.attachError, !new.status.attached {
      for pod in users(volume, on: new.spec.nodeName) {
        recorder.event(
          pod, type: "Warning", reason: "FailedAttachVolume",
          message: "AttachVolume.Attach failed for volume \"\(volume)\" : \(failure.message)")
      }
    }
  }
}
