import APIMachinery
import HTTP
import Logging

extension APIServer {
  /// The server that answers a request in place of this one.
  func extensionServer(_ head: HTTPRequestHead) -> ExtensionServer? { aggregator.server(for: head.path) }

  /// What answers for a group of this server's own that has no store; an extension server goes before it.
  func localAPI(_ info: RequestInfo) -> ResourceMetricsAPI? {
    guard let resourceMetrics, info.isResource, info.apiGroup == ResourceMetricsAPI.version.group,
      info.apiVersion == ResourceMetricsAPI.version.version
    else { return nil }
    return ResourceMetricsAPI(registry: registry, metrics: resourceMetrics)
  }

  /// Passes a request on with its user's name on it. The answer comes back as it is, watches as they happen.
  func forward(_ admitted: Admitted, _ request: HTTPServerRequest, to server: ExtensionServer) async -> HTTPResponse {
    let head = admitted.head
    let target: ProxyTarget
    do { target = try aggregator.target(server, head) } catch { return Self.unavailable }
    var headers = Self.forwarded(head.headers, admitted.user, upgrade: false)
    var body = HTTPClientBody.none
    if let stream = request.bodyStream {
      body = .stream(stream)
      if let length = head.headers["content-length"] { headers.add("content-length", length) }
    } else if !request.body.isEmpty {
      body = .bytes(request.body)
    }
    do {
      let answer = try await target.client.stream(
        HTTPClientRequest(
          method: head.method, origin: target.origin, target: target.target, headers: headers, body: body))
      var response = HTTPResponse(status: answer.status)
      for field in answer.headers where !Self.hopFields.contains(field.name.lowercased()) {
        response.headers.add(field.name, field.value)
      }
      response.body = .stream { writer in
        for try await chunk in answer.body { try await writer.write(chunk) }
      }
      return response
    } catch {
      logger.warning(
        "extension server did not answer", metadata: ["name": "\(server.name)", "error": "\(error)"])
      return Self.unavailable
    }
  }

  func upgrade(_ admitted: Admitted, to server: ExtensionServer) async throws -> (HTTPUpgradeResult, ProxyTarget) {
    let target = try aggregator.target(server, admitted.head)
    let outgoing = HTTPClientRequest(
      method: admitted.head.method, origin: target.origin, target: target.target,
      headers: Self.forwarded(admitted.head.headers, admitted.user, upgrade: true))
    return (try await target.client.tryUpgrade(outgoing), target)
  }

  static var unavailable: HTTPResponse {
    HTTPResponse(
      status: 503, headers: ["content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"],
      body: .bytes(Array("service unavailable\n".utf8)))
  }

  /// The request's headers, with the user in those of the front proxy and nothing of the kind from outside.
  private static func forwarded(_ headers: HTTPFields, _ user: UserInfo, upgrade: Bool) -> HTTPFields {
    var result = HTTPFields()
    for field in passedOn(headers, upgrade: upgrade) where !field.name.lowercased().hasPrefix("x-remote-") {
      result.add(field.name, field.value)
    }
    result.add("x-remote-user", user.name)
    if !user.uid.isEmpty { result.add("x-remote-uid", user.uid) }
    for group in user.groups { result.add("x-remote-group", group) }
    for (key, values) in user.extra.sorted(by: { $0.key < $1.key }) {
      for value in values { result.add("x-remote-extra-" + percentEncoded(key), value) }
    }
    return result
  }
}
