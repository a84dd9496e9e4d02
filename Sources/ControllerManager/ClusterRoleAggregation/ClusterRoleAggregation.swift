import API
import APIMachinery
import Client
import Logging

/// Fills the rules of ClusterRoles with an aggregation rule from those that it selects.
final class ClusterRoleAggregationController: Controller {
  let name = "clusterrole-aggregation-controller"
  private let client: APIClient
  private let roles: Informer<ClusterRole>
  private let queue = WorkQueue<String>("cluster_role_aggregation")
  private let logger: Logger

  init(_ context: ControllerContext) {
    client = context.client
    roles = context.informers.informer(ClusterRole.self)
    logger = context.logger(name)
    // A change of any role may concern every aggregated one; there are few of them.
    roles.addHandler { [queue, roles] event in
      for role in roles.lister.list() where role.aggregationRule != nil { queue.add(role.metadata.name) }
      if event.object.aggregationRule != nil { queue.add(event.object.metadata.name) }
    }
  }

  func run() async throws {
    try await roles.waitForSync()
    await runWorkers(queue, count: 5, logger: logger) { [self] in try await reconcile($0) }
  }

  /// The rules of all selected roles but `role` itself, by name, each once; nil when nothing is selected.
  static func aggregated(_ role: ClusterRole, from all: [ClusterRole]) -> [PolicyRule]? {
    guard let aggregation = role.aggregationRule else { return nil }
    let selectors = aggregation.clusterRoleSelectors.compactMap { try? $0.selector() }
    var rules: [PolicyRule] = []
    for other in all.sorted(by: { $0.metadata.name < $1.metadata.name }) where other.metadata.name != role.metadata.name
    {
      guard selectors.contains(where: { $0.matches(other.metadata.labels) }) else { continue }
      for rule in other.rules where !rules.contains(rule) { rules.append(rule) }
    }
    return rules
  }

  func reconcile(_ name: String) async throws -> ReconcileResult {
    guard let role = roles.lister.get(name: name),
      let rules = Self.aggregated(role, from: roles.lister.list()), rules != role.rules
    else { return .done }
    var changed = role
    changed.rules = rules
    do {
      try await client.update(changed)
    } catch let error as StatusError where error.isNotFound {}
    return .done
  }
}
