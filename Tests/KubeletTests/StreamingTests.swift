import API
import CRI
import Client
import HTTP
import Logging
import NIOCore
import RemoteCommand
import SwiftProtobuf
import Testing

@testable import Kubelet

/// A container runtime's streaming server: echoes stdin to stdout once, then reports success.
private struct EchoRuntime: HTTPHandler {
  func handle(_ request: HTTPServerRequest) async -> HTTPResponse { HTTPResponse(status: 404) }

  func upgrade(_ head: HTTPRequestHead) async -> UpgradeDecision? {
    let version = head.headers[RemoteProtocols.versionHeader] ?? ""
    guard head.headers.hasToken("upgrade", "SPDY/3.1"), !version.isEmpty else {
      return .refuse(HTTPResponse(status: 400))
    }
    return .accept(
      headers: ["Connection": "Upgrade", "Upgrade": "SPDY/3.1", RemoteProtocols.versionHeader: version]
    ) { connection in
      if head.path.hasPrefix("/portforward") {
        while let bytes = try? await connection.read() { try? await connection.write(bytes) }
        return
      }
      let decoder = SPDYDecoder()
      let encoder = SPDYEncoder()
      var streams: [String: UInt32] = [:]
      while let bytes = try? await connection.read() {
        decoder.feed(bytes)
        while let frame = try? decoder.next() {
          switch frame {
          case .synStream(let id, _, let headers):
            streams[headers.first { $0.name == "streamtype" }?.value ?? ""] = id
            try? await connection.write(encoder.encode(.synReply(id: id, fin: false, headers: [])))
          case .data(let id, _, let body) where id == streams["stdin"]:
            try? await connection.write(encoder.encode(.data(id: streams["stdout"] ?? 0, fin: true, body)))
            try? await connection.write(
              encoder.encode(.data(id: streams["error"] ?? 0, fin: true, ByteBuffer(string: #"{"status":"Success"}"#))))
            return
          default: break
          }
        }
      }
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct StreamingTests {
  /// A kubelet's API in front of the echoing runtime, with a pod whose container runs.
  private func serve(_ body: (_ url: String, _ client: HTTPClient) async throws -> Void) async throws {
    let engine = FakeEngine()
    let pod = makePod()
    let sandbox = try await engine.runPodSandbox(
      .with {
        $0.config.labels = sandboxLabels(pod)
        $0.config.metadata.name = "web"
      })
    let id = try await engine.createContainer(
      .with {
        $0.podSandboxID = sandbox
        $0.config.metadata.name = "main"
        $0.config.labels = containerLabels(pod, pod.spec.containers[0])
      })
    try await engine.startContainer(id)
    let runtime = HTTPServer(configuration: HTTPServerConfiguration(address: .tcp(host: "127.0.0.1", port: 0)))
    let runtimePort = try await runtime.start(EchoRuntime())
    engine.with { $0.streamingPort = runtimePort }
    let clock: @Sendable () -> ContinuousTime = { at(1000) }
    let handler = KubeletHandler(
      p: ServerParts(
        engine: engine, reader: RuntimeReader(engine: engine), pods: { [pod] }, runningPods: { [] },
        authorizer: NodeAuthorizer(client: nil, nodeName: "node1", clock: clock),
        tokens: TokenAuthenticator(client: nil, clock: clock), authenticates: false,
        configuration: KubeletConfiguration(nodeName: "node1"),
        stats: StatsProvider(engine: engine, nodeName: "node1", rootDirectory: "/", clock: clock), health: { nil },
        streaming: HTTPClient(), logger: Logger(label: "test")))
    let server = HTTPServer(configuration: HTTPServerConfiguration(address: .tcp(host: "127.0.0.1", port: 0)))
    let port = try await server.start(handler)
    try await body("http://127.0.0.1:\(port)", HTTPClient())
    await server.shutdown(grace: .milliseconds(10))
    await runtime.shutdown(grace: .milliseconds(10))
  }

  private func webSocket(_ client: HTTPClient, _ url: String, _ subprotocol: String) async throws -> UpgradedConnection
  {
    try await client.upgrade(
      HTTPClientRequest(
        url: url,
        headers: [
          "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": subprotocol,
        ]))
  }

  @Test func execOverWebSocket() async throws {
    try await serve { url, client in
      let connection = try await webSocket(
        client, "\(url)/exec/default/web/main?command=cat&stdin=true&stdout=true", "v5.channel.k8s.io")
      try await connection.write(WebSocketEncoder.encode(.binary(ByteBuffer(string: "\0hi")), mask: 5))
      var decoder = WebSocketDecoder(expectsMask: false)
      var seen: [WebSocketMessage] = []
      reading: while let bytes = try await connection.read() {
        decoder.feed(bytes)
        while let message = try decoder.next() {
          seen.append(message)
          if case .close = message { break reading }
        }
      }
      connection.close()
      #expect(
        seen == [
          .binary(ByteBuffer(bytes: [1])), .binary(ByteBuffer(string: "\u{1}hi")),
          .binary(ByteBuffer(string: "\u{3}{\"status\":\"Success\"}")), .close(code: 1000, reason: ""),
        ])
    }
  }

  @Test func execOverSPDYPassesThrough() async throws {
    try await serve { url, client in
      let connection = try await client.upgrade(
        HTTPClientRequest(
          method: "POST", url: "\(url)/exec/default/web/main?command=cat&input=1&output=1",
          headers: [
            "Connection": "Upgrade", "Upgrade": "SPDY/3.1", RemoteProtocols.versionHeader: "v4.channel.k8s.io",
          ]))
      let encoder = SPDYEncoder()
      for (index, type) in ["error", "stdin", "stdout"].enumerated() {
        try await connection.write(
          encoder.encode(.synStream(id: UInt32(index * 2 + 1), fin: false, headers: [SPDYHeader("streamtype", type)])))
      }
      try await connection.write(encoder.encode(.data(id: 3, fin: false, ByteBuffer(string: "hi"))))
      let decoder = SPDYDecoder()
      var data: [SPDYFrame] = []
      while data.count < 2, let bytes = try await connection.read() {
        decoder.feed(bytes)
        while let frame = try decoder.next() { if case .data = frame { data.append(frame) } }
      }
      connection.close()
      #expect(data.first == .data(id: 5, fin: true, ByteBuffer(string: "hi")))
    }
  }

  @Test func portsAreForwardedThroughATunnel() async throws {
    try await serve { url, client in
      let connection = try await webSocket(
        client, "\(url)/portForward/default/web", RemoteProtocols.webSocketPortForward)
      try await connection.write(WebSocketEncoder.encode(.binary(ByteBuffer(string: "bytes")), mask: 5))
      var decoder = WebSocketDecoder(expectsMask: false)
      var seen: WebSocketMessage?
      while seen == nil, let bytes = try await connection.read() {
        decoder.feed(bytes)
        seen = try decoder.next()
      }
      connection.close()
      #expect(seen == .binary(ByteBuffer(string: "bytes")))
    }
  }

  @Test func whatIsNotThereIsRefused() async throws {
    try await serve { url, client in
      for (path, status) in [
        ("/exec/default/none/main?command=x&stdout=true", 404), ("/exec/default/web/main?command=x", 400),
        ("/exec/default/web/none?command=x&stdout=true", 400),
      ] {
        let request = try HTTPClientRequest(
          url: url + path,
          headers: [
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x",
            "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
          ])
        guard case .refused(let answer) = try await client.tryUpgrade(request) else {
          Issue.record("upgraded \(path)")
          continue
        }
        #expect(answer.status == status)
      }
    }
  }
}
