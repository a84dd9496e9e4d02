import API
import Client
import Logging
import PKI

/// How an agent comes to be a member of a cluster: by a token the first time, by what it keeps on disk afterwards.
struct Membership: Sendable {
  let authority: String
  let servers: [String]
  let identity: IssuedCertificate

  struct Request: Sendable {
    var nodeName: String
    var servers: [String] = []
    var token: JoinToken?
    var pin: String?
  }

  static func establish(_ request: Request, _ store: AgentStore, logger: Logger) async throws -> Membership {
    try store.prepare()
    if let member = try remembered(request, store, logger: logger) { return member }
    guard !request.servers.isEmpty, let token = request.token, let pin = request.pin else {
      throw AgentError(
        "this machine is not a member of a cluster yet: --server, --token and --ca-hash join it to one "
          + "(\"apus token create\" on a server prints them)")
    }
    let authority = try await Discovery(servers: request.servers, token: token, pin: pin, logger: logger).authority()
    var access = ClusterAccess(servers: request.servers)
    access.certificateAuthority = Array(authority.utf8)
    access.token = token.text
    let transport = try HTTPTransport(access)
    let client = APIClient(transport: transport, userAgent: "apus/\(Version.git)")
    let identity: IssuedCertificate
    do {
      identity = try await CertificateRequester(client: client, nodeName: request.nodeName).clientCertificate()
    } catch let error as StatusError where error.code == 401 {
      await transport.shutdown()
      throw AgentError("the token \(token.id) is not accepted: it has expired, or may not be used to join")
    }
    await transport.shutdown()
    try store.save(authority: authority)
    try store.save(servers: request.servers)
    // Last: what stands in it makes the next start a member's.
    try store.save(identity, as: .client)
    logger.info("joined the cluster", metadata: ["node": "\(request.nodeName)"])
    return Membership(authority: authority, servers: request.servers, identity: identity)
  }

  /// The membership that an earlier start left; nil when there is none, or none that is still good.
  private static func remembered(_ request: Request, _ store: AgentStore, logger: Logger) throws -> Membership? {
    guard let authority = store.authority, let identity = store.pair(.client),
      let info = try? CertificateInfo(pem: identity.certificatePEM)
    else { return nil }
    if let pin = request.pin, try CertificateInfo(pem: authority).pin != pin.lowercased() {
      throw AgentError(
        "\(store.directory) belongs to another cluster than the one that --ca-hash names: remove it to join this one")
    }
    let name = "system:node:\(request.nodeName)"
    guard info.commonName == name else {
      throw AgentError(
        "\(store.directory) is the membership of \(info.commonName), not of \(name): start with the old --node-name, or "
          + "remove it to join anew")
    }
    guard info.isValid(at: .now) else {
      logger.warning("the node's certificate has expired", metadata: ["at": "\(info.notAfter)"])
      if request.token == nil {
        throw AgentError("the node's certificate expired at \(info.notAfter): join again with --token and --ca-hash")
      }
      return nil
    }
    let known = try store.servers
    let servers = known + request.servers.filter { !known.contains($0) }
    guard !servers.isEmpty else { throw AgentError("\(store.directory)/servers is empty: name one with --server") }
    return Membership(authority: authority, servers: servers, identity: identity)
  }

  /// A transport with the node's identity.
  func transport() throws -> HTTPTransport {
    var access = ClusterAccess(servers: servers)
    access.certificateAuthority = Array(authority.utf8)
    access.clientCertificate = Array(identity.certificatePEM.utf8)
    access.clientKey = Array(identity.privateKeyPEM.utf8)
    return try HTTPTransport(access)
  }
}
