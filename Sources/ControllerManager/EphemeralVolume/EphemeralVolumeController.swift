import API
import APIMachinery
import Client
import Logging

/// What an ephemeral volume of a pod needs: pure.
enum EphemeralVolumeDecision: Sendable, Equatable {
  case nothing
  case create(PersistentVolumeClaim)
  /// A claim of that name is somebody else's.
  case conflict(String)

  static func claimName(_ pod: Pod, _ volume: Volume) -> String { "\(pod.metadata.name)-\(volume.name)" }

  static func decide(_ pod: Pod, _ volume: Volume, existing: PersistentVolumeClaim?) -> EphemeralVolumeDecision {
    guard let source = volume.ephemeral, pod.metadata.deletionTimestamp == nil else { return .nothing }
    if let existing {
      if existing.metadata.isControlled(by: pod.metadata.uid) { return .nothing }
      return .conflict("PVC \(existing.key) was not created for pod \(pod.key) (pod is not owner)")
    }
    let template = source.volumeClaimTemplate ?? PersistentVolumeClaimTemplate()
    return .create(
      PersistentVolumeClaim {
        $0.metadata.name = claimName(pod, volume)
        $0.metadata.namespace = pod.metadata.namespace
        $0.metadata.labels = template.metadata.labels
        $0.metadata.annotations = template.metadata.annotations
        $0.metadata.ownerReferences = [.controller(of: pod)]
        $0.spec = template.spec
      })
  }
}

/// Makes the claims of generic ephemeral volumes, which go with their pods.
final class EphemeralVolumeController: Controller {
  let name = "ephemeral-volume-controller"
  private let client: APIClient
  private let pods: Informer<Pod>
  private let claims: Informer<PersistentVolumeClaim>
  private let recorder: EventRecorder
  private let workers: Int
  private let logger: Logger
  private let queue = WorkQueue<ObjectKey>("ephemeral_volume")

  init(_ context: ControllerContext) {
    client = context.client
    pods = context.informers.informer(Pod.self)
    claims = context.informers.informer(PersistentVolumeClaim.self)
    recorder = context.recorder("ephemeral_volume")
    workers = context.configuration.workers(.ephemeralVolume)
    logger = context.logger(name)
    pods.addIndex("claim", keys: ClaimUse.keys)
    pods.addHandler { [queue] event in
      let pod = event.object
      // What to do about a pod is decided when it comes; later its claims' ends are what matters.
      guard case .added = event, pod.spec.volumes.contains(where: { $0.ephemeral != nil }), !pod.isBeingDeleted else {
        return
      }
      queue.add(pod.key)
    }
    claims.addHandler { [queue, pods] event in
      guard case .deleted(let claim) = event else { return }
      for pod in pods.lister.byIndex("claim", claim.key.description) { queue.add(pod.key) }
    }
  }

  func run() async throws {
    try await pods.waitForSync()
    try await claims.waitForSync()
    await runWorkers(queue, count: workers, logger: logger) { [self] in try await reconcile($0) }
  }

  func reconcile(_ key: ObjectKey) async throws -> ReconcileResult {
    guard let pod = pods.lister.get(key) else { return .done }
    for volume in pod.spec.volumes where volume.ephemeral != nil {
      let existing = claims.lister.get(
        namespace: key.namespace, name: EphemeralVolumeDecision.claimName(pod, volume))
      do {
        switch EphemeralVolumeDecision.decide(pod, volume, existing: existing) {
        case .nothing: break
        case .create(let claim): try await create(claim)
        case .conflict(let message): throw ClaimError(message: message)
        }
      } catch {
        let text = (error as? StatusError)?.message ?? "\(error)"
        recorder.event(
          pod, type: "Warning", reason: "FailedBinding", message: "ephemeral volume \(volume.name): \(text)")
        throw error
      }
    }
    return .done
  }

  private func create(_ claim: PersistentVolumeClaim) async throws {
    do {
      try await client.create(claim)
    } catch let error as StatusError {
      throw ClaimError(message: "create PVC \(claim.metadata.name): \(error.message)")
    }
  }
}
