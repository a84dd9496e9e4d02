import API
import APIMachinery
import Client
import Foundation
import Logging

/// Serves the default storage class with directories of the node on which a claim's first pod runs.
///
/// The kubelet makes the directory when it mounts the volume. A volume that is deleted takes its directory with it: here
/// where this process sees the node's disk, else the node does it on request (`LocalPathDeletion`).
final class LocalPathProvisioner: Controller {
  private enum Item: Hashable, Sendable {
    case claim(ObjectKey)
    case volume(String)
  }

  let name = "local-path-provisioner"
  private let client: APIClient
  private let claims: Informer<PersistentVolumeClaim>
  private let volumes: Informer<PersistentVolume>
  private let classes: Informer<StorageClass>
  private let nodes: Informer<Node>
  private let recorder: EventRecorder
  private let configuration: ControllerManager.Configuration
  private let logger: Logger
  private let queue = WorkQueue<Item>("local_path", baseDelay: .milliseconds(50), maxDelay: .seconds(60))

  init(_ context: ControllerContext) {
    client = context.client
    claims = context.informers.informer(PersistentVolumeClaim.self)
    volumes = context.informers.informer(PersistentVolume.self)
    classes = context.informers.informer(StorageClass.self)
    nodes = context.informers.informer(Node.self)
    configuration = context.configuration
    recorder = context.recorder(context.configuration.localPathProvisioner)
    logger = context.logger(name)
    claims.addHandler { [queue] in queue.add(.claim($0.object.key)) }
    volumes.addHandler { [queue] event in
      if case .deleted = event { return }
      queue.add(.volume(event.object.metadata.name))
    }
    nodes.addHandler { [queue, volumes] event in
      let done = LocalPathDeletion.paths(LocalPathDeletion.done, of: event.object)
      var isGone = false
      switch event {
      case .added: break
      case .updated(let old, _): if done == LocalPathDeletion.paths(LocalPathDeletion.done, of: old) { return }
      case .deleted: isGone = true
      }
      guard isGone || !done.isEmpty else { return }
      for volume in volumes.lister.list() where volume.status.phase == "Released" {
        queue.add(.volume(volume.metadata.name))
      }
    }
  }

  func run() async throws {
    try await claims.waitForSync()
    try await volumes.waitForSync()
    try await classes.waitForSync()
    try await nodes.waitForSync()
    try await ensureClass()
    await runWorkers(queue, count: 2, logger: logger) { [self] item in
      switch item {
      case .claim(let key): try await provision(key)
      case .volume(let name): try await delete(name)
      }
    }
  }

  /// Makes the class once; whoever deletes it while this runs meant it.
  private func ensureClass() async throws {
    let className = configuration.localPathStorageClass
    guard !className.isEmpty, classes.lister.get(name: className) == nil else { return }
    let wanted = StorageClass {
      $0.metadata.name = className
      $0.metadata.annotations[LocalPathVolume.defaultClass] = "true"
      $0.provisioner = configuration.localPathProvisioner
      $0.reclaimPolicy = "Delete"
      $0.volumeBindingMode = "WaitForFirstConsumer"
    }
    while true {
      do {
        try await client.create(wanted)
        return
      } catch let error as StatusError where error.isAlreadyExists {
        return  // Another instance was faster.
      } catch {
        // The server may not have given this controller its rights yet.
        logger.debug("storage class \(className): \(error)")
        try await Task.sleep(for: .milliseconds(500))
      }
    }
  }

  func provision(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let claim = claims.lister.get(key), claim.spec.volumeName.isEmpty, claim.metadata.deletionTimestamp == nil,
      claim.metadata.annotations[VolumeMatch.storageProvisioner] == configuration.localPathProvisioner,
      let storage = classes.lister.get(name: VolumeMatch.storageClass(claim)),
      storage.provisioner == configuration.localPathProvisioner,
      volumes.lister.get(name: "pvc-" + claim.metadata.uid) == nil
    else { return .done }
    let selected = claim.metadata.annotations[VolumeMatch.selectedNode]
    if selected == nil, VolumeMatch.waitsForConsumer(storage) { return .done }
    if let objection = LocalPathVolume.objection(claim) {
      recorder.event(
        claim, type: "Warning", reason: "ProvisioningFailed",
        message: "failed to provision volume with StorageClass \"\(storage.metadata.name)\": \(objection)")
      return .done
    }
    // A class that binds at once leaves the node to us.
    let name = selected ?? configuration.localNodeName ?? nodes.lister.list().map(\.metadata.name).min()
    guard let name, let node = nodes.lister.get(name: name) else {
      recorder.event(
        claim, type: "Warning", reason: "ProvisioningFailed",
        message: "failed to provision volume with StorageClass \"\(storage.metadata.name)\": "
          + "node \"\(name ?? "")\" not found")
      return .requeue
    }
    recorder.event(
      claim, type: "Normal", reason: "Provisioning",
      message: "External provisioner is provisioning volume for claim \"\(key)\"")
    let volume = LocalPathVolume.make(
      for: claim, storage: storage, node: node, directory: configuration.localPathDirectory,
      provisioner: configuration.localPathProvisioner)
    do {
      try await client.create(volume)
    } catch let error as StatusError where error.isAlreadyExists {
      return .done
    }
    recorder.event(
      claim, type: "Normal", reason: "ProvisioningSucceeded",
      message: "Successfully provisioned volume \(volume.metadata.name)")
    return .done
  }

  func delete(_ name: String) async throws -> ReconcileResult {
    guard let volume = volumes.lister.get(name: name), isToBeDeleted(volume) else { return .done }
    if let node = node(of: volume) {
      if node.metadata.name == configuration.localNodeName {
        try deleteDirectory(of: volume)
      } else if try await !isDeleted(volume, by: node) {
        return .done  // the node's answer brings it back here
      }
    }
    try await ignoringNotFound {
      try await client.delete(PersistentVolume.self, name: name, options: .uid(volume.metadata.uid))
    }
    return .done
  }

  private func node(of volume: PersistentVolume) -> Node? {
    let host = LocalPathVolume.host(volume)
    return nodes.lister.list().first {
      ($0.metadata.labels[LocalPathVolume.hostnameLabel] ?? $0.metadata.name) == host
    }
  }

  private func deleteDirectory(of volume: PersistentVolume) throws {
    guard let directory = LocalPathVolume.directory(of: volume, under: configuration.localPathDirectory),
      FileManager.default.fileExists(atPath: directory)
    else { return }
    do {
      try FileManager.default.removeItem(atPath: directory)
    } catch {
      recorder.event(volume, type: "Warning", reason: "VolumeFailedDelete", message: "\(error)")
      throw error
    }
  }

  /// Whether another node has deleted the volume's directory; asks it to where it was not asked yet.
  private func isDeleted(_ volume: PersistentVolume, by node: Node) async throws -> Bool {
    guard let path = volume.spec.hostPath?.path, LocalPathDeletion.isVolume(path) else { return true }
    let isDone = LocalPathDeletion.paths(LocalPathDeletion.done, of: node).contains(path)
    // All that this node is to delete, not only this one: writers beside each other then write the same.
    let wanted = volumes.lister.list().filter { other in
      isToBeDeleted(other) && self.node(of: other)?.metadata.name == node.metadata.name
        && !(isDone && other.metadata.name == volume.metadata.name)
    }.compactMap(\.spec.hostPath?.path).filter(LocalPathDeletion.isVolume)
    if Set(wanted) != Set(LocalPathDeletion.paths(LocalPathDeletion.request, of: node)) {
      _ = try await client.patch(
        Node.self, name: node.metadata.name, .merge(LocalPathDeletion.patch(LocalPathDeletion.request, wanted)))
    }
    return isDone
  }

  private func isToBeDeleted(_ volume: PersistentVolume) -> Bool {
    volume.status.phase == "Released" && volume.spec.persistentVolumeReclaimPolicy == "Delete"
      && volume.metadata.deletionTimestamp == nil
      && volume.metadata.annotations[VolumeMatch.provisionedBy] == configuration.localPathProvisioner
  }
}
