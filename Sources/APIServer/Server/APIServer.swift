import API
import APIMachinery
public import HTTP
public import Logging
public import NIOCore
import PKI
public import Storage
import Synchronization

/// The API server: authenticates and authorizes requests and gives them to whoever answers them.
///
/// ```
///   created --start--> serving --shutdown--> stopped
/// ```
///
/// A request's way: certificate or token → impersonation → authorization → in-flight limit → health, discovery, OpenAPI,
/// metrics, reviews, proxies, or the registry. What needs no waiting (reads from the cache, discovery, health) is
/// answered on the connection's event loop.
public final class APIServer: HTTPHandler {
  public typealias Configuration = APIServerConfiguration
  /// For those who import the API's type of that name as well.
  public typealias UserInfo = APIServerUser

  public let configuration: APIServerConfiguration
  let version: ServerVersion
  let registry: Registry
  let authenticator: RequestAuthenticator
  let authorizer: ServerAuthorizer
  let rbac = RBACAuthorizer()
  let discovery = LiveDiscovery()
  let openAPI: OpenAPIDocuments
  let health: HealthChecks
  let metrics = RequestMetrics()
  let access: AccessMetrics
  let aggregator: Aggregator
  let pages: DebugPages
  /// Nil where others are to serve these.
  let resourceMetrics: ResourceMetrics?
  let auditor: Auditor?
  private let policyTypes: PolicyTypeCheck
  private let encryption: EncryptionReloader?
  let kubelets: KubeletProxy
  let tokens: ServiceAccountTokens?
  let logger: Logger
  private let endpoints: EndpointReconciler
  private let identity: ServerIdentity
  private let group: (any EventLoopGroup)?
  let nodeAuthorizer: NodeAuthorizer
  /// Files that are read again when they change.
  /// Written once, before anybody else has the server.
  private(set) nonisolated(unsafe) var followers: [FileFollower] = []
  private let accessSetup: AccessSetup
  private let server = Mutex<HTTPServer?>(nil)
  let inFlight = Mutex((reading: 0, mutating: 0))
  /// Nil where only the numbers under way are limited.
  let flowControl: FlowControl?

  public init(
    configuration given: APIServerConfiguration, storage: any Storage, group: (any EventLoopGroup)? = nil,
    logger: Logger
  ) throws {
    let configuration = try given.loaded()
    self.configuration = configuration
    let (storage, encryption) = try Self.encrypted(storage, configuration, logger)
    self.encryption = encryption
    self.group = group
    self.logger = logger
    health = HealthChecks(storage: storage)
    version = ServerVersion(gitVersion: configuration.gitVersion)
    let audiences = configuration.audiences.isEmpty ? [configuration.serviceAccountIssuer] : configuration.audiences
    tokens = try configuration.serviceAccountKeyPEM.map {
      try ServiceAccountTokens(
        issuer: configuration.serviceAccountIssuer, keyPEM: $0,
        verificationKeysPEM: configuration.serviceAccountVerificationKeysPEM)
    }
    var settings = RegistryConfiguration()
    settings.serviceClusterIPRange = configuration.serviceCIDR
    settings.serviceNodePortRange = configuration.serviceNodePortRange
    settings.advertiseAddress = configuration.advertiseAddress ?? "127.0.0.1"
    if configuration.port != 0 { settings.securePort = configuration.port }
    settings.eventSecondsToLive = configuration.eventSecondsToLive
    settings.minRequestTimeout = configuration.minRequestTimeoutSeconds
    settings.enabledPlugins = configuration.enabledAdmissionPlugins
    settings.disabledPlugins = configuration.disabledAdmissionPlugins
    registry = try Registry(
      storage: storage, configuration: settings,
      tokenIssuer: tokens.map {
        SigningTokenIssuer(
          tokens: $0, defaultAudiences: audiences, limit: configuration.serviceAccountMaxTokenExpiration)
      }, logger: logger)
    endpoints = EndpointReconciler(registry: registry)
    identity = ServerIdentity(
      registry: registry, hostName: configuration.hostName.isEmpty ? ServerIdentity.hostName() : configuration.hostName)
    nodeAuthorizer = NodeAuthorizer(registry: registry)
    let setup = try AccessSetup(
      configuration, registry: registry, tokens: tokens, audiences: audiences, node: nodeAuthorizer, rbac: rbac,
      logger: logger)
    accessSetup = setup
    access = setup.metrics
    authenticator = setup.authenticator
    authorizer = setup.authorizer
    openAPI = OpenAPIDocuments(version: version)
    kubelets = KubeletProxy(registry: registry, configuration: configuration, logger: logger)
    registry.custom.follow { [discovery, openAPI] kinds in
      discovery.set("custom resources", kinds.discovery)
      openAPI.set(CustomOpenAPI(resources: kinds.all))
    }
    policyTypes = PolicyTypeCheck(registry: registry, logger: logger)
    auditor = try configuration.audit.auditor(logger: logger)
    pages = DebugPages(
      component: "kube-apiserver", version: String(configuration.gitVersion.dropFirst().prefix { $0 != "+" }),
      flags: configuration.flags, paths: health.paths + ["/metrics", "/version"], started: Time.now.description)
    flowControl =
      configuration.priorityAndFairness
      ? FlowControl(seats: configuration.maxRequestsInFlight + configuration.maxMutatingRequestsInFlight) : nil
    resourceMetrics =
      configuration.servesResourceMetrics
      ? ResourceMetrics(registry: registry, kubelets: kubelets, logger: logger) : nil
    aggregator = Aggregator(
      registry: registry, discovery: discovery, openAPI: openAPI, certificate: configuration.proxyClientCertificatePEM,
      key: configuration.proxyClientKeyPEM,
      local: resourceMetrics == nil ? [:] : [ResourceMetricsAPI.version: ResourceMetricsAPI.discovery], logger: logger)
    registry.access.set(authorizer, rbac: accessModes.contains("RBAC") ? rbac : nil)
    registerReviews()
    registerProxies()
    followers = setup.followers + certificateFollowers(configuration)
  }

  /// The store as the configuration has it encrypted, and who keeps an eye on that.
  private static func encrypted(
    _ storage: any Storage, _ configuration: APIServerConfiguration, _ logger: Logger
  ) throws -> (storage: any Storage, reloader: EncryptionReloader?) {
    guard let path = configuration.encryptionFile else { return (storage, nil) }
    guard let text = readWholeFile(path) else {
      throw EncryptionConfiguration.Problem(description: "cannot read \(path)")
    }
    let read: EncryptionConfiguration
    do { read = try EncryptionConfiguration(text) } catch {
      throw EncryptionConfiguration.Problem(description: "\(path): \(error)")
    }
    let encrypted = EncryptedStorage(storage, read, logger: logger)
    let reloader = EncryptionReloader(path: path, storage: encrypted, logger: logger)
    return (encrypted, configuration.reloadsEncryption ? reloader : nil)
  }

  // MARK: Life

  /// Fills the caches, makes what every cluster has, and serves. Returns the port.
  @discardableResult
  public func start() async throws -> Int {
    try await startWithoutListening()
    let address =
      configuration.unixSocket.map { HTTPServerConfiguration.Address.unix(path: $0) }
      ?? .tcp(host: configuration.bindAddress, port: configuration.port)
    var settings = HTTPServerConfiguration(address: address, group: group, logger: logger)
    settings.maxBodyBytes = configuration.maxRequestBodyBytes
    settings.tls = tlsOptions
    let server = HTTPServer(configuration: settings)
    let port = try await server.start(self)
    self.server.withLock { $0 = server }
    try await endpoints.reconcile()
    return port
  }

  /// As `start`, for a server that is reached in process only.
  public func startWithoutListening() async throws {
    health.begin("storage-readiness")
    try await registry.start()
    health.finish("storage-readiness")
    aggregator.follow()
    flowControl?.follow(registry)
    policyTypes.follow()
    if let flowControl {
      try await FlowControlKeeper(registry: registry, control: flowControl, logger: logger).ensure()
    }
    try await PublishedAuthentication(registry: registry, configuration: configuration).run()
    if accessModes.contains("Node") { nodeAuthorizer.follow() }
    guard accessModes.contains("RBAC") else { return }
    health.begin("poststarthook/rbac/bootstrap-roles")
    rbac.follow(registry)
    try await PolicyBootstrap(registry: registry).run()
    health.finish("poststarthook/rbac/bootstrap-roles")
  }

  /// Serves until the task is cancelled, then shuts down. Starts first unless `start` has run.
  public func run() async throws {
    if server.withLock({ $0 }) == nil { try await start() }
    await withDiscardingTaskGroup { group in
      group.addTask { await self.endpoints.run() }
      group.addTask { await self.identity.run() }
      group.addTask { await self.aggregator.run() }
      group.addTask { await self.policyTypes.run() }
      if let control = self.flowControl {
        group.addTask { await control.run() }
        group.addTask { [keeper = FlowControlKeeper(registry: self.registry, control: control, logger: self.logger)] in
          await keeper.run()
        }
      }
      if let metrics = self.resourceMetrics { group.addTask { await metrics.run() } }
      if let encryption = self.encryption { group.addTask { await encryption.run() } }
      for follower in self.followers { group.addTask { await follower.run() } }
      if let auditor = self.auditor { group.addTask { await auditor.run() } }
      group.addTask { await self.registry.repairServicesForEver() }
    }
    await shutdown()
  }

  /// Stops accepting, ends what is under way, and lets go of the registry.
  public func shutdown() async {
    health.shutDown()
    let server = server.withLock { s in
      defer { s = nil }
      return s
    }
    if server != nil {
      // The end comes by cancellation: in this task the store would refuse what is still to be written.
      await Task { [endpoints] in await endpoints.withdraw() }.value
    }
    await server?.shutdown(grace: .seconds(2))
    registry.stop()
    await registry.webhooks.shutdown()
    await accessSetup.shutdown()
    await auditor?.close()
    await kubelets.shutdown()
  }

  /// Serves new connections with another certificate.
  public func reload(servingCertificatePEM: String, servingKeyPEM: String) throws {
    guard let server = server.withLock({ $0 }), var options = tlsOptions else { return }
    options.certificateChainPEM = servingCertificatePEM
    options.privateKeyPEM = servingKeyPEM
    try server.reloadTLS(options)
  }

  private var tlsOptions: TLSOptions? {
    guard let certificate = configuration.servingCertificatePEM, let key = configuration.servingKeyPEM else {
      return nil
    }
    let verifiers = accessSetup.chainVerifiers
    return TLSOptions(
      certificateChainPEM: certificate, privateKeyPEM: key,
      verifyClient: verifiers.isEmpty ? nil : { @Sendable chain in verifiers.contains { $0(chain) } })
  }

  /// The types of authorizers there are.
  var accessModes: Set<String> { accessSetup.modes }

  // MARK: Requests

  public func handleSync(_ head: HTTPRequestHead) -> HTTPResponse? {
    let started = RequestMetrics.now()
    guard let found = authenticator.authenticateSync(head) else { return nil }
    if authorizer.asksOthers {
      let memo = AccessMemo()
      AccessMemo.$current.withValue(memo) { deliberate(head, user: nil, found: found) }
      if memo.isWaiting { return nil }
    }
    switch admit(head, found: found) {
    case .refused(let response, let info, let audit):
      if mayBeBehind(response) { return nil }
      access.count(refusal: response.status)
      return finish(response, info, head, started, audit)
    case .admitted(let request):
      return answerNow(request).map { response in
        access.count(request.asker)
        return finish(response, request.info, head, started, request.audit, flow: request.flow)
      }
    }
  }

  /// Answers that need no waiting and no body.
  func answerNow(_ request: Admitted) -> HTTPResponse? {
    if extensionServer(request.head) != nil || localAPI(request.info) != nil { return nil }
    guard request.info.isResource else {
      // What health is made of may have to be waited for.
      return HealthChecks.handles(request.head.path) ? nil : answerPath(request)
    }
    return registry.handleSync(resourceRequest(request, body: []))
  }

  public func handle(_ request: HTTPServerRequest) async -> HTTPResponse { await handle(request, user: nil) }

  func handle(_ request: HTTPServerRequest, user: UserInfo?) async -> HTTPResponse {
    let head = request.head
    let started = RequestMetrics.now()
    let admitted: Admitted
    switch await admitCaughtUp(head, user: user) {
    case .refused(let response, let info, let audit):
      access.count(refusal: response.status)
      return finish(response, info, head, started, audit)
    case .admitted(let value): admitted = value
    }
    access.count(admitted.asker)
    let (info, audit) = (admitted.info, admitted.audit)
    if request.bodyTooLarge {
      let problem = StatusError.requestEntityTooLarge("limit is \(configuration.maxRequestBodyBytes)")
      return finish(errorResponse(problem, head.headers, query: admitted.query), info, head, started, audit)
    }
    let flow = admitted.flow
    if info.isLongRunning { return finish(await answer(admitted, request), info, head, started, audit, flow: flow) }
    guard let pass = await enter(admitted) else {
      let problem = StatusError.tooManyRequests("Too many requests, please try again later.", retryAfter: 1)
      return finish(
        errorResponse(problem, head.headers, query: admitted.query), info, head, started, audit, flow: flow)
    }
    defer { leave(pass) }
    return finish(await answer(admitted, request), info, head, started, audit, flow: flow)
  }

  private func answer(_ admitted: Admitted, _ request: HTTPServerRequest) async -> HTTPResponse {
    if let response = request.body.isEmpty ? answerNow(admitted) : nil { return response }
    if let server = extensionServer(admitted.head) { return await forward(cleaned(admitted), request, to: server) }
    if let metrics = localAPI(admitted.info) { return await metrics.answer(resourceRequest(admitted, body: [])) }
    guard admitted.info.isResource else {
      let method = admitted.head.method
      if method == "GET" || method == "HEAD",
        let response = await health.answer(path: Self.path(admitted.head), query: admitted.query)
      {
        return response
      }
      return answerPath(admitted)
    }
    if isProxy(admitted.info) {
      do { return try await proxy(cleaned(admitted), request) } catch { return errorResponse(error) }
    }
    let resource = resourceRequest(admitted, body: request.body)
    return await registry.handle(resource)
  }

  func resourceRequest(_ request: Admitted, body: [UInt8]) -> ResourceRequest {
    var info = request.info
    var query = request.query
    // The deprecated /watch/ paths name one object by path where a watch names it by selector.
    if info.verb == "watch", info.parts.count > 1 {
      query.append(("fieldSelector", "metadata.name=\(info.name)"))
      info.parts = [info.resource]
    }
    var media = "application/json"
    if let given = request.head.headers["content-type"], given != media {
      let text = given.prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
      if !text.isEmpty { media = text }
    }
    var result = ResourceRequest(
      info: info, user: request.user, query: query, headers: request.head.headers, body: body,
      contentType: media, accept: request.head.headers["accept"] ?? "*/*")
    result.audit = request.audit
    return result
  }

  /// Puts the marks on a response that every response has, and counts it.
  private func finish(
    _ response: HTTPResponse, _ info: RequestInfo, _ head: HTTPRequestHead, _ started: UInt64, _ audit: AuditRecord?,
    flow: FlowClassifier.Flow? = nil
  ) -> HTTPResponse {
    var response = response
    if let flow {
      response.headers.add("x-kubernetes-pf-flowschema-uid", flow.schema.uid)
      response.headers.add("x-kubernetes-pf-prioritylevel-uid", flow.level.uid)
    }
    if let audit, let auditor { response = auditor.finish(audit, response) }
    response.headers.add("audit-id", audit?.id ?? head.headers["audit-id"] ?? Self.newAuditID())
    metrics.count(info, status: response.status, method: head.method, since: started)
    return response
  }

  static func newAuditID() -> String { auditIDs.withLock { UUIDText.make(using: &$0) } }

  /// Audit identifiers must differ, not be secret: they cost no system call each.
  private static let auditIDs = Mutex(SplitMix64(state: SystemRandomNumberGenerator.seed()))
}

/// Signs what the registry's token subresource asks for.
struct SigningTokenIssuer: TokenIssuer {
  let tokens: ServiceAccountTokens
  let defaultAudiences: [String]
  let limit: Int64

  func issue(_ claims: ServiceAccountTokenClaims) async throws -> (token: String, expiration: Time) {
    func reference(_ bound: ServiceAccountTokenClaims.Bound?, _ kind: String) -> ServiceAccountClaims.Reference? {
      guard let bound, bound.kind == kind else { return nil }
      return .init(name: bound.name, uid: bound.uid)
    }
    var seconds = claims.expirationSeconds
    if limit > 0 { seconds = min(seconds, limit) }
    let now = Time.now
    var generator = SystemRandomNumberGenerator()
    let id = UUIDText.make(using: &generator)
    // Kubelets ask for 3607 s: their tokens live a year for clients that never read them again, and a warning tells
    // when they should have been renewed.
    let extended = claims.bound?.kind == "Pod" && claims.expirationSeconds == 3607
    let made = ServiceAccountClaims(
      namespace: claims.namespace,
      serviceAccount: .init(name: claims.serviceAccountName, uid: claims.serviceAccountUID),
      audiences: claims.audiences, expirationSeconds: extended ? 365 * 86_400 : seconds, now: now, id: id,
      pod: reference(claims.bound, "Pod"), node: reference(claims.node, "Node") ?? reference(claims.bound, "Node"),
      secret: reference(claims.bound, "Secret"), warnAfterSeconds: extended ? seconds : nil)
    return (try tokens.sign(made), now.adding(seconds: seconds))
  }
}

/// Random identifiers in the usual form.
enum UUIDText {
  static func make(using generator: inout some RandomNumberGenerator) -> String {
    let digits = Array("0123456789abcdef".utf8)
    let words = (generator.next(), generator.next())
    var text: [UInt8] = []
    text.reserveCapacity(36)
    for index in 0..<32 {
      if index == 8 || index == 12 || index == 16 || index == 20 { text.append(UInt8(ascii: "-")) }
      let word = index < 16 ? words.0 : words.1
      var nibble = Int(word >> UInt64(60 - (index & 15) * 4) & 15)
      if index == 12 { nibble = 4 }
      if index == 16 { nibble = nibble & 3 | 8 }
      text.append(digits[nibble])
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// A small generator of numbers that are spread well and not secret.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension SystemRandomNumberGenerator {
  fileprivate static func seed() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}
