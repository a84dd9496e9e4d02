import API
import APIMachinery
import HTTP

extension Registry {
  /// Deletes what a selector matches; answers with the list of it.
  func deleteCollection(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let options = try DeleteRequest(self, request)
    var query = try ListQuery(request.query)
    query.watch = false
    let predicate = try query.predicate(resource, namespace: request.info.namespace)
    guard let cache = resource.cache else { throw StatusError.pathNotFound }
    let snapshot = cache.snapshot()
    var objects: [CachedObject] = []
    let prefix = predicate.namespace.isEmpty ? "" : predicate.namespace + "/"
    snapshot.objects.forEach(prefix: prefix) { _, object in
      if predicate.matches(object) { objects.append(object) }
      return true
    }
    for object in objects {
      var single = request
      single.info.namespace = object.namespace
      single.info.name = object.name
      single.query = single.query.filter { $0.0 != "limit" }
      let context = try WriteContext(resource, single, kind: "DeleteOptions")
      do { _ = try await delete(context, options) } catch let error as StatusError where error.isNotFound {
        // Somebody else was faster; the aim is reached.
      }
    }
    try await resource.prepare(objects)
    return try answer(resource, ListPage(objects: objects, revision: hub.clock.current), request)
  }
}
