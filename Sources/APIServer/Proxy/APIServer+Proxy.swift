import API
import APIMachinery
public import HTTP
import NIOCore

/// Requests that something else answers: kubelets, pods, services. Bytes are passed on as they are.
extension APIServer {
  static let connectSubresources: Set<String> = ["exec", "attach", "portforward", "proxy", "log"]

  func isProxy(_ info: RequestInfo) -> Bool {
    switch (info.apiGroup, info.resource, info.subresource) {
    case ("", "pods", "exec"), ("", "pods", "attach"), ("", "pods", "portforward"), ("", "pods", "log"),
      ("", "pods", "proxy"), ("", "services", "proxy"), ("", "nodes", "proxy"):
      true
    default: false
    }
  }

  /// A target to pass a request on to.
  struct ProxyTarget {
    var client: HTTPClient
    var origin: HTTPOrigin
    var target: String
  }

  public func wantsBodyStream(_ head: HTTPRequestHead) -> Bool {
    guard head.path.contains("/proxy") else { return false }
    let info = RequestInfo(method: head.method, path: head.path, query: [])
    return isProxy(info) && info.subresource == "proxy"
  }

  /// Reading a log is reading; everything else here is a connection, which admission may refuse.
  private func admitConnection(_ request: Admitted) async throws {
    let info = request.info
    guard info.subresource != "log", let resource = registry.resource(info.apiGroup, info.apiVersion, info.resource)
    else { return }
    try await registry.admitConnection(resource, resourceRequest(request, body: []))
  }

  func target(_ request: Admitted) throws -> ProxyTarget {
    let info = request.info
    let query = request.query
    switch (info.resource, info.subresource) {
    case ("pods", "log"):
      let (pod, origin) = try kubelets.pod(info)
      let name = try kubelets.container(pod, query)
      let options = query.filter {
        [
          "follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines",
          "limitBytes", "stream", "insecureSkipTLSVerifyBackend",
        ].contains($0.0)
      }
      return ProxyTarget(
        client: kubelets.kubelet, origin: origin,
        target: Self.path(["containerLogs", info.namespace, info.name, name]) + Self.queryText(options))
    case ("pods", "exec"), ("pods", "attach"):
      let (pod, origin) = try kubelets.pod(info)
      let name = try kubelets.container(pod, query)
      // The kubelet knows the streams under other names than the API.
      var options: [(String, String)] = []
      for (key, short) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        let value = query.first { $0.0 == key }?.1
        // exec attaches output unless it is told not to, as the API's defaults say.
        let on = value.map { $0 != "false" && $0 != "0" } ?? (key == "stdout" || key == "stderr")
        if on { options.append((short, "1")) }
      }
      options += query.filter { $0.0 == "command" }
      return ProxyTarget(
        client: kubelets.kubelet, origin: origin,
        target: Self.path([info.subresource, info.namespace, info.name, name]) + Self.queryText(options))
    case ("pods", "portforward"):
      let (_, origin) = try kubelets.pod(info)
      let ports = query.filter { $0.0 == "ports" }.map { ("port", $0.1) }
      return ProxyTarget(
        client: kubelets.kubelet, origin: origin,
        target: Self.path(["portForward", info.namespace, info.name]) + Self.queryText(ports))
    default:
      let rest = Self.proxiedPath(request.head, info)
      let target = rest + (request.head.rawQuery.isEmpty ? "" : "?\(request.head.rawQuery)")
      switch info.resource {
      case "pods": return ProxyTarget(client: kubelets.plain, origin: try kubelets.podOrigin(info), target: target)
      case "services": return ProxyTarget(client: kubelets.plain, origin: try kubelets.service(info), target: target)
      default:
        let (origin, client) = try kubelets.nodeOrigin(info)
        return ProxyTarget(client: client, origin: origin, target: target)
      }
    }
  }

  /// What follows `/proxy` in the path, as the client wrote it.
  private static func proxiedPath(_ head: HTTPRequestHead, _ info: RequestInfo) -> String {
    let segments = head.rawPath.split(separator: "/", omittingEmptySubsequences: false)
    guard
      let name = segments.firstIndex(where: {
        percentDecoded($0.utf8, plusIsSpace: false) == info.name
      }),
      let proxy = segments[name...].firstIndex(of: "proxy"), proxy + 1 < segments.count
    else { return "/" }
    return "/" + segments[(proxy + 1)...].joined(separator: "/")
  }

  private static func path(_ parts: [String]) -> String {
    "/" + parts.map { percentEncoded($0) }.joined(separator: "/")
  }

  private static func queryText(_ pairs: [(String, String)]) -> String {
    pairs.isEmpty ? "" : "?" + pairs.map { "\(percentEncoded($0.0))=\(percentEncoded($0.1))" }.joined(separator: "&")
  }

  /// Fields that belong to one connection, or that name the user to this server only.
  static let hopFields: Set<String> = [
    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade", "host",
    "authorization", "content-length", "expect",
  ]

  static func passedOn(_ headers: HTTPFields, upgrade: Bool) -> HTTPFields {
    var result = HTTPFields()
    for field in headers {
      let lower = field.name.lowercased()
      if lower.hasPrefix("impersonate-") { continue }
      if hopFields.contains(lower), !(upgrade && (lower == "connection" || lower == "upgrade")) { continue }
      if lower == "sec-websocket-protocol" {
        // The subprotocol that carries a token is for this server alone.
        let rest = headers.elements(lower).filter { !$0.hasPrefix("base64url.bearer.authorization.k8s.io.") }
        if result["sec-websocket-protocol"] == nil { result.add(lower, rest.joined(separator: ", ")) }
        continue
      }
      result.add(field.name, field.value)
    }
    return result
  }

  /// Passes an ordinary request on and its answer back, both as they come.
  func proxy(_ admitted: Admitted, _ request: HTTPServerRequest) async throws -> HTTPResponse {
    try await admitConnection(admitted)
    let target = try target(admitted)
    let subresource = admitted.info.subresource
    if ["exec", "attach", "portforward"].contains(subresource) {
      throw StatusError.badRequest("Upgrade request required")
    }
    var body = HTTPClientBody.none
    var headers = Self.passedOn(request.head.headers, upgrade: false)
    if subresource == "log" { headers = [:] }
    if let stream = request.bodyStream {
      body = .stream(stream)
      if let length = request.head.headers["content-length"] { headers.add("content-length", length) }
    } else if !request.body.isEmpty {
      body = .bytes(request.body)
    }
    let outgoing = HTTPClientRequest(
      method: request.head.method, origin: target.origin, target: target.target, headers: headers, body: body)
    let answer: HTTPClientStreamResponse
    do { answer = try await target.client.stream(outgoing) } catch {
      throw unreachable(target, error)
    }
    if subresource == "log" { return try await log(answer, admitted) }
    var response = HTTPResponse(status: answer.status)
    for field in answer.headers where !Self.hopFields.contains(field.name.lowercased()) {
      response.headers.add(field.name, field.value)
    }
    response.body = .stream { writer in
      for try await chunk in answer.body { try await writer.write(chunk) }
    }
    return response
  }

  /// A log: the kubelet's bytes, or its complaint as a Status.
  private func log(_ answer: HTTPClientStreamResponse, _ admitted: Admitted) async throws -> HTTPResponse {
    guard answer.status == 200 else {
      let text = String(decoding: (try? await answer.body.collect(upTo: 64 * 1024)) ?? [], as: UTF8.self)
      let message = String(text.reversed().drop { $0 == "\n" }.reversed())
      switch answer.status {
      case 400: throw StatusError.badRequest(message)
      case 404: throw StatusError(code: 404, reason: "NotFound", message: message)
      default:
        throw StatusError(
          code: 500, reason: "InternalError",
          message: "an error on the server (\(goQuoted(message))) has prevented the request from succeeding")
      }
    }
    var response = HTTPResponse()
    response.headers.add("content-type", "text/plain")
    response.body = .stream { writer in
      for try await chunk in answer.body { try await writer.write(chunk) }
    }
    return response
  }

  private func unreachable(_ target: ProxyTarget, _ error: any Error) -> StatusError {
    if let status = error as? StatusError { return status }
    return StatusError(
      code: 500, reason: "InternalError",
      message: "Internal error occurred: error dialing backend: \(error) (\(target.origin.authority))")
  }

  // MARK: Upgrades

  public func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision? {
    let started = RequestMetrics.now()
    let admitted: Admitted
    switch admit(head) {
    case .refused(let response, _, let audit):
      if let audit { auditor?.emit(audit, .responseComplete, status: response.status) }
      return .refuse(response)
    case .admitted(let request): admitted = request
    }
    let server = extensionServer(head)
    guard server != nil || isProxy(admitted.info) && admitted.info.subresource != "log" else { return nil }
    let result: HTTPUpgradeResult
    do {
      if let server { return try await self.upgraded(upgrade(admitted, to: server).0, admitted, started) }
      try await admitConnection(admitted)
      let target = try self.target(admitted)
      let outgoing = HTTPClientRequest(
        method: head.method, origin: target.origin, target: target.target,
        headers: Self.passedOn(head.headers, upgrade: true))
      result = try await target.client.tryUpgrade(outgoing)
    } catch let error as StatusError {
      return .refuse(errorResponse(error))
    } catch {
      return .refuse(
        errorResponse(
          StatusError(
            code: 500, reason: "InternalError", message: "Internal error occurred: error dialing backend: \(error)")))
    }
    return upgraded(result, admitted, started)
  }

  private func upgraded(
    _ result: HTTPUpgradeResult, _ admitted: Admitted, _ started: UInt64
  ) -> UpgradeDecision {
    let method = admitted.head.method
    switch result {
    case .refused(let answer):
      var response = HTTPResponse(status: answer.status, body: .bytes(answer.body))
      if let type = answer.headers["content-type"] { response.headers.add("content-type", type) }
      metrics.count(admitted.info, status: answer.status, method: method, since: started)
      if let audit = admitted.audit { auditor?.emit(audit, .responseComplete, status: answer.status) }
      return .refuse(response)
    case .upgraded(let backend):
      metrics.count(admitted.info, status: 101, method: method, since: started)
      let (auditor, audit) = (auditor, admitted.audit)
      if let audit { auditor?.emit(audit, .responseStarted, status: 101) }
      return .accept(headers: backend.responseHeaders) { client in
        await client.splice(with: backend)
        if let audit { auditor?.emit(audit, .responseComplete, status: 101) }
      }
    }
  }

  /// The registry answers for these only when nobody else does; requests come here before they reach it.
  func registerProxies() {
    for (resource, subresource) in [
      ("pods", "exec"), ("pods", "attach"), ("pods", "portforward"), ("pods", "log"), ("pods", "proxy"),
      ("services", "proxy"), ("nodes", "proxy"),
    ] {
      registry.serve("", resource, subresource: subresource) { [weak self] request in
        guard let self else { throw StatusError.serviceUnavailable("shutting down") }
        let head = HTTPRequestHead(
          method: Self.method(request.info.verb), target: request.info.path, headers: request.headers)
        let admitted = Admitted(head: head, info: request.info, user: request.user, query: request.query)
        return try await self.proxy(admitted, HTTPServerRequest(head: head, body: request.body))
      }
    }
  }

  private static func method(_ verb: String) -> String {
    switch verb {
    case "create": "POST"
    case "update": "PUT"
    case "patch": "PATCH"
    case "delete", "deletecollection": "DELETE"
    default: "GET"
    }
  }
}
