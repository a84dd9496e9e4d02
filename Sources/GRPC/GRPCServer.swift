public import Logging
public import NIOCore
import NIOHTTP2
public import NIOPosix
public import NIOSSL
import Synchronization

/// The methods a server answers, by path (`/package.Service/Method`).
public struct GRPCRoutes: Sendable {
  typealias Handler = @Sendable (GRPCServerCall) async throws -> Void
  private var handlers: [String: Handler] = [:]
  private var services: Set<String> = []

  /// No methods yet.
  public init() {}

  /// A method with one message each way.
  public mutating func unary(
    _ method: String, _ body: @escaping @Sendable ([UInt8], GRPCServerContext) async throws -> [UInt8]
  ) {
    stream(method) { call in
      guard let request = try await call.receive() else {
        throw GRPCStatus(.internal, "cardinality violation: received no request message from non-client-streaming RPC")
      }
      try await call.send(try await body(request, call.context))
    }
  }

  /// A method whose messages go in any number and order; the call ends when `body` returns (OK) or throws.
  public mutating func stream(_ method: String, _ body: @escaping @Sendable (GRPCServerCall) async throws -> Void) {
    handlers[method] = body
    services.insert(GRPCRoutes.split(method).service)
  }

  func handler(_ method: String) -> Handler? { handlers[method] }

  func unknown(_ method: String) -> GRPCStatus {
    let (service, name) = GRPCRoutes.split(method)
    return GRPCStatus(
      .unimplemented,
      services.contains(service) ? "unknown method \(name) for service \(service)" : "unknown service \(service)")
  }

  private static func split(_ method: String) -> (service: String, name: String) {
    let parts = method.split(separator: "/", maxSplits: 1)
    return (parts.first.map(String.init) ?? "", parts.count > 1 ? String(parts[1]) : "")
  }
}

/// A gRPC server on a unix socket or a TCP port.
public final class GRPCServer: Sendable {
  private struct Guarded {
    var listener: (any Channel)?
    var connections: [ObjectIdentifier: any Channel] = [:]
  }

  private let routes: GRPCRoutes
  private let maximumMessageSize: Int
  private let group: any EventLoopGroup
  private let logger: Logger
  private let guarded = Mutex(Guarded())

  /// Makes a server; it does not listen yet. `maximumMessageSize` bounds what clients may send.
  public init(
    routes: GRPCRoutes, maximumMessageSize: Int = 4 * 1024 * 1024,
    group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger = Logger(label: "grpc")
  ) {
    self.routes = routes
    self.maximumMessageSize = maximumMessageSize
    self.group = group
    self.logger = logger
  }

  /// Listens; returns the address with the port that was bound. A socket file left by an earlier process is replaced.
  @discardableResult
  public func start(_ address: GRPCAddress, tls: TLSConfiguration? = nil) async throws -> GRPCAddress {
    let sslContext = try tls.map { configuration in
      var configuration = configuration
      configuration.applicationProtocols = ["h2"]
      return try NIOSSLContext(configuration: configuration)
    }
    let routes = routes
    let maximumMessageSize = maximumMessageSize
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { [weak self] channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let sslContext { try pipeline.addHandler(NIOSSLServerHandler(context: sslContext)) }
          _ = try pipeline.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: HTTP2Tuning.connection, streamConfiguration: HTTP2Tuning.stream
          ) { stream in
            stream.eventLoop.makeCompletedFuture {
              try stream.syncOptions?.setOption(.autoRead, value: false)
              try stream.pipeline.syncOperations.addHandler(
                ServerStreamHandler(routes: routes, maximumMessageSize: maximumMessageSize))
            }
          }
          self?.track(channel)
        }
      }
    let listener: any Channel
    switch address {
    case .unix(let path):
      listener = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
    case .tcp(let host, let port): listener = try await bootstrap.bind(host: host, port: port).get()
    }
    guarded.withLock { $0.listener = listener }
    if case .tcp(let host, _) = address, let port = listener.localAddress?.port { return .tcp(host: host, port: port) }
    return address
  }

  /// Stops listening and ends every connection; calls in progress are cancelled.
  public func shutdown() async {
    let (listener, connections) = guarded.withLock { guarded in
      defer { guarded = Guarded() }
      return (guarded.listener, Array(guarded.connections.values))
    }
    try? await listener?.close()
    for connection in connections { try? await connection.close() }
  }

  private func track(_ channel: any Channel) {
    let id = ObjectIdentifier(channel)
    guarded.withLock { $0.connections[id] = channel }
    channel.closeFuture.whenComplete { [weak self] _ in
      self?.guarded.withLock { _ = $0.connections.removeValue(forKey: id) }
    }
  }
}
