internal import GRPC
internal import NIOCore
public import NIOSSL
public import Storage

/// Where an etcd is and how it is used.
public struct EtcdConfiguration: Sendable {
  /// URLs of members: `https://host:2379` or, without TLS, `http://host:2379`. Whichever can be reached is used.
  public var endpoints: [String]
  /// For `https` endpoints: the authority, and what to show to the servers.
  public var tls: TLSConfiguration
  /// The name that the servers' certificates must have; each endpoint's own host by default.
  public var serverName: String?
  /// How keys and values lie in etcd.
  public var layout = EtcdLayout()
  /// How long to wait at the start for an etcd that answers.
  public var startTimeout: Duration = .seconds(10)
  /// How long a write may take; then its outcome is unknown.
  public var writeTimeout: Duration = .seconds(10)
  /// How long a read may take.
  public var readTimeout: Duration = .seconds(3)
  /// Seconds between automatic compactions, each to the revision of the one before; 0 switches them off.
  public var compactionInterval: Duration = .seconds(300)
  /// Events kept in memory for watches that start a little in the past; older ones come from etcd.
  public var recentEvents = 1024
  /// Keys a page when many are read.
  public var pageSize = 1000

  /// The defaults for some endpoints.
  public init(endpoints: [String], tls: TLSConfiguration = .makeClientConfiguration()) {
    self.endpoints = endpoints
    self.tls = tls
  }

  /// The addresses, and whether they are to be spoken to over TLS.
  func addresses() throws -> (addresses: [GRPCAddress], tls: Bool) {
    var addresses: [GRPCAddress] = []
    var schemes: Set<String> = []
    for endpoint in endpoints {
      var rest = Substring(endpoint)
      var scheme = "http"
      if let mark = endpoint.range(of: "://") {
        scheme = endpoint[..<mark.lowerBound].lowercased()
        rest = endpoint[mark.upperBound...]
      }
      guard scheme == "http" || scheme == "https" else {
        throw StorageError.engine("etcd endpoint \(endpoint): the scheme must be http or https")
      }
      schemes.insert(scheme)
      while rest.hasSuffix("/") { rest.removeLast() }
      var host = rest
      var port = 2379
      if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("]") {
        guard let number = Int(rest[rest.index(after: colon)...]), (1...65535).contains(number) else {
          throw StorageError.engine("etcd endpoint \(endpoint): no such port")
        }
        (host, port) = (rest[..<colon], number)
      }
      if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
      guard !host.isEmpty, !host.contains("/") else { throw StorageError.engine("etcd endpoint \(endpoint): no host") }
      addresses.append(.tcp(host: String(host), port: port))
    }
    guard !addresses.isEmpty else { throw StorageError.engine("no etcd endpoint is named") }
    guard schemes.count == 1 else {
      throw StorageError.engine("etcd endpoints must all begin with https://, or all with http://")
    }
    return (addresses, schemes == ["https"])
  }
}

extension String {
  /// The first place of a text; Foundation's is not used here.
  fileprivate func range(of text: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}
