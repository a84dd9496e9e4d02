import APIMachinery
import HTTP
import Logging

/// A kubeconfig file that says where a webhook of the server itself listens, and who calls: audit, authentication and
/// authorization webhooks are set up by one.
struct WebhookKubeconfig: Sendable {
  let server: String
  private let tls: ClientTLSOptions
  private enum Credential: Sendable {
    case token(String)
    case file(String)
    case password(String, String)
  }
  private let credential: Credential?

  /// Reads the file. Throws where it names no server, or a file that cannot be read.
  init(path: String) throws {
    guard let bytes = readWholeFile(path) else { throw AuditPolicy.Malformed(description: "cannot read \(path)") }
    let tree = try JSONValue(parsing: yamlToJSON(bytes))
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    func named(_ list: String, _ name: String?, _ inner: String) -> JSONValue? {
      let entries = tree[list]?.arrayValue ?? []
      let entry = entries.first { name != nil && $0["name"]?.stringValue == name } ?? entries.first
      return entry?[inner]
    }
    let context = named("contexts", tree["current-context"]?.stringValue, "context")
    let cluster = named("clusters", context?["cluster"]?.stringValue, "cluster")
    let user = named("users", context?["user"]?.stringValue, "user")
    guard let server = cluster?["server"]?.stringValue else {
      throw AuditPolicy.Malformed(description: "\(path): no cluster with a server")
    }
    func pem(_ value: JSONValue?, _ name: String) throws -> String? {
      if let data = value?[name + "-data"]?.stringValue {
        return Base64Bytes(base64: data).map { String(decoding: $0.bytes, as: UTF8.self) }
      }
      guard let file = value?[name]?.stringValue, !file.isEmpty else { return nil }
      let full = file.hasPrefix("/") ? file : directory + file
      guard let bytes = readWholeFile(full) else { throw AuditPolicy.Malformed(description: "cannot read \(full)") }
      return String(decoding: bytes, as: UTF8.self)
    }
    var tls = ClientTLSOptions(trustedCAPEM: try pem(cluster, "certificate-authority"))
    tls.certificateChainPEM = try pem(user, "client-certificate")
    tls.privateKeyPEM = try pem(user, "client-key")
    tls.insecureSkipVerify = cluster?["insecure-skip-tls-verify"]?.boolValue ?? false
    if let name = cluster?["tls-server-name"]?.stringValue { tls.serverName = name }
    self.server = server
    self.tls = tls
    if let token = user?["token"]?.stringValue {
      credential = .token(token)
    } else if let file = user?["tokenFile"]?.stringValue {
      credential = .file(file.hasPrefix("/") ? file : directory + file)
    } else if let name = user?["username"]?.stringValue {
      credential = .password(name, user?["password"]?.stringValue ?? "")
    } else {
      credential = nil
    }
  }

  /// The API server of the cluster in whose pod this process runs.
  static func inCluster(_ environment: (String) -> String?) throws -> WebhookKubeconfig {
    guard let host = environment("KUBERNETES_SERVICE_HOST"), let port = environment("KUBERNETES_SERVICE_PORT"),
      !host.isEmpty, !port.isEmpty
    else {
      throw AuditPolicy.Malformed(
        description: "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT "
          + "must be defined")
    }
    let directory = "/var/run/secrets/kubernetes.io/serviceaccount/"
    guard let authority = readWholeFile(directory + "ca.crt") else {
      throw AuditPolicy.Malformed(description: "cannot read \(directory)ca.crt")
    }
    return WebhookKubeconfig(
      server: "https://\(host.contains(":") ? "[\(host)]" : host):\(port)",
      tls: ClientTLSOptions(trustedCAPEM: String(decoding: authority, as: UTF8.self)),
      credential: .file(directory + "token"))
  }

  private init(server: String, tls: ClientTLSOptions, credential: Credential?) {
    self.server = server
    self.tls = tls
    self.credential = credential
  }

  /// What the request says of who asks, beside a certificate.
  private var authorization: String? {
    switch credential {
    case .token(let token): return "Bearer " + token
    case .file(let path):
      // Tokens in files are renewed.
      return readWholeFile(path).map { "Bearer " + String(decoding: $0, as: UTF8.self).trimmingSpaces }
    case .password(let name, let password):
      return "Basic " + Base64Bytes(Array("\(name):\(password)".utf8)).base64
    case nil: return nil
    }
  }

  func client(logger: Logger) -> HTTPClient {
    HTTPClient(configuration: HTTPClientConfiguration(tls: tls, logger: logger))
  }

  /// A request with a JSON body.
  func request(_ body: [UInt8], timeout: Duration) throws -> HTTPClientRequest {
    let (origin, target) = try HTTPOrigin.parse(server)
    var headers = HTTPFields()
    headers.add("content-type", "application/json")
    headers.add("accept", "application/json")
    if let authorization { headers.add("authorization", authorization) }
    return HTTPClientRequest(
      method: "POST", origin: origin, target: target.isEmpty ? "/" : target, headers: headers, body: .bytes(body),
      timeout: timeout)
  }
}
