public import API
import APIMachinery

extension APIClient {
  /// Binds a pod to a node.
  public func bind(pod: ObjectKey, uid: String = "", to node: String) async throws {
    var binding = Binding()
    binding.metadata.name = pod.name
    binding.metadata.namespace = pod.namespace
    binding.metadata.uid = uid
    binding.target.kind = "Node"
    binding.target.name = node
    let path = ResourceLocation(Pod.self).path(namespace: pod.namespace, name: pod.name, subresource: "binding")
    try await raw("POST", path, body: binding.encodedWithType())
  }

  /// Asks for a pod to be evicted; 429 means a disruption budget stands against it.
  public func evict(pod: ObjectKey, options: DeleteOptions? = nil) async throws {
    var eviction = Eviction()
    eviction.metadata.name = pod.name
    eviction.metadata.namespace = pod.namespace
    eviction.deleteOptions = options
    let path = ResourceLocation(Pod.self).path(namespace: pod.namespace, name: pod.name, subresource: "eviction")
    try await raw("POST", path, body: eviction.encodedWithType())
  }

  /// Asks for a token of a service account.
  public func createToken(
    namespace: String, serviceAccount: String, _ request: TokenRequest
  ) async throws -> TokenRequest {
    let path = ResourceLocation(ServiceAccount.self).path(
      namespace: namespace, name: serviceAccount, subresource: "token")
    return try TokenRequest.decode(try await raw("POST", path, body: request.encodedWithType()))
  }

  /// Reads the scale of anything that has one.
  public func getScale<T: APIObject>(_ type: T.Type, namespace: String = "", name: String) async throws -> Scale {
    let path = ResourceLocation(type).path(namespace: namespace, name: name, subresource: "scale")
    return try Scale.decode(try await raw("GET", path))
  }

  /// Sets the scale of anything that has one.
  @discardableResult
  public func updateScale<T: APIObject>(_ type: T.Type, _ scale: Scale) async throws -> Scale {
    let path = ResourceLocation(type).path(
      namespace: scale.metadata.namespace, name: scale.metadata.name, subresource: "scale")
    return try Scale.decode(try await raw("PUT", path, body: scale.encodedWithType()))
  }
}
