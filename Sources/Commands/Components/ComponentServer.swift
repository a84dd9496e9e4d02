import API
import APIMachinery
import Client
import HTTP
import Logging
import PKI
import Synchronization

/// What a component says of itself.
final class ComponentHealth: Sendable {
  private let state = Mutex((leading: false, checks: [(name: String, passes: @Sendable () -> Bool)]()))
  private let configuration: Mutex<[String: JSONValue]>
  let name: String

  init(name: String, configuration: [String: JSONValue] = [:]) {
    self.name = name
    self.configuration = Mutex(configuration)
  }

  func setLeading(_ leading: Bool) { state.withLock { $0.leading = leading } }

  var isLeading: Bool { state.withLock { $0.leading } }

  func addCheck(_ name: String, _ passes: @escaping @Sendable () -> Bool) {
    state.withLock { $0.checks.append((name, passes)) }
  }

  var configz: [UInt8] { JSONValue.object(configuration.withLock { $0 }).encoded() }

  /// The answer of `/healthz` and its like, as upstream writes it.
  func answer(_ path: String, verbose: Bool) -> HTTPResponse {
    let checks = [(name: "ping", passes: { @Sendable in true })] + state.withLock { $0.checks }
    let results = checks.map { (name: $0.name, passed: $0.passes()) }
    let passed = results.allSatisfy(\.passed)
    let what = String(path.dropFirst())
    guard verbose || !passed else { return Self.text(200, "ok") }
    let lines = results.map { $0.passed ? "[+]\($0.name) ok" : "[-]\($0.name) failed: reason withheld" }
    return Self.text(
      passed ? 200 : 500, lines.joined(separator: "\n") + "\n\(what) check \(passed ? "passed" : "failed")\n")
  }

  func metrics() -> String {
    """
    # HELP leader_election_master_status [ALPHA] Gauge of if the reporting system is master of the relevant lease, 0 \
    indicates backup, 1 indicates master. 'name' is the string used to identify the lease.
    # TYPE leader_election_master_status gauge
    leader_election_master_status{name="\(name)"} \(isLeading ? 1 : 0)
    # HELP kubernetes_build_info [ALPHA] A metric with a constant '1' value labeled by version.
    # TYPE kubernetes_build_info gauge
    kubernetes_build_info{git_version="\(Version.git)",major="1",minor="36",platform="linux"} 1

    """ + ProcessFigures.text()
  }

  static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", bytes: Array(text.utf8))
  }
}

/// Health checks, metrics and configuration over HTTPS, for those whom the API server lets.
struct ComponentServer: HTTPHandler {
  let health: ComponentHealth
  let access: DelegatedAccess?
  let openPaths: [String]
  let pages: DebugPages

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    let path = request.head.path
    if let access, !isOpen(path) {
      switch await access.decide(request.head) {
      case .allowed: break
      case .refused(let response): return response
      }
    }
    guard request.head.method == "GET" || request.head.method == "HEAD" else {
      return ComponentHealth.text(405, "method not allowed\n")
    }
    switch path {
    case "/healthz", "/livez", "/readyz":
      return health.answer(path, verbose: request.head.query.contains { $0.0 == "verbose" })
    case "/metrics":
      return HTTPResponse(
        contentType: "text/plain; version=0.0.4; charset=utf-8", bytes: Array(health.metrics().utf8))
    case "/configz": return HTTPResponse(contentType: "application/json", bytes: health.configz)
    case "/version":
      let version = JSONValue.object([
        "major": .string("1"), "minor": .string("36"), "gitVersion": .string(Version.git),
        "platform": .string("linux/amd64"),
      ])
      return HTTPResponse(contentType: "application/json", bytes: version.encoded())
    case "/statusz", "/flagz":
      return pages.answer(path) ?? ComponentHealth.text(404, "404 page not found\n")
    default: return ComponentHealth.text(404, "404 page not found\n")
    }
  }

  /// A path ending in `/*` allows all below it.
  private func isOpen(_ path: String) -> Bool {
    openPaths.contains { allowed in
      allowed.hasSuffix("/*") ? path.hasPrefix(allowed.dropLast()) : allowed == path
    }
  }

  /// The server as flags say; nil when `--secure-port` is 0.
  static func service(
    _ values: FlagValues, health: ComponentHealth, logger: Logger
  ) throws -> Component? {
    let port = values.integer("secure-port")
    guard port != 0 else { return nil }
    let name = health.name
    let authentication = try CommonFlags.client(values, flag: "authentication-kubeconfig", component: name)
    let authorization = try CommonFlags.client(values, flag: "authorization-kubeconfig", component: name)
    let access = DelegatedAccess(
      authentication: authentication, authorization: authorization,
      lifetimes: (
        token: values.duration("authentication-token-webhook-cache-ttl"),
        yes: values.duration("authorization-webhook-cache-authorized-ttl"),
        no: values.duration("authorization-webhook-cache-unauthorized-ttl")
      ))
    let pair = try certificate(values, name: name)
    let handler = ComponentServer(
      health: health, access: access, openPaths: values.list("authorization-always-allow-paths"),
      pages: DebugPages(
        component: name, version: Version.plain, flags: values.all,
        paths: ["/configz", "/healthz", "/livez", "/metrics", "/readyz", "/version"], started: Time.now.description))
    var settings = HTTPServerConfiguration(
      address: .tcp(host: values.text("bind-address"), port: port), logger: logger)
    settings.tls = TLSOptions(
      certificateChainPEM: pair.certificatePEM, privateKeyPEM: pair.privateKeyPEM,
      verifyClient: { access.verify($0) })
    let authority = values.path("client-ca-file")
    let isLookedUp = authority == nil && !values.flag("authentication-skip-lookup")
    let server = HTTPServer(configuration: settings)
    return Component("serving") {
      if let authority, let text = try AtomicFile.readText(authority) { try access.trust(text) }
      _ = try await server.start(handler)
      if isLookedUp { try await access.followPublishedAuthority() } else { try await Forever.wait() }
      await server.shutdown()
    }
  }

  private static func certificate(_ values: FlagValues, name: String) throws -> IssuedCertificate {
    if let certificate = values.path("tls-cert-file"), let key = values.path("tls-private-key-file") {
      guard let chain = try AtomicFile.readText(certificate) else { throw FlagError("\(certificate) does not exist") }
      guard let secret = try AtomicFile.readText(key) else { throw FlagError("\(key) does not exist") }
      return IssuedCertificate(certificatePEM: chain, privateKeyPEM: secret)
    }
    let authority = try CertificateAuthority.create(commonName: "\(name)-ca")
    return try authority.issue(
      CertificateRequest(
        commonName: name, dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"], usages: [.serverAuth]))
  }
}

/// Waiting for nothing but the end of the task.
enum Forever {
  static func wait() async throws {
    let (forever, continuation) = AsyncStream.makeStream(of: Void.self)
    for await _ in forever {}
    continuation.finish()
    try Task.checkCancellation()
  }
}
