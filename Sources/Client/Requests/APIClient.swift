public import API
public import APIMachinery

/// Typed calls to the API server over any transport. Every call throws `StatusError` when the server refused
/// and `TransportError` (or the transport's own error) when no answer came.
public struct APIClient: Sendable {
  /// How requests travel.
  public let transport: any Transport
  /// What the server logs and managed fields call this client.
  public let userAgent: String

  /// Makes a client.
  public init(transport: any Transport, userAgent: String) {
    self.transport = transport
    self.userAgent = userAgent
  }

  /// Reads one object.
  public func get<T: APIObject>(
    _ type: T.Type, namespace: String = "", name: String, resourceVersion: String = ""
  ) async throws -> T {
    var query = QueryBuilder()
    query.add("resourceVersion", resourceVersion)
    let path = ResourceLocation(type).path(namespace: namespace, name: name) + query.text
    return try T.decode(try await raw("GET", path))
  }

  /// Lists objects, of one namespace or of all, following `continue` when a limit was set and asked to.
  public func list<T: APIObject>(
    _ type: T.Type, namespace: String? = nil, options: ListOptions = ListOptions()
  ) async throws -> (items: [T], resourceVersion: String) {
    let path = ResourceLocation(type).path(namespace: namespace)
    var items: [T] = []
    var options = options
    while true {
      let page = try ListPage<T>.decode(try await raw("GET", path + options.query()))
      items += page.items
      if page.continueToken.isEmpty { return (items, page.resourceVersion) }
      options.`continue` = page.continueToken
      options.resourceVersion = ""
      options.resourceVersionMatch = ""
    }
  }

  /// Creates an object; the answer is the object as stored.
  @discardableResult
  public func create<T: APIObject>(_ object: T, namespace: String? = nil, fieldManager: String = "") async throws -> T {
    var query = QueryBuilder()
    query.add("fieldManager", fieldManager)
    let path = ResourceLocation(T.self).path(namespace: namespace ?? object.metadata.namespace) + query.text
    return try T.decode(try await raw("POST", path, body: object.encodedWithType()))
  }

  /// Replaces an object; a stale resourceVersion is a conflict.
  @discardableResult
  public func update<T: APIObject>(_ object: T) async throws -> T {
    try await put(object, subresource: nil)
  }

  /// Replaces an object's status and nothing else.
  @discardableResult
  public func updateStatus<T: APIObject>(_ object: T) async throws -> T {
    try await put(object, subresource: "status")
  }

  /// Replaces what a subresource of the object shows.
  @discardableResult
  public func put<T: APIObject>(_ object: T, subresource: String?) async throws -> T {
    let path = ResourceLocation(T.self).path(
      namespace: object.metadata.namespace, name: object.metadata.name, subresource: subresource)
    return try T.decode(try await raw("PUT", path, body: object.encodedWithType()))
  }

  /// Changes an object.
  @discardableResult
  public func patch<T: APIObject>(
    _ type: T.Type, namespace: String = "", name: String, _ patch: Patch, subresource: String? = nil
  ) async throws -> T {
    let location = ResourceLocation(type)
    let path = location.path(namespace: namespace, name: name, subresource: subresource) + patch.query
    return try T.decode(try await raw("PATCH", path, body: patch.body, contentType: patch.contentType))
  }

  /// Deletes an object, or begins to: finalizers and grace may keep it for a while.
  public func delete<T: APIObject>(
    _ type: T.Type, namespace: String = "", name: String, options: DeleteOptions = DeleteOptions()
  ) async throws {
    try await delete(ResourceLocation(type), namespace: namespace, name: name, options: options)
  }

  /// Deletes an object of a kind known only at run time.
  public func delete(
    _ location: ResourceLocation, namespace: String = "", name: String, options: DeleteOptions = DeleteOptions()
  ) async throws {
    _ = try await raw("DELETE", location.path(namespace: namespace, name: name), body: deleteBody(options))
  }

  /// Deletes every object that the list options select.
  public func deleteCollection<T: APIObject>(
    _ type: T.Type, namespace: String? = nil, options: DeleteOptions = DeleteOptions(),
    listOptions: ListOptions = ListOptions()
  ) async throws {
    try await deleteCollection(
      ResourceLocation(type), namespace: namespace, options: options, listOptions: listOptions)
  }

  /// Deletes every object of a kind known only at run time.
  public func deleteCollection(
    _ location: ResourceLocation, namespace: String? = nil, options: DeleteOptions = DeleteOptions(),
    listOptions: ListOptions = ListOptions()
  ) async throws {
    _ = try await raw(
      "DELETE", location.path(namespace: namespace) + listOptions.query(), body: deleteBody(options))
  }

  /// Sends anything and hands back the body of a success.
  @discardableResult
  public func raw(
    _ method: String, _ path: String, body: [UInt8]? = nil, contentType: String = "application/json",
    accept: String = "application/json"
  ) async throws -> [UInt8] {
    var headers = [("User-Agent", userAgent), ("Accept", accept)]
    if body != nil { headers.append(("Content-Type", contentType)) }
    let request = TransportRequest(method: method, path: path, headers: headers, body: body)
    let response = try await transport.send(request)
    guard (200..<300).contains(response.status) else {
      throw StatusError(decoding: response.body, httpCode: response.status)
    }
    return response.body
  }

  private func deleteBody(_ options: DeleteOptions) -> [UInt8] {
    var options = options
    options.apiVersion = "v1"
    options.kind = "DeleteOptions"
    return options.encoded()
  }
}
