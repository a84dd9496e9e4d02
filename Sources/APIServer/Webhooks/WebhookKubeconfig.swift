import APIMachinery
import HTTP
import Logging

/// A kubeconfig file that says where a webhook of the server itself listens, and who calls: audit, authentication and
/// authorization webhooks are set up by one.
struct WebhookKubeconfig: Sendable {
  let server: String
  private let tls: ClientTLSOptions
  private let token: String?

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
    self.server = server
    var tls = ClientTLSOptions(trustedCAPEM: try pem(cluster, "certificate-authority"))
    tls.certificateChainPEM = try pem(user, "client-certificate")
    tls.privateKeyPEM = try pem(user, "client-key")
    tls.insecureSkipVerify = cluster?["insecure-skip-tls-verify"]?.boolValue ?? false
    if let name = cluster?["tls-server-name"]?.stringValue { tls.serverName = name }
    self.tls = tls
    token = user?["token"]?.stringValue
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
    if let token { headers.add("authorization", "Bearer " + token) }
    return HTTPClientRequest(
      method: "POST", origin: origin, target: target.isEmpty ? "/" : target, headers: headers, body: .bytes(body),
      timeout: timeout)
  }
}
