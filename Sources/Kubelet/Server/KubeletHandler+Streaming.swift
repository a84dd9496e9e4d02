import API
import CRI
import HTTP
import RemoteCommand

extension KubeletHandler {
  func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision? {
    let parts = head.path.split(separator: "/").map(String.init)
    guard let verb = parts.first, ["exec", "attach", "portForward"].contains(verb) else { return nil }
    if let refusal = await refuse(head) { return .refuse(refusal) }
    do {
      if verb == "portForward" {
        // /portForward/NAMESPACE/POD[/UID]
        guard parts.count == 3 || parts.count == 4 else { return .refuse(failure(404, "404 page not found")) }
        return try await portForward(head, parts)
      }
      // /exec/NAMESPACE/POD[/UID]/CONTAINER
      guard parts.count == 4 || parts.count == 5 else { return .refuse(failure(404, "404 page not found")) }
      return try await command(verb, head, parts)
    } catch let error as StatusError {
      return .refuse(failure(error.code, error.message))
    } catch {
      return .refuse(failure(500, describe(error)))
    }
  }

  private func command(_ verb: String, _ head: HTTPRequestHead, _ parts: [String]) async throws -> UpgradeDecision {
    let streams = ExecStreams(query: head.query)
    if streams.isEmpty { throw StatusError.badRequest("you must specify at least 1 of stdin, stdout, stderr") }
    let id = try await container(parts[1], parts[2], parts[parts.count - 1])
    let url: String
    if verb == "exec" {
      var request = CRIExecRequest()
      request.containerID = id
      request.cmd = head.query.filter { $0.0 == "command" }.map(\.1)
      request.tty = streams.tty
      request.stdin = streams.stdin
      request.stdout = streams.stdout
      request.stderr = streams.stderr
      url = try await p.engine.exec(request)
    } else {
      var request = CRIAttachRequest()
      request.containerID = id
      request.tty = streams.tty
      request.stdin = streams.stdin
      request.stdout = streams.stdout
      request.stderr = streams.stderr
      url = try await p.engine.attach(request)
    }
    guard isWebSocket(head) else { return try await pass(head, url) }
    guard
      let chosen = WebSocketHandshake.negotiate(
        offered: head.headers.values("sec-websocket-protocol"), supported: RemoteProtocols.webSocketExec)
    else { throw StatusError.badRequest("unable to negotiate a WebSocket subprotocol") }
    let runtime = try await dial(url, RemoteProtocols.spdyExec)
    return try accept(head, chosen) { client in
      await StreamPump.exec(client: client, runtime: runtime, streams: streams, subprotocol: chosen)
    }
  }

  private func portForward(_ head: HTTPRequestHead, _ parts: [String]) async throws -> UpgradeDecision {
    var request = CRIPortForwardRequest()
    request.podSandboxID = try await sandbox(parts[1], parts[2])
    request.port = head.query.filter { $0.0 == "port" || $0.0 == "ports" }.compactMap { Int32($0.1) }
    let url = try await p.engine.portForward(request)
    guard isWebSocket(head) else { return try await pass(head, url) }
    let name = RemoteProtocols.webSocketPortForward
    guard
      WebSocketHandshake.negotiate(offered: head.headers.values("sec-websocket-protocol"), supported: [name]) != nil
    else { throw StatusError.badRequest("unable to negotiate a WebSocket subprotocol") }
    let runtime = try await dial(url, RemoteProtocols.spdyPortForward)
    return try accept(head, name) { client in await StreamPump.tunnel(client: client, runtime: runtime) }
  }

  private func isWebSocket(_ head: HTTPRequestHead) -> Bool { head.headers.hasToken("upgrade", "websocket") }

  private func accept(
    _ head: HTTPRequestHead, _ subprotocol: String, _ body: @escaping @Sendable (UpgradedConnection) async -> Void
  ) throws -> UpgradeDecision {
    guard let key = head.headers["sec-websocket-key"] else {
      throw StatusError.badRequest("missing Sec-WebSocket-Key")
    }
    return .accept(
      headers: [
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": WebSocketHandshake.accept(key: key),
        "Sec-WebSocket-Protocol": subprotocol,
      ], body)
  }

  /// A SPDY connection to the runtime's streaming server.
  private func dial(_ url: String, _ version: String) async throws -> UpgradedConnection {
    var request = try HTTPClientRequest(method: "POST", url: url, timeout: .seconds(30))
    request.headers = [
      "Connection": "Upgrade", "Upgrade": RemoteProtocols.spdyUpgrade, RemoteProtocols.versionHeader: version,
    ]
    switch try await p.streaming.tryUpgrade(request) {
    case .upgraded(let connection): return connection
    case .refused(let answer):
      throw StatusError(
        code: answer.status, reason: "InternalError", message: String(decoding: answer.body, as: UTF8.self))
    }
  }

  /// Both ends speak SPDY: the bytes pass unread. The protocol is the first of the client's that the runtime knows.
  private func pass(_ head: HTTPRequestHead, _ url: String) async throws -> UpgradeDecision {
    let known = [
      RemoteProtocols.spdyExec, "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
      RemoteProtocols.spdyPortForward,
    ]
    let offered = head.headers.values(RemoteProtocols.versionHeader).flatMap { $0.split(separator: ",") }.map {
      String($0.filter { $0 != " " })
    }
    guard let chosen = offered.first(where: { known.contains($0) }) else {
      var refusal = failure(
        403, "unable to upgrade: unable to negotiate protocol: client supports \(offered), server accepts \(known)")
      for name in known { refusal.headers.add("X-Accepted-Stream-Protocol-Versions", name) }
      return .refuse(refusal)
    }
    let runtime = try await dial(url, chosen)
    return .accept(
      headers: [
        "Upgrade": RemoteProtocols.spdyUpgrade, "Connection": "Upgrade", RemoteProtocols.versionHeader: chosen,
      ]
    ) { client in await StreamPump.pass(client, runtime) }
  }
}
