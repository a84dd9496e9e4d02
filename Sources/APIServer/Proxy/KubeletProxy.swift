import API
import APIMachinery
import APIMeta
import HTTP
import Logging
import NIOCore

/// Reaches kubelets, and what runs behind them, for logs, exec and proxies.
final class KubeletProxy: Sendable {
  private let registry: Registry
  private let preferred: [String]
  /// For kubelets: identified by this server's client certificate.
  let kubelet: HTTPClient
  /// For pods, services and URLs: no identity, any certificate, as upstream's proxy transport.
  let plain: HTTPClient

  init(registry: Registry, configuration: APIServerConfiguration, logger: Logger) {
    self.registry = registry
    preferred = configuration.kubeletPreferredAddressTypes
    var options = ClientTLSOptions(
      trustedCAPEM: configuration.kubeletCAPEM, certificateChainPEM: configuration.kubeletClientCertificatePEM,
      privateKeyPEM: configuration.kubeletClientKeyPEM)
    options.insecureSkipVerify = configuration.kubeletCAPEM == nil
    var settings = HTTPClientConfiguration(tls: options, logger: logger)
    // Streams that upgrade need HTTP/1.1 anyhow, and logs are one connection each.
    settings.http2 = false
    kubelet = HTTPClient(configuration: settings)
    var open = HTTPClientConfiguration(tls: ClientTLSOptions(insecureSkipVerify: true), logger: logger)
    open.http2 = false
    plain = HTTPClient(configuration: open)
  }

  func shutdown() async {
    await kubelet.shutdown()
    await plain.shutdown()
  }

  /// Where a node's kubelet listens.
  func origin(node name: String) throws -> HTTPOrigin {
    guard let node = registry.object(Node.self, name: name) else {
      throw StatusError.notFound(Node.groupResource, name)
    }
    let port = Int(node.status.daemonEndpoints.kubeletEndpoint.Port)
    for type in preferred {
      if let address = node.status.addresses.first(where: { $0.type == type })?.address {
        // A host name need not resolve from here; where the node has an address as well, that one is sure.
        if type == "Hostname", node.status.addresses.contains(where: { $0.type == "InternalIP" }) { continue }
        return .https(host: address, port: port == 0 ? 10250 : port)
      }
    }
    throw StatusError.internalError("no preferred addresses found; known addresses: []")
  }

  /// The pod a request is about, and its node's kubelet.
  func pod(_ info: RequestInfo) throws -> (pod: Pod, kubelet: HTTPOrigin) {
    guard let pod = registry.object(Pod.self, namespace: info.namespace, name: info.name) else {
      throw StatusError.notFound(Pod.groupResource, info.name)
    }
    guard !pod.spec.nodeName.isEmpty else {
      throw StatusError.badRequest("pod \(info.name) does not have a host assigned")
    }
    return (pod, try origin(node: pod.spec.nodeName))
  }

  /// The container that a log or exec is about: the one named, the annotated default, or the only one.
  func container(_ pod: Pod, _ query: [(String, String)]) throws -> String {
    let all =
      pod.spec.containers.map(\.name) + pod.spec.initContainers.map(\.name) + pod.spec.ephemeralContainers.map(\.name)
    if let named = query.first(where: { $0.0 == "container" })?.1, !named.isEmpty {
      guard all.contains(named) else {
        throw StatusError.badRequest("container \(named) is not valid for pod \(pod.metadata.name)")
      }
      return named
    }
    if let usual = pod.metadata.annotations["kubectl.kubernetes.io/default-container"], all.contains(usual) {
      return usual
    }
    guard pod.spec.containers.count == 1 else {
      var message = "a container name must be specified for pod \(pod.metadata.name), choose one of: "
      message += "[\(pod.spec.containers.map(\.name).joined(separator: " "))]"
      if !pod.spec.initContainers.isEmpty {
        message += " or one of the init containers: [\(pod.spec.initContainers.map(\.name).joined(separator: " "))]"
      }
      throw StatusError.badRequest(message)
    }
    return pod.spec.containers[0].name
  }

  /// A service's backend, one of the ready ones: `[scheme:]name[:port]`.
  func service(_ info: RequestInfo) throws -> HTTPOrigin {
    let (scheme, name, port) = try Self.split(info.name, "service")
    guard let service = registry.object(Service.self, namespace: info.namespace, name: name) else {
      throw StatusError.notFound(Service.groupResource, name)
    }
    let chosen = service.spec.ports.first {
      port.isEmpty ? service.spec.ports.count == 1 : $0.name == port || String($0.port) == port
    }
    guard let chosen else {
      throw StatusError.serviceUnavailable("no service port \(goQuoted(port)) found for service \(goQuoted(name))")
    }
    let backends = ServiceBackends(registry: registry)
    let ready = ServiceBackends.ready(backends.slices(info.namespace, name), port: chosen.name)
    guard let backend = ready.randomElement() else {
      throw StatusError.serviceUnavailable("no endpoints available for service \(goQuoted(name))")
    }
    let origin = scheme == "https" ? HTTPOrigin.https : HTTPOrigin.http
    return origin(backend.host, backend.port)
  }

  /// A pod's port: `[scheme:]name[:port]`, by default the first that a container declares.
  func podOrigin(_ info: RequestInfo) throws -> HTTPOrigin {
    let (scheme, name, port) = try Self.split(info.name, "pod")
    guard let pod = registry.object(Pod.self, namespace: info.namespace, name: name) else {
      throw StatusError.notFound(Pod.groupResource, name)
    }
    guard !pod.status.podIP.isEmpty else { throw StatusError.badRequest("address not allowed") }
    let ports = pod.spec.containers.flatMap(\.ports)
    let declared = port.isEmpty ? ports.first : ports.first { $0.name == port }
    let number = declared.map { Int($0.containerPort) } ?? Int(port) ?? (scheme == "https" ? 443 : 80)
    return scheme == "https"
      ? .https(host: pod.status.podIP, port: number) : .http(host: pod.status.podIP, port: number)
  }

  /// A node's kubelet, or another port of the node.
  func nodeOrigin(_ info: RequestInfo) throws -> (HTTPOrigin, HTTPClient) {
    let (scheme, name, port) = try Self.split(info.name, "node")
    let own = try origin(node: name)
    guard case .https(let host, let number) = own else { return (own, kubelet) }
    guard !port.isEmpty, let wanted = Int(port), wanted != number else { return (own, kubelet) }
    return (scheme == "https" ? .https(host: host, port: wanted) : .http(host: host, port: wanted), plain)
  }

  static func split(_ id: String, _ what: String) throws -> (scheme: String, name: String, port: String) {
    let parts = id.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    switch parts.count {
    case 1: return ("", parts[0], "")
    case 2: return ("", parts[0], parts[1])
    case 3 where ["", "http", "https"].contains(parts[0]): return (parts[0], parts[1], parts[2])
    default: throw StatusError.badRequest("invalid \(what) request \(goQuoted(id))")
    }
  }
}
