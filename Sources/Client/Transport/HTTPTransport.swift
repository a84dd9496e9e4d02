import APIMachinery
import HTTP
import NIOCore
import Synchronization

/// Reaches an API server over HTTP/1.1 or HTTP/2, as a kubeconfig or a pod's service account says.
///
/// With several servers a request that one of them does not answer goes to the next, as far as it may be sent twice;
/// the server that answers is kept, and the preferred one used again when it is back.
public final class HTTPTransport: Transport {
  private struct Server: Sendable {
    var url: String
    var origin: HTTPOrigin
    var prefix: String
  }
  private struct State {
    var servers: [Server]
    var choice: ServerChoice
    var http: HTTPClient
    var access: ClusterAccess
    var isShutDown = false
  }

  private let state: Mutex<State>
  private let token = Mutex<(text: String, readAt: ContinuousClock.Instant)?>(nil)

  /// A token file is read again when the token in hand is older than this.
  private static let tokenLifetime: Duration = .seconds(60)
  /// A machine that is gone does not refuse connections; this long it may take to notice.
  private static let connectTimeout = TimeAmount.seconds(3)
  private static let deadPeerTimeout = TimeAmount.seconds(3)
  /// What is under way on a client with an old certificate may end; watches are cut off and begin anew.
  private static let retirement: Duration = .seconds(10)

  /// Connects as told.
  public init(_ access: ClusterAccess) throws {
    let servers = try Self.parse(access.servers)
    state = Mutex(
      State(
        servers: servers, choice: ServerChoice(count: servers.count), http: Self.client(access), access: access))
  }

  /// Connects as a kubeconfig file says.
  public convenience init(kubeconfig path: String, context: String? = nil) throws {
    try self.init(ClusterAccess.kubeconfig(path: path, context: context))
  }

  /// Connects as a pod's service account; throws outside a pod.
  public static func inCluster() throws -> HTTPTransport {
    guard let access = try ClusterAccess.inCluster() else {
      throw TransportError("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    }
    return try HTTPTransport(access)
  }

  private static func parse(_ urls: [String]) throws -> [Server] {
    guard !urls.isEmpty else { throw TransportError("no server is named") }
    return try urls.map { url in
      let (origin, target) = try HTTPOrigin.parse(url)
      return Server(
        url: url, origin: origin,
        prefix: target == "/" ? "" : (target.hasSuffix("/") ? String(target.dropLast()) : target))
    }
  }

  private static func client(_ access: ClusterAccess) -> HTTPClient {
    func text(_ bytes: [UInt8]) -> String? { bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self) }
    let tls = ClientTLSOptions(
      trustedCAPEM: text(access.certificateAuthority), certificateChainPEM: text(access.clientCertificate),
      privateKeyPEM: text(access.clientKey), insecureSkipVerify: access.insecureSkipVerify,
      serverName: access.serverName)
    var configuration = HTTPClientConfiguration(tls: tls)
    configuration.connectTimeout = connectTimeout
    configuration.deadPeerTimeout = deadPeerTimeout
    return HTTPClient(configuration: configuration)
  }

  // MARK: Requests

  public func send(_ request: TransportRequest) async throws -> TransportResponse {
    try await onSomeServer(request) { http, outgoing in
      let response = try await http.send(outgoing)
      return (response.status, (response.status, response.headers.pairs, response.body))
    }
  }

  public func stream(_ request: TransportRequest) async throws -> TransportStream {
    try await onSomeServer(request) { http, outgoing in
      let response = try await http.stream(outgoing)
      let body = response.body
      let origin = outgoing.origin
      let chunks = AsyncThrowingStream<[UInt8], any Error>(unfolding: { [weak self] in
        try await withTaskCancellationHandler {
          do {
            return try await body.next().map { Array($0.readableBytesView) }
          } catch let error as HTTPClientError {
            // Whoever reads begins anew, and should not have to wait for a dead server once more.
            self?.failed(origin)
            throw error
          }
        } onCancel: {
          body.cancel()
        }
      })
      return (response.status, (response.status, chunks))
    }
  }

  /// Tries the servers in turn until one answers.
  private func onSomeServer<R>(
    _ request: TransportRequest, _ attempt: (HTTPClient, HTTPClientRequest) async throws -> (status: Int, R)
  ) async throws -> R {
    let now = ContinuousClock.now
    let (order, servers, http, probe) = state.withLock { s in
      (s.choice.order, s.servers, s.http, s.choice.probeIsDue(at: now) ? s.servers[0] : nil)
    }
    if let probe { askPreferred(probe, http) }
    let headers = try headers(request)
    var refusal: R?
    var problem: (any Error)?
    for (step, index) in order.enumerated() {
      let server = servers[index]
      let outgoing = HTTPClientRequest(
        method: request.method, origin: server.origin, target: server.prefix + request.path, headers: headers,
        body: request.body.map { .bytes($0) } ?? .none)
      do {
        let (status, answer) = try await attempt(http, outgoing)
        // A server that shuts down, or has lost its store, says so; another may do better.
        if status == 503, order.count > 1, Self.mayRepeat(request.method) {
          failed(server.origin)
          refusal = answer
          continue
        }
        if step > 0 { answered(server) }
        return answer
      } catch {
        if Task.isCancelled { throw error }
        problem = error
        guard let wasSent = Self.wasSent(error) else { throw error }
        failed(server.origin)
        if wasSent, !Self.mayRepeat(request.method) { throw error }
      }
    }
    if let refusal { return refusal }
    throw problem ?? TransportError("no server is named")
  }

  /// Whether a request that failed may have been acted upon; nil when the failure says nothing of the server.
  private static func wasSent(_ error: any Error) -> Bool? {
    switch error {
    case HTTPClientError.connectFailed, HTTPClientError.refusedStream: false
    case HTTPClientError.connectionClosed, HTTPClientError.timeout, HTTPClientError.streamReset: true
    default: nil
    }
  }

  private static func mayRepeat(_ method: String) -> Bool { ["GET", "HEAD", "PUT", "DELETE"].contains(method) }

  private func failed(_ origin: HTTPOrigin) {
    let now = ContinuousClock.now
    state.withLock { s in
      guard let index = s.servers.firstIndex(where: { $0.origin == origin }) else { return }
      s.choice.failed(index, at: now)
    }
  }

  private func answered(_ server: Server) {
    let now = ContinuousClock.now
    state.withLock { s in
      guard let index = s.servers.firstIndex(where: { $0.origin == server.origin }) else { return }
      s.choice.answered(index, at: now)
    }
  }

  private func askPreferred(_ server: Server, _ http: HTTPClient) {
    // Not structured: the request at whose occasion it is asked must not wait for a server that may be dead.
    Task { [weak self] in
      let question = HTTPClientRequest(
        origin: server.origin, target: server.prefix + "/readyz", timeout: .seconds(5))
      guard let answer = try? await http.send(question), answer.status < 500 else { return }
      self?.state.withLock { s in
        if s.servers.first?.origin == server.origin { s.choice.preferredIsBack() }
      }
    }
  }

  // MARK: Changes

  /// The servers' URLs, the preferred one first.
  public var servers: [String] { state.withLock { $0.servers.map(\.url) } }

  /// The URL of the server that requests go to now.
  public var currentServer: String { state.withLock { $0.servers[$0.choice.current].url } }

  /// Uses these servers from now on; the one in use stays in use when it is among them.
  public func setServers(_ urls: [String]) throws {
    let servers = try Self.parse(urls)
    let now = ContinuousClock.now
    state.withLock { s in
      let current = s.servers[s.choice.current].origin
      s.servers = servers
      s.access.servers = urls
      s.choice = ServerChoice(count: servers.count)
      if let index = servers.firstIndex(where: { $0.origin == current }) { s.choice.answered(index, at: now) }
    }
  }

  /// Proves the client's identity by another certificate from now on. Long requests made with the old one, watches
  /// above all, are ended a little later.
  public func setClientCertificate(_ certificatePEM: [UInt8], key: [UInt8]) {
    let old = state.withLock { s -> HTTPClient? in
      guard !s.isShutDown else { return nil }
      s.access.clientCertificate = certificatePEM
      s.access.clientKey = key
      let old = s.http
      s.http = Self.client(s.access)
      return old
    }
    guard let old else { return }
    // Not structured: nobody waits for the end of the old connections.
    Task {
      try? await Task.sleep(for: Self.retirement)
      await old.shutdown()
    }
  }

  /// Closes the connections.
  public func shutdown() async {
    let http = state.withLock { s in
      s.isShutDown = true
      return s.http
    }
    await http.shutdown()
  }

  // MARK: Credentials

  private func headers(_ request: TransportRequest) throws -> HTTPFields {
    var headers = HTTPFields(request.headers)
    if let authorization = try authorization() { headers.add("Authorization", authorization) }
    return headers
  }

  private func authorization() throws -> String? {
    let access = state.withLock { $0.access }
    if let file = access.tokenFile {
      return "Bearer " + (try currentToken(file))
    }
    if let token = access.token, !token.isEmpty { return "Bearer " + token }
    if let basic = access.basic {
      return "Basic " + Base64Bytes(Array("\(basic.username):\(basic.password)".utf8)).base64
    }
    return nil
  }

  private func currentToken(_ file: String) throws -> String {
    let now = ContinuousClock.now
    if let known = token.withLock({ $0 }), now - known.readAt < Self.tokenLifetime { return known.text }
    let bytes = try ClusterAccess.read(file)
    let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    token.withLock { $0 = (text, now) }
    return text
  }
}
