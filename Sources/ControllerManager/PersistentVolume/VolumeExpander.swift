import API
import APIMachinery
import Client
import Logging

/// Says of claims that ask for more than they have who is waited for. The volumes that upstream could enlarge itself
/// are gone with its drivers: a CSI driver's resizer does it.
final class VolumeExpander: Controller {
  let name = "persistentvolume-expander-controller"
  private let claims: Informer<PersistentVolumeClaim>
  private let volumes: Informer<PersistentVolume>
  private let recorder: EventRecorder
  private let logger: Logger
  private let queue = WorkQueue<ObjectKey>("volume_expand")

  init(_ context: ControllerContext) {
    claims = context.informers.informer(PersistentVolumeClaim.self)
    volumes = context.informers.informer(PersistentVolume.self)
    recorder = context.recorder("volume_expand")
    logger = context.logger(name)
    claims.addHandler { [queue] event in
      switch event {
      case .added(let claim): if Self.wantsMore(claim) { queue.add(claim.key) }
      case .updated(let old, let new):
        // Once for each wish, not for each thing that happens to the claim.
        if Self.wantsMore(new), !Self.wantsMore(old) || Self.request(new) != Self.request(old) { queue.add(new.key) }
      case .deleted: break
      }
    }
  }

  private static func request(_ claim: PersistentVolumeClaim) -> Quantity? { claim.spec.resources.requests["storage"] }

  /// Whether a bound claim asks for more than it has: pure.
  static func wantsMore(_ claim: PersistentVolumeClaim) -> Bool {
    guard claim.status.phase == "Bound", let request = request(claim), let size = claim.status.capacity["storage"]
    else { return false }
    return request > size
  }

  func run() async throws {
    try await claims.waitForSync()
    try await volumes.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let claim = claims.lister.get(key), Self.wantsMore(claim),
      let volume = volumes.lister.get(name: claim.spec.volumeName),
      volume.spec.claimRef?.uid == claim.metadata.uid
    else { return .done }
    recorder.event(
      claim, type: "Normal", reason: "ExternalExpanding",
      message: "waiting for an external controller to expand this PVC")
    return .done
  }
}
