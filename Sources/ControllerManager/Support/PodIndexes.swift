import API
import Client

/// How controllers find their pods without looking at a whole namespace.
enum PodIndexes {
  static let controller = "controller"
  private static let orphans = "orphans"

  /// Adds what `candidates` needs.
  static func add<T: APIObject>(to informer: Informer<T>) {
    informer.addIndex(controller) { $0.metadata.controllerOwner.map { [$0.uid] } ?? [] }
    informer.addIndex(orphans) { $0.metadata.controllerOwner == nil ? [$0.metadata.namespace] : [] }
  }

  /// What an owner's selector may concern: its own, and what nobody owns in its namespace.
  static func candidates<T: APIObject>(_ lister: Lister<T>, owner: ObjectMeta) -> [T] {
    lister.byIndex(controller, owner.uid) + lister.byIndex(orphans, owner.namespace)
  }
}

extension Sequence<Pod> {
  /// The seconds until the next pod that is ready has been so for long enough; nil when none is waiting for that.
  func secondsToAvailability(minReadySeconds: Int32, now: Time) -> Int64? {
    guard minReadySeconds > 0 else { return nil }
    return compactMap { pod -> Int64? in
      guard !pod.isBeingDeleted, let ready = pod.status.conditions.condition("Ready"), ready.status == "True" else {
        return nil
      }
      let left = ready.lastTransitionTime.adding(seconds: Int64(minReadySeconds)).seconds(since: now)
      return left > 0 ? left : nil
    }.min()
  }
}
