import API
import APIMachinery

/// The numbers of a roll-out.
enum DeploymentMath {
  /// How many pods a roll-out may have beyond those wanted, and how many of those may be missing.
  static func fences(_ deployment: Deployment) -> (surge: Int, unavailable: Int) {
    let total = replicas(deployment)
    let rolling = deployment.spec.strategy.rollingUpdate
    let surge = (rolling?.maxSurge ?? .string("25%")).scaled(total: total, roundUp: true) ?? 0
    var unavailable = (rolling?.maxUnavailable ?? .string("25%")).scaled(total: total, roundUp: false) ?? 0
    // With both at zero nothing could ever move.
    if surge == 0, unavailable == 0 { unavailable = 1 }
    return (surge, unavailable)
  }

  static func replicas(_ deployment: Deployment) -> Int { Int(deployment.spec.replicas ?? 1) }

  static func isRolling(_ deployment: Deployment) -> Bool { deployment.spec.strategy.type != "Recreate" }

  static func maxSurge(_ deployment: Deployment) -> Int { isRolling(deployment) ? fences(deployment).surge : 0 }

  static func maxUnavailable(_ deployment: Deployment) -> Int {
    guard isRolling(deployment), replicas(deployment) > 0 else { return 0 }
    return min(fences(deployment).unavailable, replicas(deployment))
  }

  /// How many pods the new ReplicaSet may have now.
  static func newReplicas(_ deployment: Deployment, all: [ReplicaSet], new: ReplicaSet) -> Int {
    let wanted = replicas(deployment)
    guard isRolling(deployment) else { return wanted }
    let room = wanted + fences(deployment).surge - specReplicas(all)
    let current = specReplicas(new)
    guard room > 0 else { return current }
    return current + min(room, wanted - current)
  }

  static func specReplicas(_ set: ReplicaSet) -> Int { Int(set.spec.replicas ?? 0) }
  static func specReplicas(_ sets: [ReplicaSet]) -> Int { sets.reduce(0) { $0 + specReplicas($1) } }
  static func actualReplicas(_ sets: [ReplicaSet]) -> Int { sets.reduce(0) { $0 + Int($1.status.replicas) } }
  static func ready(_ sets: [ReplicaSet]) -> Int { sets.reduce(0) { $0 + Int($1.status.readyReplicas) } }
  static func available(_ sets: [ReplicaSet]) -> Int { sets.reduce(0) { $0 + Int($1.status.availableReplicas) } }

  /// A ReplicaSet's part of `toAdd` (or, below zero, of what must go) while several are active.
  static func proportion(_ set: ReplicaSet, _ deployment: Deployment, toAdd: Int, added: Int) -> Int {
    let current = specReplicas(set)
    guard current != 0, toAdd != 0, toAdd != added else { return 0 }
    let fraction = share(set, deployment)
    let allowed = toAdd - added
    return toAdd > 0 ? min(fraction, allowed) : max(fraction, allowed)
  }

  private static func share(_ set: ReplicaSet, _ deployment: Deployment) -> Int {
    let current = specReplicas(set)
    if replicas(deployment) == 0 { return -current }
    var before = set.metadata.annotations[DeploymentAnnotations.maxReplicas].flatMap { Int($0) } ?? 0
    if before == 0 { before = Int(deployment.status.replicas) }
    guard before > 0 else { return 0 }
    let size = Double(current * (replicas(deployment) + maxSurge(deployment))) / Double(before)
    return Int(size.rounded()) - current
  }

  /// Everything that was asked for is there, updated and available.
  static func isComplete(_ deployment: Deployment, _ status: DeploymentStatus) -> Bool {
    let wanted = Int32(replicas(deployment))
    return status.updatedReplicas == wanted && status.replicas == wanted && status.availableReplicas == wanted
      && status.observedGeneration >= deployment.metadata.generation
  }

  /// Something moved forward since the last status.
  static func isProgressing(_ old: DeploymentStatus, _ new: DeploymentStatus) -> Bool {
    new.updatedReplicas > old.updatedReplicas
      || new.replicas - new.updatedReplicas < old.replicas - old.updatedReplicas
      || new.readyReplicas > old.readyReplicas || new.availableReplicas > old.availableReplicas
  }

  static func hasDeadline(_ deployment: Deployment) -> Bool {
    guard let seconds = deployment.spec.progressDeadlineSeconds else { return false }
    return seconds != Int32.max
  }
}

/// The annotations by which a Deployment and its ReplicaSets know each other.
enum DeploymentAnnotations {
  static let revision = "deployment.kubernetes.io/revision"
  static let history = "deployment.kubernetes.io/revision-history"
  static let desiredReplicas = "deployment.kubernetes.io/desired-replicas"
  static let maxReplicas = "deployment.kubernetes.io/max-replicas"
  static let rollbackTo = "deprecated.deployment.rollback.to"
  static let lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
  static let hashLabel = "pod-template-hash"
  private static let maxHistory = 2000
  static let ownBusiness: Set<String> = [
    lastApplied, revision, history, desiredReplicas, maxReplicas, rollbackTo,
  ]

  static func revision(of annotations: [String: String]) -> Int64 {
    annotations[revision].flatMap { Int64($0) } ?? 0
  }

  /// Notes the wanted and the greatest size; says whether anything changed.
  static func setReplicas(_ annotations: inout [String: String], desired: Int, max: Int) -> Bool {
    let changed = annotations[desiredReplicas] != String(desired) || annotations[maxReplicas] != String(max)
    annotations[desiredReplicas] = String(desired)
    annotations[maxReplicas] = String(max)
    return changed
  }

  /// Gives the new ReplicaSet its revision, its history and the Deployment's own annotations.
  static func stamp(_ set: inout ReplicaSet, from deployment: Deployment, revision new: Int64, exists: Bool) -> Bool {
    let before = set.metadata.annotations
    var annotations = before
    for (key, value) in deployment.metadata.annotations where !ownBusiness.contains(key) { annotations[key] = value }
    let oldText = annotations[revision]
    let old = revision(of: annotations)
    if old < new {
      annotations[revision] = String(new)
      if let oldText, exists {
        var past = (annotations[history] ?? "").split(separator: ",").map(String.init)
        past.append(oldText)
        while past.joined(separator: ",").utf8.count > maxHistory, !past.isEmpty { past.removeFirst() }
        annotations[history] = past.joined(separator: ",")
      }
    }
    if !exists {
      _ = setReplicas(
        &annotations, desired: DeploymentMath.replicas(deployment),
        max: DeploymentMath.replicas(deployment) + DeploymentMath.maxSurge(deployment))
    }
    set.metadata.annotations = annotations
    return annotations != before
  }
}
