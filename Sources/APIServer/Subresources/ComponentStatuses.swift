import API
import APIMachinery
import HTTP
import Storage

extension Registry {
  /// The deprecated component health: the store is asked; the others run in this process, so they are healthy while it
  /// answers.
  func componentStatuses(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    var problem: String?
    do { try await storage.checkHealth() } catch { problem = "\(error)" }
    let items = ["controller-manager", "etcd-0", "scheduler"].map { name -> ComponentStatus in
      var item = ComponentStatus()
      item.metadata.name = name
      item.conditions = [
        ComponentCondition {
          $0.type = "Healthy"
          let reason = name == "etcd-0" ? problem : nil
          $0.status = reason == nil ? "True" : "False"
          $0.message = reason == nil ? "ok" : ""
          $0.error = reason ?? ""
        }
      ]
      return item
    }
    let cached = items.map {
      CachedObject(key: $0.metadata.name, bytes: $0.encoded(), revision: 0, index: nil)
    }
    if request.info.verb == "get" {
      guard let found = cached.first(where: { $0.name == request.info.name }) else {
        throw StatusError.notFound(resource.groupResource, request.info.name)
      }
      return try answer(200, resource, found, request)
    }
    guard request.info.verb == "list" else {
      throw StatusError.methodNotSupported(resource.groupResource, request.info.verb)
    }
    return try answer(resource, ListPage(objects: cached, revision: hub.clock.current), request)
  }
}
