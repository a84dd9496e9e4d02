import API
import APIMachinery
import Client
import Logging

/// Keeps classes of volume attributes from being deleted while claims or volumes are of them.
final class VolumeAttributesClassProtection: Controller {
  static let finalizer = "kubernetes.io/vac-protection"

  let name = "volumeattributesclass-protection-controller"
  private let client: APIClient
  private let classes: Informer<VolumeAttributesClass>
  private let claims: Informer<PersistentVolumeClaim>
  private let volumes: Informer<PersistentVolume>
  private let logger: Logger
  private let queue = WorkQueue<String>("volumeattributesclassprotection")

  init(_ context: ControllerContext) {
    client = context.client
    classes = context.informers.informer(VolumeAttributesClass.self)
    claims = context.informers.informer(PersistentVolumeClaim.self)
    volumes = context.informers.informer(PersistentVolume.self)
    logger = context.logger(name)
    claims.addIndex("attributes-class", keys: Self.names)
    volumes.addIndex("attributes-class", keys: Self.names)
    classes.addHandler { [queue] in queue.add($0.object.metadata.name) }
    claims.addHandler { [queue] event in
      switch event {
      case .deleted(let claim): for name in Self.names(claim) { queue.add(name) }
      case .updated(let old, let new): for name in Set(Self.names(old)).subtracting(Self.names(new)) { queue.add(name) }
      case .added: break
      }
    }
    volumes.addHandler { [queue] event in
      switch event {
      case .deleted(let volume): for name in Self.names(volume) { queue.add(name) }
      case .updated(let old, let new): for name in Set(Self.names(old)).subtracting(Self.names(new)) { queue.add(name) }
      case .added: break
      }
    }
  }

  /// The classes that a claim is of, was of until its volume follows, or waits to be of.
  @Sendable static func names(_ claim: PersistentVolumeClaim) -> [String] {
    let names = [
      claim.spec.volumeAttributesClassName, claim.status.currentVolumeAttributesClassName,
      claim.status.modifyVolumeStatus?.targetVolumeAttributesClassName,
    ]
    return Set(names.compactMap { $0 }.filter { !$0.isEmpty }).sorted()
  }

  @Sendable static func names(_ volume: PersistentVolume) -> [String] {
    [volume.spec.volumeAttributesClassName].compactMap { $0 }.filter { !$0.isEmpty }
  }

  func run() async throws {
    try await classes.waitForSync()
    try await claims.waitForSync()
    try await volumes.waitForSync()
    await runWorkers(queue, count: 1, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard var present = classes.lister.get(name: name) else { return .done }
    let inUse =
      !claims.lister.byIndex("attributes-class", name).isEmpty
      || !volumes.lister.byIndex("attributes-class", name).isEmpty
    let wanted = VolumeProtectionController.finalizers(present.metadata, Self.finalizer, inUse: inUse)
    guard wanted != present.metadata.finalizers else { return .done }
    present.metadata.finalizers = wanted
    try await ignoringNotFound { try await client.update(present) }
    return .done
  }
}
