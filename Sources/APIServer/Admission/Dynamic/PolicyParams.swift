import API
import APIMachinery
import APIMeta

/// Finds the parameters of a binding.
struct PolicyParams: Sendable {
  /// Why a policy cannot be applied as it is set up.
  struct Problem: Error, CustomStringConvertible {
    var description: String
  }

  let registry: Registry

  /// The parameters to evaluate a policy with, one after the other: nil alone for a policy that takes none, nothing at
  /// all where there are none and the binding allows that.
  func find(_ kind: ParamKind?, _ binding: PolicyBinding, _ view: AdmissionView) async throws -> [JSONValue?] {
    guard let kind, let reference = binding.paramRef else { return [nil] }
    let version = GroupVersion(apiVersion: kind.apiVersion)
    let gvk = GroupVersionKind(group: version.group, version: version.version, kind: kind.kind)
    guard let resource = registry.resource(kind: gvk), let cache = resource.cache else {
      throw Problem(
        description: "failed to find resource referenced by paramKind: '\(kind.apiVersion), Kind=\(kind.kind)'")
    }
    var namespace = ""
    if resource.info.namespaced {
      namespace = reference.namespace.isEmpty ? view.namespace : reference.namespace
      if namespace.isEmpty {
        throw Problem(
          description: "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
      }
    } else if !reference.namespace.isEmpty {
      throw Problem(description: "paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    }
    var found: [CachedObject] = []
    if let selector = reference.selector {
      let labels = try selector.selector()
      cache.snapshot().objects.forEach(prefix: namespace.isEmpty ? "" : namespace + "/") { _, object in
        if labels.matches(object.labels) { found.append(object) }
        return true
      }
    } else if let object = cache.object(resource.key(namespace, reference.name)) {
      found.append(object)
    }
    if found.isEmpty {
      if reference.parameterNotFoundAction == "Allow" { return [] }
      throw Problem(description: "no params found for policy binding with `Deny` parameterNotFoundAction")
    }
    try await resource.prepare(found)
    return try found.map { object in
      var tree = try resource.tree(object)
      tree["apiVersion"] = .string(resource.apiVersion)
      tree["kind"] = .string(resource.info.kind)
      return tree
    }
  }
}
