import API
import Client
import Logging
import PKI
import Yams

/// Learns whom to trust from a server that is not trusted yet: reads `kube-public/cluster-info` without checking the
/// server, and believes it only when its CA has the pinned key and the text is signed with the token.
struct Discovery: Sendable {
  let servers: [String]
  let token: JoinToken
  /// `sha256:<hex of the SubjectPublicKeyInfo>`
  let pin: String
  let logger: Logger
  /// How long a server may take to come up, and how long the signer to sign with a new token.
  var patience: Duration = .seconds(60)
  var signingPatience: Duration = .seconds(5)

  /// The CA's certificates, PEM.
  func authority() async throws -> String {
    var access = ClusterAccess(servers: servers)
    // What is read is checked by the pin and the signature instead.
    access.insecureSkipVerify = true
    let transport = try HTTPTransport(access)
    defer { Task { await transport.shutdown() } }
    let client = APIClient(transport: transport, userAgent: "apus/\(Version.git)")
    let clock = ContinuousClock()
    let start = clock.now
    var said = false
    while true {
      let problem: AgentError
      var limit = patience
      do {
        let map = try await client.get(ConfigMap.self, namespace: "kube-public", name: "cluster-info")
        switch try Self.check(map.data, token, pin) {
        case .trusted(let authority): return authority
        case .unsigned(let reason):
          problem = AgentError(reason)
          limit = signingPatience
        }
      } catch let error as AgentError {
        throw error
      } catch let error as StatusError {
        problem = AgentError("the cluster does not publish kube-public/cluster-info: \(error.message)")
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        problem = AgentError("no server can be reached (\(servers.joined(separator: ", "))): \(error)")
      }
      guard clock.now - start < limit else { throw problem }
      if !said { logger.info("waiting for the cluster", metadata: ["reason": "\(problem)"]) }
      said = true
      try await Task.sleep(for: .milliseconds(500))
    }
  }

  enum Verdict: Equatable {
    case trusted(String)
    /// Not signed with the token: the signer may not have come to it yet.
    case unsigned(String)
  }

  /// Judges what was read.
  static func check(_ data: [String: String], _ token: JoinToken, _ pin: String) throws -> Verdict {
    guard let text = data["kubeconfig"], !text.isEmpty else {
      throw AgentError("cluster-info holds no kubeconfig")
    }
    let cluster = try? Yams.compose(yaml: text)?["clusters"]?.sequence?.first?["cluster"]
    guard let encoded = cluster?["certificate-authority-data"]?.string,
      let bytes = Base64Bytes(base64: String(encoded.filter { !$0.isWhitespace }))
    else { throw AgentError("cluster-info names no certificate authority") }
    let authority = String(decoding: bytes.bytes, as: UTF8.self)
    let pins = try certificates(authority).map { try CertificateInfo(pem: $0).pin }
    guard pins.contains(pin.lowercased()) else {
      throw AgentError(
        "the cluster's CA is not the one that --ca-hash names: the server has \(pins.joined(separator: ", ")), "
          + "expected \(pin). Somebody may stand between this machine and the cluster, or the hash is another cluster's"
      )
    }
    guard let signature = data["jws-kubeconfig-\(token.id)"] else {
      return .unsigned(
        "the token \(token.id) is not valid for this cluster: it is unknown or has expired "
          + "(\"apus token create\" on a server makes a new one)")
    }
    guard DetachedSignature.isValid(signature, of: text, tokenID: token.id, tokenSecret: token.secret) else {
      throw AgentError("the secret part of the token \(token.id) is wrong: cluster-info is signed with another one")
    }
    return .trusted(authority)
  }

  private static func certificates(_ pem: String) -> [String] {
    var found: [String] = []
    var current: [Substring] = []
    for line in pem.split(separator: "\n") {
      if line.hasPrefix("-----BEGIN CERTIFICATE") { current = [] }
      current.append(line)
      if line.hasPrefix("-----END CERTIFICATE") { found.append(current.joined(separator: "\n") + "\n") }
    }
    return found
  }
}
