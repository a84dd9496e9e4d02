import API
import APIMachinery

/// Objects live in namespaces that exist and are not being deleted; the system's namespaces stay.
struct NamespaceLifecycle: AdmissionPlugin {
  private static let immortal: Set<String> = ["default", "kube-system", "kube-public"]

  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    try check(object, request, registry)
  }

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation == .delete else { return }
    try check(object, request, registry)
  }

  private func check(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    if request.isCore("namespaces", .delete), Self.immortal.contains(request.name) {
      throw request.forbidden(request.name, "this namespace may not be deleted")
    }
    guard request.resource.info.namespaced, request.operation != .delete, !request.namespace.isEmpty,
      request.resource.info.resource != "localsubjectaccessreviews"
    else { return }
    guard let namespaces = registry.resource(Namespace.self),
      let cached = namespaces.cache?.object(request.namespace)
    else {
      throw StatusError.notFound(GroupResource(group: "", resource: "namespaces"), request.namespace)
    }
    guard request.operation == .create, cached.deleting else { return }
    var error = request.forbidden(
      object.metadata.name,
      "unable to create new content in namespace \(request.namespace) because it is being terminated")
    error.details?.causes.append(
      StatusError.Cause(
        reason: "NamespaceTerminating", message: "namespace \(request.namespace) is being terminated",
        field: "metadata.namespace"))
    throw error
  }
}
