import API
import APIMachinery
import Client
import Logging

/// Keeps claims in use, and volumes that are bound, from being deleted under their users.
final class VolumeProtectionController: Controller {
  private enum Item: Hashable, Sendable {
    case claim(ObjectKey)
    case volume(String)
  }

  static let claimFinalizer = "kubernetes.io/pvc-protection"
  static let volumeFinalizer = "kubernetes.io/pv-protection"

  let name = "persistentvolumeclaim-protection-controller"
  private let client: APIClient
  /// For volumes, to which upstream gives an account of its own.
  private let volumeClient: APIClient
  private let claims: Informer<PersistentVolumeClaim>
  private let volumes: Informer<PersistentVolume>
  private let pods: Informer<Pod>
  private let logger: Logger
  private let queue = WorkQueue<Item>("volume_protection", baseDelay: .milliseconds(20), maxDelay: .seconds(60))

  init(_ context: ControllerContext) {
    client = context.client
    volumeClient = context.acting(as: "pv-protection-controller").client
    claims = context.informers.informer(PersistentVolumeClaim.self)
    volumes = context.informers.informer(PersistentVolume.self)
    pods = context.informers.informer(Pod.self)
    logger = context.logger(name)
    pods.addIndex("claim", keys: ClaimUse.keys)
    if context.configuration.isEnabled("persistentvolume-protection-controller") {
      volumes.addHandler { [queue] in queue.add(.volume($0.object.metadata.name)) }
    }
    guard context.configuration.isEnabled(name) else { return }
    claims.addHandler { [queue] in queue.add(.claim($0.object.key)) }
    pods.addHandler { [queue] event in
      let pod = event.object
      var ended = pod.isTerminal
      if case .deleted = event { ended = true }
      guard ended else { return }
      for key in ClaimUse.keys(pod) { queue.add(.claim(ObjectKey(key))) }
    }
  }

  func run() async throws {
    try await claims.waitForSync()
    try await volumes.waitForSync()
    try await pods.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] item in
      switch item {
      case .claim(let key): try await reconcileClaim(key)
      case .volume(let name): try await reconcileVolume(name)
      }
      return .done
    }
  }

  /// The finalizers an object should have; pure.
  static func finalizers(_ metadata: ObjectMeta, _ finalizer: String, inUse: Bool) -> [String] {
    if metadata.deletionTimestamp == nil {
      return metadata.finalizers.contains(finalizer) ? metadata.finalizers : metadata.finalizers + [finalizer]
    }
    return inUse ? metadata.finalizers : metadata.finalizers.filter { $0 != finalizer }
  }

  func reconcileClaim(_ key: ObjectKey) async throws {
    guard var claim = claims.lister.get(key) else { return }
    var inUse = pods.lister.byIndex("claim", key.description).contains(where: uses)
    if !inUse, claim.metadata.deletionTimestamp != nil {
      // A pod may use it that the cache does not show yet.
      let live = try await client.list(Pod.self, namespace: key.namespace).items
      inUse = live.contains { ClaimUse.keys($0).contains(key.description) && uses($0) }
    }
    let wanted = Self.finalizers(claim.metadata, Self.claimFinalizer, inUse: inUse)
    guard wanted != claim.metadata.finalizers else { return }
    claim.metadata.finalizers = wanted
    try await ignoringNotFound { try await client.update(claim) }
  }

  /// A pod that runs, or may begin to, uses its claims; one that was never given to a node does not hold them.
  private func uses(_ pod: Pod) -> Bool { !pod.isTerminal && !pod.spec.nodeName.isEmpty }

  func reconcileVolume(_ name: String) async throws {
    guard var volume = volumes.lister.get(name: name) else { return }
    let wanted = Self.finalizers(
      volume.metadata, Self.volumeFinalizer, inUse: volume.status.phase == "Bound")
    guard wanted != volume.metadata.finalizers else { return }
    volume.metadata.finalizers = wanted
    try await ignoringNotFound { try await volumeClient.update(volume) }
  }
}
