import API

/// A wish to go back to an earlier revision, as clients of the first Deployments leave it in an annotation: pure.
struct DeploymentRollback: Sendable {
  struct Event: Sendable, Equatable {
    var type: String
    var reason: String
    var message: String
  }

  private let deployment: Deployment
  /// The revision asked for; zero is the one before the present.
  private let revision: Int64

  /// Nil when nothing is asked for.
  init?(_ deployment: Deployment) {
    guard let text = deployment.metadata.annotations[DeploymentAnnotations.rollbackTo],
      let revision = Int64(text)
    else { return nil }
    self.deployment = deployment
    self.revision = revision
  }

  /// The Deployment without the wish, and with the template that was wished for where there is one.
  func carriedOut(_ sets: [ReplicaSet]) -> (Deployment, Event) {
    var changed = deployment
    changed.metadata.annotations[DeploymentAnnotations.rollbackTo] = nil
    let wanted = revision == 0 ? Self.revisionBeforeLast(sets) : revision
    guard wanted > 0,
      let set = sets.first(where: { DeploymentAnnotations.revision(of: $0.metadata.annotations) == wanted })
    else {
      let message = wanted > 0 ? "Unable to find the revision to rollback to." : "Unable to find last revision."
      return (changed, Event(type: "Warning", reason: "DeploymentRollbackRevisionNotFound", message: message))
    }
    if DeploymentPlan.sameTemplate(set.spec.template, deployment.spec.template) {
      return (
        changed,
        Event(
          type: "Warning", reason: "DeploymentRollbackTemplateUnchanged",
          message: "The rollback revision contains the same template as current deployment "
            + "\"\(deployment.metadata.name)\"")
      )
    }
    changed.spec.template = set.spec.template
    changed.spec.template.metadata.labels[DeploymentAnnotations.hashLabel] = nil
    DeploymentAnnotations.restore(&changed.metadata.annotations, from: set.metadata.annotations)
    return (
      changed,
      Event(
        type: "Normal", reason: "DeploymentRollback",
        message: "Rolled back deployment \"\(deployment.metadata.name)\" to revision \(wanted)")
    )
  }

  private static func revisionBeforeLast(_ sets: [ReplicaSet]) -> Int64 {
    let sorted = sets.map { DeploymentAnnotations.revision(of: $0.metadata.annotations) }.sorted(by: >)
    return sorted.count > 1 ? sorted[1] : 0
  }
}

extension DeploymentAnnotations {
  /// Gives a Deployment the annotations that it had when a ReplicaSet was its newest; its own business stays.
  static func restore(_ annotations: inout [String: String], from set: [String: String]) {
    annotations = annotations.filter { ownBusiness.contains($0.key) }
    for (key, value) in set where !ownBusiness.contains(key) { annotations[key] = value }
  }
}
