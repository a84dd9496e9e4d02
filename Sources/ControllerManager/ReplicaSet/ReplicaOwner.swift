import API
import APIMachinery

/// What a ReplicaSet and a ReplicationController have in common.
protocol ReplicaOwner: APIObject {
  /// How many pods there shall be.
  var desiredReplicas: Int { get }
  /// Which pods count; throws when the selector makes no sense.
  func podSelector() throws -> Labels.Selector
  /// What a pod is made from.
  var podTemplate: PodTemplateSpec { get }
  /// How long a pod must be ready to be available.
  var minReady: Int32 { get }
  /// The status, in one form.
  var replicaStatus: ReplicaStatus { get set }
}

/// The status of a replica owner, whatever its kind.
struct ReplicaStatus: Sendable, Equatable {
  struct Failure: Sendable, Equatable {
    var reason: String
    var message: String
    var since: Time
  }

  var replicas: Int32 = 0
  var fullyLabeled: Int32 = 0
  var ready: Int32 = 0
  var available: Int32 = 0
  var terminating: Int32?
  var observedGeneration: Int64 = 0
  /// The `ReplicaFailure` condition.
  var failure: Failure?
}

extension ReplicaSet: ReplicaOwner {
  var desiredReplicas: Int { Int(spec.replicas ?? 1) }
  func podSelector() throws -> Labels.Selector { try spec.selector.selector() }
  var podTemplate: PodTemplateSpec { spec.template }
  var minReady: Int32 { spec.minReadySeconds }

  var replicaStatus: ReplicaStatus {
    get {
      ReplicaStatus(
        replicas: status.replicas, fullyLabeled: status.fullyLabeledReplicas, ready: status.readyReplicas,
        available: status.availableReplicas, terminating: status.terminatingReplicas,
        observedGeneration: status.observedGeneration,
        failure: status.conditions.condition("ReplicaFailure").map {
          .init(reason: $0.reason, message: $0.message, since: $0.lastTransitionTime)
        })
    }
    set {
      status.replicas = newValue.replicas
      status.fullyLabeledReplicas = newValue.fullyLabeled
      status.readyReplicas = newValue.ready
      status.availableReplicas = newValue.available
      status.terminatingReplicas = newValue.terminating
      status.observedGeneration = newValue.observedGeneration
      status.conditions.remove("ReplicaFailure")
      if let failure = newValue.failure {
        status.conditions.append(
          ReplicaSetCondition {
            $0.type = "ReplicaFailure"
            $0.status = "True"
            $0.reason = failure.reason
            $0.message = failure.message
            $0.lastTransitionTime = failure.since
          })
      }
    }
  }
}

extension ReplicationController: ReplicaOwner {
  var desiredReplicas: Int { Int(spec.replicas ?? 1) }
  func podSelector() throws -> Labels.Selector {
    spec.selector.isEmpty ? .nothing : try Labels.Selector(matchLabels: spec.selector)
  }
  var podTemplate: PodTemplateSpec { spec.template ?? PodTemplateSpec() }
  var minReady: Int32 { spec.minReadySeconds }

  var replicaStatus: ReplicaStatus {
    get {
      ReplicaStatus(
        replicas: status.replicas, fullyLabeled: status.fullyLabeledReplicas, ready: status.readyReplicas,
        available: status.availableReplicas, terminating: nil, observedGeneration: status.observedGeneration,
        failure: status.conditions.condition("ReplicaFailure").map {
          .init(reason: $0.reason, message: $0.message, since: $0.lastTransitionTime)
        })
    }
    set {
      status.replicas = newValue.replicas
      status.fullyLabeledReplicas = newValue.fullyLabeled
      status.readyReplicas = newValue.ready
      status.availableReplicas = newValue.available
      status.observedGeneration = newValue.observedGeneration
      status.conditions.remove("ReplicaFailure")
      if let failure = newValue.failure {
        status.conditions.append(
          ReplicationControllerCondition {
            $0.type = "ReplicaFailure"
            $0.status = "True"
            $0.reason = failure.reason
            $0.message = failure.message
            $0.lastTransitionTime = failure.since
          })
      }
    }
  }
}
