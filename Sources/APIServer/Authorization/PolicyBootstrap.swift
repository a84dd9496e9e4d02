import API
import APIMachinery
import APIMeta

/// Makes the default roles and bindings, and gives back what was taken from them, unless an owner has asked to be left
/// alone (`autoupdate: "false"`).
struct PolicyBootstrap {
  let registry: Registry

  func run() async throws {
    let index = RBACAuthorizer.Index(clusterRoles: BootstrapPolicy.clusterRoles)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for var role in BootstrapPolicy.clusterRoles {
        if let aggregation = role.aggregationRule {
          role.rules = index.aggregated(aggregation, except: role.metadata.name)
        }
        let wanted = role
        group.addTask {
          try await ensure(wanted) { present in
            Self.add(wanted.rules, to: &present.rules)
            if present.aggregationRule == nil { present.aggregationRule = wanted.aggregationRule }
          }
        }
      }
      for role in BootstrapPolicy.roles {
        group.addTask { try await ensure(role) { Self.add(role.rules, to: &$0.rules) } }
      }
      for binding in BootstrapPolicy.clusterRoleBindings {
        group.addTask { try await ensure(binding) { Self.add(binding.subjects, to: &$0.subjects) } }
      }
      for binding in BootstrapPolicy.roleBindings {
        group.addTask { try await ensure(binding) { Self.add(binding.subjects, to: &$0.subjects) } }
      }
      try await group.waitForAll()
    }
  }

  private static func add<T: Equatable>(_ wanted: [T], to present: inout [T]) {
    for item in wanted where !present.contains(item) { present.append(item) }
  }

  private func ensure<T: APIObject>(_ wanted: T, _ complete: @Sendable @escaping (inout T) -> Void) async throws {
    guard let resource = registry.resource(T.self) else { return }
    let (namespace, name) = (wanted.metadata.namespace, wanted.metadata.name)
    let context = WriteContext(internal: resource, namespace: namespace, name: name)
    guard let present = registry.object(T.self, namespace: namespace, name: name) else {
      do { _ = try await registry.create(context, .typed(wanted)) } catch let error as StatusError
        where error.isAlreadyExists
      {}
      return
    }
    if present.metadata.annotations[BootstrapPolicy.autoUpdate] == "false" { return }
    var completed = present
    complete(&completed)
    completed.metadata.labels.merge(wanted.metadata.labels) { present, _ in present }
    completed.metadata.annotations.merge(wanted.metadata.annotations) { present, _ in present }
    guard completed.encoded() != present.encoded() else { return }
    _ = try await registry.update(context, source: .patch) { cached in
      var live = try LiveObject(resource, cached: cached)
      live.with(T.self) { object in
        complete(&object)
        object.metadata.labels.merge(wanted.metadata.labels) { present, _ in present }
        object.metadata.annotations.merge(wanted.metadata.annotations) { present, _ in present }
      }
      live.metadata.resourceVersion = ""
      return live
    }
  }
}

extension RBACAuthorizer.Index {
  init(clusterRoles: [ClusterRole]) {
    self.init()
    for role in clusterRoles { set(role) }
  }
}
