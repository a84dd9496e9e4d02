import API
import APIMachinery
import HTTP
import Logging
import Synchronization

/// Where a webhook listens: a URL, or a Service of the cluster.
struct WebhookEndpoint: Sendable, Hashable {
  struct Service: Sendable, Hashable {
    var namespace: String
    var name: String
    var path: String
    var port: Int32
  }
  var url: String?
  var service: Service?
  /// Authorities for its certificate, as PEM; the machine's own when empty.
  var authorities: [UInt8] = []

  init(url: String? = nil, service: Service? = nil, authorities: [UInt8] = []) {
    self.url = url
    self.service = service
    self.authorities = authorities
  }

  init(_ config: WebhookClientConfig) {
    url = config.url
    service = config.service.map {
      Service(namespace: $0.namespace, name: $0.name, path: $0.path ?? "", port: $0.port ?? 443)
    }
    authorities = config.caBundle.bytes
  }

  init(_ config: ApiextensionsWebhookClientConfig) {
    url = config.url
    service = config.service.map {
      Service(namespace: $0.namespace, name: $0.name, path: $0.path ?? "", port: $0.port ?? 443)
    }
    authorities = config.caBundle.bytes
  }
}

/// Calls webhooks, keeping the connections to them.
final class WebhookCaller: Sendable {
  /// Why there was no answer.
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private struct Identity: Hashable {
    var authorities: [UInt8]
    var serverName: String?
  }

  private let clients = Mutex<[Identity: HTTPClient]>([:])
  private let logger: Logger
  private static let maxAnswer = 3 << 20

  init(logger: Logger) { self.logger = logger }

  /// Posts JSON and returns the JSON that comes back. Throws `Failure`.
  func call(
    _ endpoint: WebhookEndpoint, _ body: JSONValue, timeout: Duration, in registry: Registry
  ) async throws -> JSONValue {
    var serverName: String?
    let origin: HTTPOrigin
    let target: String
    let shown: String
    if let service = endpoint.service {
      serverName = "\(service.name).\(service.namespace).svc"
      target = service.path.hasPrefix("/") ? service.path : "/" + service.path
      shown = "https://\(serverName ?? ""):\(service.port)\(target)"
      do {
        let (host, port) = try ServiceBackends(registry: registry).find(
          namespace: service.namespace, name: service.name, port: service.port)
        origin = .https(host: host, port: port)
      } catch { throw Failure(description: "Post \"\(shown)\": \(error)") }
    } else {
      shown = endpoint.url ?? ""
      do { (origin, target) = try HTTPOrigin.parse(shown) } catch { throw Failure(description: "\(error)") }
    }
    var headers = HTTPFields()
    headers.add("content-type", "application/json")
    headers.add("accept", "application/json, */*")
    headers.add("user-agent", "kube-apiserver-admission")
    if let serverName { headers.add("host", serverName) }
    let parameters = "timeout=\(timeout.components.seconds)s"
    let request = HTTPClientRequest(
      method: "POST", origin: origin, target: target + (target.contains("?") ? "&" : "?") + parameters,
      headers: headers, body: .bytes(body.encoded()), timeout: timeout)
    let response: HTTPClientResponse
    do {
      response = try await client(endpoint.authorities, serverName).send(request)
    } catch {
      throw Failure(description: "Post \"\(shown)?\(parameters)\": \(Self.text(error))")
    }
    guard (200..<300).contains(response.status) else {
      let text = String(decoding: response.body.prefix(1024), as: UTF8.self)
      throw Failure(description: text.isEmpty ? "the server responded with the status code \(response.status)" : text)
    }
    guard response.body.count <= Self.maxAnswer else { throw Failure(description: "the response is too large") }
    do { return try JSONValue(parsing: response.body) } catch {
      throw Failure(description: "couldn't get version/kind; json parse error: \(error)")
    }
  }

  private static func text(_ error: any Error) -> String {
    if case HTTPClientError.timeout = error { return "context deadline exceeded" }
    return "\(error)"
  }

  private func client(_ authorities: [UInt8], _ serverName: String?) -> HTTPClient {
    clients.withLock { clients in
      let identity = Identity(authorities: authorities, serverName: serverName)
      if let client = clients[identity] { return client }
      var options = ClientTLSOptions(
        trustedCAPEM: authorities.isEmpty ? nil : String(decoding: authorities, as: UTF8.self))
      options.serverName = serverName
      let client = HTTPClient(configuration: HTTPClientConfiguration(tls: options, logger: logger))
      clients[identity] = client
      return client
    }
  }

  func shutdown() async {
    let all = clients.withLock { clients in
      defer { clients = [:] }
      return Array(clients.values)
    }
    for client in all { await client.shutdown() }
  }
}
