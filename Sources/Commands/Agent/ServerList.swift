import API
import Client
import Logging

/// Follows the endpoints of the Service `kubernetes`: these are the servers. Requests go to them, and the next start
/// begins with them.
struct ServerList: Sendable {
  let store: AgentStore
  let transport: HTTPTransport
  let nodeName: String
  /// Those named on the command line, which may be a load balancer's.
  let named: [String]
  let informers: InformerFactory
  let logger: Logger

  func run() async throws {
    let (changes, changed) = AsyncStream<[String]>.makeStream(bufferingPolicy: .bufferingNewest(1))
    informers.informer(EndpointSlice.self).addHandler { event in
      guard event.object.metadata.namespace == "default", event.object.metadata.name == "kubernetes" else { return }
      if case .deleted = event { return }
      changed.yield(Self.urls(event.object))
    }
    for await found in changes where !found.isEmpty {
      let wanted = Self.order(found, named: named, node: nodeName)
      guard wanted != transport.servers else { continue }
      try transport.setServers(wanted)
      try store.save(servers: wanted)
      logger.info("servers", metadata: ["servers": "\(wanted.joined(separator: ","))"])
    }
  }

  static func urls(_ slice: EndpointSlice) -> [String] {
    let port = slice.ports.first { $0.name == "https" }?.port ?? slice.ports.first?.port ?? 6443
    return slice.endpoints.filter { $0.conditions.ready != false }.flatMap(\.addresses).map {
      "https://" + ($0.contains(":") ? "[\($0)]" : $0) + ":\(port)"
    }
  }

  /// The order in which a node tries the servers: each node begins with another one, so that they share the work, and
  /// what was named by hand comes last.
  static func order(_ found: [String], named: [String], node: String) -> [String] {
    let servers = Set(found).sorted()
    guard !servers.isEmpty else { return named }
    let hash = node.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    let first = Int(hash % UInt64(servers.count))
    return Array(servers[first...] + servers[..<first]) + named.filter { !servers.contains($0) }
  }
}
