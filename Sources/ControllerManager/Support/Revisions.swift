import API
import APIMachinery
import Client

/// The history of a controller's pod template, kept in ControllerRevisions.
enum Revisions {
  static let hashLabel = "controller-revision-hash"
  private static let contentHashLabel = "controller.kubernetes.io/hash"

  /// What a revision keeps: the template, as a patch that replaces it.
  static func data(_ template: PodTemplateSpec) throws -> JSONValue {
    var tree = try JSONValue(parsing: template.encoded())
    tree["$patch"] = .string("replace")
    return .object(["spec": .object(["template": tree])])
  }

  /// The template that a revision keeps.
  static func template(_ revision: ControllerRevision) -> PodTemplateSpec? {
    let data = try? JSONValue(parsing: revision.data.encoded())
    guard var tree = data?["spec"]?["template"] else { return nil }
    tree["$patch"] = nil
    return try? PodTemplateSpec.decode(tree.encoded())
  }

  /// By which label a revision's hash is found: DaemonSets' pods carry the hash, StatefulSets' the revision's name.
  enum Style: Sendable { case daemonSet, statefulSet }

  /// The revision of a template for an owner, not numbered yet.
  static func make<Owner: APIObject>(
    _ template: PodTemplateSpec, for owner: Owner, collisions: Int32?, style: Style = .daemonSet
  ) throws -> ControllerRevision {
    let hash = TemplateHash.compute(template, collisions: collisions)
    let data = try data(template)
    return ControllerRevision {
      $0.metadata.name = owner.metadata.name + "-" + hash
      $0.metadata.namespace = owner.metadata.namespace
      $0.metadata.labels = template.metadata.labels
      $0.metadata.labels[style == .daemonSet ? hashLabel : contentHashLabel] = hash
      $0.metadata.annotations = owner.metadata.annotations
      $0.metadata.ownerReferences = [.controller(of: owner)]
      $0.data = data
    }
  }

  /// What is to be done so that the newest revision is that of the template.
  struct Plan: Sendable, Equatable {
    /// The revision of the template.
    var update: ControllerRevision
    /// Whether it must be created.
    var isNew: Bool
    /// Whether an old one only gets a new number.
    var isRenumbered: Bool
  }

  static func plan<Owner: APIObject>(
    _ template: PodTemplateSpec, for owner: Owner, collisions: Int32?, existing: [ControllerRevision],
    style: Style = .daemonSet
  ) throws -> Plan {
    let sorted = existing.sorted { ($0.revision, $0.metadata.name) < ($1.revision, $1.metadata.name) }
    let next = (sorted.last?.revision ?? 0) + 1
    if let index = sorted.lastIndex(where: { self.template($0) == template }) {
      var found = sorted[index]
      if index == sorted.count - 1 { return Plan(update: found, isNew: false, isRenumbered: false) }
      found.revision = next
      return Plan(update: found, isNew: false, isRenumbered: true)
    }
    var revision = try make(template, for: owner, collisions: collisions, style: style)
    revision.revision = next
    return Plan(update: revision, isNew: true, isRenumbered: false)
  }

  /// The revisions beyond the limit that no pod and no status uses, oldest first: those in use are not counted.
  static func surplus(
    _ existing: [ControllerRevision], inUse: Set<String>, limit: Int
  ) -> [ControllerRevision] {
    guard limit >= 0 else { return [] }
    let idle = existing.filter { !inUse.contains($0.metadata.name) }.sorted { $0.revision < $1.revision }
    return Array(idle.prefix(max(0, idle.count - limit)))
  }

  static func hash(_ revision: ControllerRevision) -> String { revision.metadata.labels[hashLabel] ?? "" }

  /// Carries a plan out; a name that another template took throws `collision`.
  static func carryOut(_ plan: Plan, client: APIClient) async throws -> ControllerRevision {
    if plan.isRenumbered { return try await client.update(plan.update) }
    guard plan.isNew else { return plan.update }
    do {
      return try await client.create(plan.update)
    } catch let error as StatusError where error.isAlreadyExists {
      let live = try await client.get(
        ControllerRevision.self, namespace: plan.update.metadata.namespace, name: plan.update.metadata.name)
      if template(live) == template(plan.update) { return live }
      throw RevisionCollision()
    }
  }
}

/// Two templates got the same hash.
struct RevisionCollision: Error {}
