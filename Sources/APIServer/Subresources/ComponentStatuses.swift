import API
import APIMachinery
import HTTP

extension Registry {
  /// The deprecated component health: this process serves them all, so they are healthy while it answers.
  func componentStatuses(_ resource: ServedResource, _ request: ResourceRequest) throws -> HTTPResponse {
    let items = ["controller-manager", "etcd-0", "scheduler"].map { name -> ComponentStatus in
      var item = ComponentStatus()
      item.metadata.name = name
      item.conditions = [
        ComponentCondition {
          $0.type = "Healthy"
          $0.status = "True"
          $0.message = "ok"
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
