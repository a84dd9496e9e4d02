import APIMachinery
import HTTP
import NIOCore
import Synchronization

/// Reaches an API server over HTTP/1.1 or HTTP/2, as a kubeconfig or a pod's service account says.
public final class HTTPTransport: Transport {
  private let access: ClusterAccess
  private let origin: HTTPOrigin
  private let prefix: String
  private let http: HTTPClient
  private let token = Mutex<(text: String, readAt: ContinuousClock.Instant)?>(nil)

  /// A token file is read again when the token in hand is older than this.
  private static let tokenLifetime: Duration = .seconds(60)

  /// Connects as told.
  public init(_ access: ClusterAccess) throws {
    self.access = access
    let (origin, target) = try HTTPOrigin.parse(access.server)
    self.origin = origin
    prefix = target == "/" ? "" : (target.hasSuffix("/") ? String(target.dropLast()) : target)
    func text(_ bytes: [UInt8]) -> String? { bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self) }
    let tls = ClientTLSOptions(
      trustedCAPEM: text(access.certificateAuthority), certificateChainPEM: text(access.clientCertificate),
      privateKeyPEM: text(access.clientKey), insecureSkipVerify: access.insecureSkipVerify,
      serverName: access.serverName)
    http = HTTPClient(configuration: HTTPClientConfiguration(tls: tls))
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

  public func send(_ request: TransportRequest) async throws -> TransportResponse {
    let response = try await http.send(try outgoing(request))
    return (response.status, response.headers.pairs, response.body)
  }

  public func stream(_ request: TransportRequest) async throws -> TransportStream {
    let response = try await http.stream(try outgoing(request))
    let body = response.body
    let chunks = AsyncThrowingStream<[UInt8], any Error>(unfolding: {
      try await withTaskCancellationHandler {
        try await body.next().map { Array($0.readableBytesView) }
      } onCancel: {
        body.cancel()
      }
    })
    return (response.status, chunks)
  }

  /// Closes the connections.
  public func shutdown() async { await http.shutdown() }

  private func outgoing(_ request: TransportRequest) throws -> HTTPClientRequest {
    var headers = HTTPFields(request.headers)
    if let authorization = try authorization() { headers.add("Authorization", authorization) }
    return HTTPClientRequest(
      method: request.method, origin: origin, target: prefix + request.path, headers: headers,
      body: request.body.map { .bytes($0) } ?? .none)
  }

  private func authorization() throws -> String? {
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
