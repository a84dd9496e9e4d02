import API
import APIMachinery

/// What a Deployment wants done, from what is seen of it, its ReplicaSets and their pods. Pure: one pass of
/// upstream's sync, in the same order; ReplicaSets are changed in the plan as if the writes had succeeded.
struct DeploymentPlan: Sendable {
  enum Action: Sendable, Equatable {
    /// Make the new ReplicaSet; a name taken by another template means another hash.
    case create(ReplicaSet)
    /// Write a ReplicaSet; `scaledFrom` when its size changed, for the event.
    case update(ReplicaSet, scaledFrom: Int32?)
    /// Delete a ReplicaSet beyond the history limit.
    case delete(ReplicaSet)
    /// Write the Deployment's status and its revision annotation.
    case updateStatus(Deployment)
    /// Look again after so many seconds, to notice a missed deadline.
    case requeue(seconds: Int64)
  }

  private(set) var actions: [Action] = []
  var deployment: Deployment
  var new: ReplicaSet?
  var old: [ReplicaSet]
  let pods: [String: [Pod]]
  let now: Time
  private let observed: Deployment

  /// Plans for a Deployment, its own ReplicaSets, and the pods by their ReplicaSet's UID.
  static func actions(
    for deployment: Deployment, sets: [ReplicaSet], pods: [String: [Pod]], now: Time
  ) -> [Action] {
    var plan = DeploymentPlan(deployment, sets: sets, pods: pods, now: now)
    plan.run(sets)
    return plan.actions
  }

  private init(_ deployment: Deployment, sets: [ReplicaSet], pods: [String: [Pod]], now: Time) {
    self.deployment = deployment
    observed = deployment
    self.pods = pods
    self.now = now
    let newest = Self.findNew(deployment, sets)
    new = newest
    old = sets.filter { $0.metadata.uid != newest?.metadata.uid }
  }

  private var all: [ReplicaSet] { old + (new.map { [$0] } ?? []) }

  private mutating func run(_ sets: [ReplicaSet]) {
    if deployment.metadata.deletionTimestamp != nil {
      syncNewSet(mayCreate: false)
      writeStatus(calculateStatus())
      return
    }
    notePause()
    if deployment.spec.paused || isScaling(sets) {
      syncNewSet(mayCreate: false)
      scale()
      if deployment.spec.paused { trimHistory() }
      writeStatus(calculateStatus())
      return
    }
    if DeploymentMath.isRolling(deployment) { roll() } else { recreate() }
  }

  // MARK: The new ReplicaSet

  /// The oldest ReplicaSet made from the Deployment's template.
  static func findNew(_ deployment: Deployment, _ sets: [ReplicaSet]) -> ReplicaSet? {
    byAge(sets).first { sameTemplate($0.spec.template, deployment.spec.template) }
  }

  static func sameTemplate(_ a: PodTemplateSpec, _ b: PodTemplateSpec) -> Bool {
    var a = a
    var b = b
    a.metadata.labels[DeploymentAnnotations.hashLabel] = nil
    b.metadata.labels[DeploymentAnnotations.hashLabel] = nil
    return a == b
  }

  static func byAge(_ sets: [ReplicaSet]) -> [ReplicaSet] {
    sets.sorted {
      let a = $0.metadata.creationTimestamp
      let b = $1.metadata.creationTimestamp
      return a == b ? $0.metadata.name < $1.metadata.name : a < b
    }
  }

  private mutating func syncNewSet(mayCreate: Bool) {
    let revision = (old.map { DeploymentAnnotations.revision(of: $0.metadata.annotations) }.max() ?? 0) + 1
    if var set = new {
      var changed = DeploymentAnnotations.stamp(&set, from: deployment, revision: revision, exists: true)
      if set.spec.minReadySeconds != deployment.spec.minReadySeconds {
        set.spec.minReadySeconds = deployment.spec.minReadySeconds
        changed = true
      }
      if changed {
        new = set
        actions.append(.update(set, scaledFrom: nil))
      }
      setRevision(String(DeploymentAnnotations.revision(of: set.metadata.annotations)))
      if DeploymentMath.hasDeadline(deployment), deployment.status.conditions.condition("Progressing") == nil {
        progress("True", "FoundNewReplicaSet", "Found new replica set \"\(set.metadata.name)\"")
      }
      return
    }
    guard mayCreate else { return }
    var set = Self.makeSet(for: deployment)
    set.spec.replicas = Int32(DeploymentMath.newReplicas(deployment, all: old + [set], new: set))
    _ = DeploymentAnnotations.stamp(&set, from: deployment, revision: revision, exists: false)
    new = set
    actions.append(.create(set))
    setRevision(String(revision))
    if DeploymentMath.hasDeadline(deployment) {
      progress("True", "NewReplicaSetCreated", "Created new replica set \"\(set.metadata.name)\"")
    }
  }

  static func makeSet(for deployment: Deployment) -> ReplicaSet {
    let hash = TemplateHash.compute(deployment.spec.template, collisions: deployment.status.collisionCount)
    var set = ReplicaSet()
    set.metadata.name = deployment.metadata.name + "-" + hash
    set.metadata.namespace = deployment.metadata.namespace
    set.metadata.ownerReferences = [.controller(of: deployment)]
    set.spec.replicas = 0
    set.spec.minReadySeconds = deployment.spec.minReadySeconds
    set.spec.template = deployment.spec.template
    set.spec.template.metadata.labels[DeploymentAnnotations.hashLabel] = hash
    set.metadata.labels = set.spec.template.metadata.labels
    var selector = deployment.spec.selector ?? LabelSelector()
    selector.matchLabels[DeploymentAnnotations.hashLabel] = hash
    set.spec.selector = selector
    return set
  }

  private mutating func setRevision(_ revision: String) {
    deployment.metadata.annotations[DeploymentAnnotations.revision] = revision
  }

  // MARK: Rolling update

  private mutating func roll() {
    syncNewSet(mayCreate: true)
    if growNew() || shrinkOld() { return writeRollout() }
    if DeploymentMath.isComplete(deployment, deployment.status) { trimHistory() }
    writeRollout()
  }

  private mutating func growNew() -> Bool {
    guard let set = new else { return false }
    let wanted = DeploymentMath.replicas(deployment)
    if DeploymentMath.specReplicas(set) > wanted { return resize(set, to: wanted) }
    return resize(set, to: DeploymentMath.newReplicas(deployment, all: all, new: set))
  }

  private mutating func shrinkOld() -> Bool {
    guard DeploymentMath.specReplicas(old) > 0, let set = new else { return false }
    let minimum = DeploymentMath.replicas(deployment) - DeploymentMath.maxUnavailable(deployment)
    // Pods of the new ReplicaSet that do not serve yet do not make an old one dispensable.
    let missing = DeploymentMath.specReplicas(set) - Int(set.status.availableReplicas)
    let most = DeploymentMath.specReplicas(all) - minimum - missing
    guard most > 0 else { return false }
    let unhealthy = dropUnhealthy(most)
    let healthy = dropHealthy(minimum: minimum)
    return unhealthy || healthy
  }

  /// Old pods that do not serve go first: they cost nothing.
  private mutating func dropUnhealthy(_ most: Int) -> Bool {
    var dropped = 0
    for set in Self.byAge(old) where dropped < most {
      let size = DeploymentMath.specReplicas(set)
      let useless = size - Int(set.status.availableReplicas)
      guard size > 0, useless > 0 else { continue }
      let count = min(most - dropped, useless)
      if resize(set, to: size - count) { dropped += count }
    }
    return dropped > 0
  }

  private mutating func dropHealthy(minimum: Int) -> Bool {
    let spare = DeploymentMath.available(all) - minimum
    guard spare > 0 else { return false }
    var dropped = 0
    for set in Self.byAge(old) where dropped < spare {
      let size = DeploymentMath.specReplicas(set)
      guard size > 0 else { continue }
      let count = min(size, spare - dropped)
      if resize(set, to: size - count) { dropped += count }
    }
    return dropped > 0
  }

  // MARK: Recreate

  private mutating func recreate() {
    syncNewSet(mayCreate: false)
    var scaledDown = false
    for set in old where DeploymentMath.specReplicas(set) > 0 {
      if resize(set, to: 0) { scaledDown = true }
    }
    if scaledDown || oldPodsRemain() { return writeRollout() }
    if new == nil { syncNewSet(mayCreate: true) }
    if let set = new { _ = resize(set, to: DeploymentMath.replicas(deployment)) }
    if DeploymentMath.isComplete(deployment, deployment.status) { trimHistory() }
    writeRollout()
  }

  private func oldPodsRemain() -> Bool {
    if DeploymentMath.actualReplicas(old) > 0 { return true }
    return pods.contains { uid, pods in uid != new?.metadata.uid && pods.contains { !$0.isTerminal } }
  }

  // MARK: Sizes

  /// Somebody scaled the Deployment since its ReplicaSets were last told.
  private func isScaling(_ sets: [ReplicaSet]) -> Bool {
    sets.contains { set in
      guard DeploymentMath.specReplicas(set) > 0,
        let desired = set.metadata.annotations[DeploymentAnnotations.desiredReplicas].flatMap({ Int($0) })
      else { return false }
      return desired != DeploymentMath.replicas(deployment)
    }
  }

  private mutating func scale() {
    let wanted = DeploymentMath.replicas(deployment)
    let active = all.filter { DeploymentMath.specReplicas($0) > 0 }
    if active.count <= 1 {
      guard let only = active.first ?? new ?? Self.byAge(old).last else { return }
      _ = resize(only, to: wanted, always: true)
      return
    }
    if let set = new, DeploymentMath.specReplicas(set) == wanted, Int(set.status.availableReplicas) == wanted,
      set.metadata.annotations[DeploymentAnnotations.desiredReplicas] == String(wanted)
    {
      for set in old where DeploymentMath.specReplicas(set) > 0 { _ = resize(set, to: 0) }
      return
    }
    guard DeploymentMath.isRolling(deployment) else { return }
    scaleProportionally(active)
  }

  /// A roll-out that is scaled keeps the proportion of its ReplicaSets; what rounding leaves goes to the largest.
  private mutating func scaleProportionally(_ active: [ReplicaSet]) {
    let wanted = DeploymentMath.replicas(deployment)
    let allowed = wanted > 0 ? wanted + DeploymentMath.maxSurge(deployment) : 0
    let toAdd = allowed - DeploymentMath.specReplicas(active)
    let sorted = active.sorted { a, b in
      let sizeA = DeploymentMath.specReplicas(a)
      let sizeB = DeploymentMath.specReplicas(b)
      if sizeA != sizeB { return sizeA > sizeB }
      let ageA = a.metadata.creationTimestamp
      let ageB = b.metadata.creationTimestamp
      if ageA == ageB { return a.metadata.name < b.metadata.name }
      return toAdd > 0 ? ageA > ageB : ageA < ageB
    }
    var sizes = sorted.map { DeploymentMath.specReplicas($0) }
    var added = 0
    for (index, set) in sorted.enumerated() where toAdd != 0 {
      let part = DeploymentMath.proportion(set, deployment, toAdd: toAdd, added: added)
      sizes[index] += part
      added += part
    }
    for (index, set) in sorted.enumerated() {
      var size = sizes[index]
      if index == 0, toAdd != 0 { size = max(0, size + toAdd - added) }
      _ = resize(set, to: size, always: true)
    }
  }

  /// Changes a ReplicaSet's size; `always` also renews the annotations when the size stays.
  private mutating func resize(_ set: ReplicaSet, to size: Int, always: Bool = false) -> Bool {
    let before = DeploymentMath.specReplicas(set)
    if before == size, !always { return false }
    var set = set
    set.spec.replicas = Int32(size)
    let wanted = DeploymentMath.replicas(deployment)
    let noted = DeploymentAnnotations.setReplicas(
      &set.metadata.annotations, desired: wanted, max: wanted + DeploymentMath.maxSurge(deployment))
    guard before != size || noted else { return false }
    replace(set)
    let from = before == size ? nil : Int32(before)
    // A set that is only planned yet is made with its final size.
    if let index = actions.firstIndex(where: { $0.isCreate(set.metadata.name) }) {
      actions[index] = .create(set)
    } else if let index = actions.firstIndex(where: { $0.isUpdate(set.metadata.name) }) {
      actions[index] = .update(set, scaledFrom: from ?? actions[index].scaledFrom)
    } else {
      actions.append(.update(set, scaledFrom: from))
    }
    return before != size
  }

  private mutating func replace(_ set: ReplicaSet) {
    if new?.metadata.name == set.metadata.name { new = set }
    if let index = old.firstIndex(where: { $0.metadata.name == set.metadata.name }) { old[index] = set }
  }

  // MARK: History

  private mutating func trimHistory() {
    guard let limit = deployment.spec.revisionHistoryLimit, limit != Int32.max else { return }
    let candidates = old.filter { $0.metadata.deletionTimestamp == nil }
    let excess = candidates.count - Int(limit)
    guard excess > 0 else { return }
    let sorted = candidates.sorted { a, b in
      let revisionA = DeploymentAnnotations.revision(of: a.metadata.annotations)
      let revisionB = DeploymentAnnotations.revision(of: b.metadata.annotations)
      if revisionA != revisionB { return revisionA < revisionB }
      return a.metadata.creationTimestamp < b.metadata.creationTimestamp
    }
    for set in sorted.prefix(excess) {
      let idle = set.status.replicas == 0 && DeploymentMath.specReplicas(set) == 0
      guard idle, set.metadata.generation <= set.status.observedGeneration else { continue }
      actions.append(.delete(set))
    }
  }

  // MARK: Status

  private mutating func notePause() {
    guard DeploymentMath.hasDeadline(deployment) else { return }
    let condition = deployment.status.conditions.condition("Progressing")
    // A deadline already missed is not painted over.
    if condition?.reason == "ProgressDeadlineExceeded" { return }
    let paused = condition?.reason == "DeploymentPaused"
    if deployment.spec.paused, !paused {
      progress("Unknown", "DeploymentPaused", "Deployment is paused")
    } else if !deployment.spec.paused, paused {
      progress("Unknown", "DeploymentResumed", "Deployment is resumed")
    }
  }

  private mutating func progress(_ status: String, _ reason: String, _ message: String) {
    DeploymentConditions.set(
      &deployment.status.conditions, "Progressing", status, reason, message, now: now)
  }

  private func calculateStatus() -> DeploymentStatus {
    var status = deployment.status
    let available = DeploymentMath.available(all)
    status.observedGeneration = deployment.metadata.generation
    status.replicas = Int32(DeploymentMath.actualReplicas(all))
    status.updatedReplicas = Int32(DeploymentMath.actualReplicas(new.map { [$0] } ?? []))
    status.readyReplicas = Int32(DeploymentMath.ready(all))
    status.availableReplicas = Int32(available)
    status.unavailableReplicas = Int32(max(0, DeploymentMath.specReplicas(all) - available))
    // A ReplicaSet that has not counted them yet leaves their number unknown.
    let terminating = all.map(\.status.terminatingReplicas)
    status.terminatingReplicas = terminating.contains(nil) ? nil : terminating.reduce(0) { $0 + ($1 ?? 0) }
    if available >= DeploymentMath.replicas(deployment) - DeploymentMath.maxUnavailable(deployment) {
      DeploymentConditions.set(
        &status.conditions, "Available", "True", "MinimumReplicasAvailable",
        "Deployment has minimum availability.", now: now)
    } else {
      DeploymentConditions.set(
        &status.conditions, "Available", "False", "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.", now: now)
    }
    return status
  }

  private mutating func writeRollout() {
    var status = calculateStatus()
    DeploymentConditions.rollOut(
      &status, deployment: deployment, new: new, all: all, old: observed.status, now: now)
    writeStatus(status)
    if let seconds = DeploymentConditions.secondsToDeadline(deployment, status, now: now) {
      actions.append(.requeue(seconds: seconds))
    }
  }

  private mutating func writeStatus(_ status: DeploymentStatus) {
    deployment.status = status
    let revision = DeploymentAnnotations.revision
    let changed =
      status != observed.status || deployment.metadata.annotations[revision] != observed.metadata.annotations[revision]
    if changed { actions.append(.updateStatus(deployment)) }
  }
}

extension DeploymentPlan.Action {
  fileprivate func isCreate(_ name: String) -> Bool {
    if case .create(let set) = self { set.metadata.name == name } else { false }
  }

  fileprivate func isUpdate(_ name: String) -> Bool {
    if case .update(let set, _) = self { set.metadata.name == name } else { false }
  }

  fileprivate var scaledFrom: Int32? {
    if case .update(_, let from) = self { from } else { nil }
  }
}
