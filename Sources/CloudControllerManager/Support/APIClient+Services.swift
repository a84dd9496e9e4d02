import API
import APIMachinery
import Client

extension APIClient {
  /// Writes a Service's load balancer status, and conditions beside it, when they differ from what the Service shows.
  /// A Service that is gone, or was replaced, needs none.
  func patchStatus(
    of service: Service, _ status: LoadBalancerStatus, conditions: [Condition] = [], removing: [String] = []
  ) async throws {
    var change: [String: JSONValue] = [:]
    if status != service.status.loadBalancer {
      change["loadBalancer"] = .object([
        "$patch": .string("replace"), "ingress": status.ingress.isEmpty ? .array([]) : try tree(status.ingress),
      ])
    }
    var entries: [JSONValue] = []
    if !conditions.isEmpty, case .array(let list) = try tree(conditions) { entries += list }
    entries += removing.filter { service.status.conditions.condition($0) != nil }.map {
      .object(["$patch": .string("delete"), "type": .string($0)])
    }
    if !entries.isEmpty { change["conditions"] = .array(entries) }
    guard !change.isEmpty else { return }
    let patch = JSONValue.object([
      "metadata": .object(["uid": .string(service.metadata.uid)]), "status": .object(change),
    ])
    do {
      try await self.patch(
        Service.self, namespace: service.metadata.namespace, name: service.metadata.name,
        .strategic(patch.encoded()), subresource: "status")
    } catch let error as StatusError where error.isNotFound || error.isConflict {
      // Gone right after its finalizer went, or another one by now.
    }
  }
}
