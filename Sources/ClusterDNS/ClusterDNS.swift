public import API
public import Client
public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// The cluster's name server: services, headless services, pods and reverse names from the API, everything else from the
/// machine's resolvers. It takes the place of CoreDNS, listening on the node and reached through the Service `kube-dns`.
public final class ClusterDNS: Sendable {
  /// Where it listens and what it answers for.
  public struct Configuration: Sendable {
    /// The cluster's domain.
    public var domain: String
    /// The address to bind, which other pods can reach: the node's.
    public var address: String
    /// The UDP and TCP port; 0 picks one.
    public var port: Int
    /// Resolvers for names outside the cluster, as addresses; loopback ones would not reach a machine's stub resolver
    /// from here any worse than from elsewhere, so they are kept.
    public var resolvers: [String]
    /// The address of the Service `kube-dns`; empty publishes nothing.
    public var serviceAddress: String
    /// The node that this is the DNS of; empty publishes nothing.
    public var nodeName: String
    /// Whether this instance makes the Service where it is missing: servers do, agents have no right to.
    public var makesService: Bool

    public init(
      domain: String = "cluster.local", address: String, port: Int = 10053, resolvers: [String], serviceAddress: String,
      nodeName: String = "", makesService: Bool = true
    ) {
      self.nodeName = nodeName
      self.makesService = makesService
      self.domain = domain
      self.address = address
      self.port = port
      self.resolvers = resolvers
      self.serviceAddress = serviceAddress
    }

    /// The name servers of a resolv.conf file's text.
    public static func resolvers(inFile text: String) -> [String] {
      text.split(separator: "\n").compactMap { line in
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
        return words.count > 1 && words[0] == "nameserver" ? String(words[1]) : nil
      }
    }
  }

  private let client: APIClient
  private let source: InformerSource
  private let configuration: Configuration
  private let group: any EventLoopGroup
  private let logger: Logger

  public init(
    client: APIClient, informers: InformerFactory, configuration: Configuration, group: any EventLoopGroup,
    logger: Logger
  ) {
    self.client = client
    self.configuration = configuration
    self.group = group
    self.logger = logger
    source = InformerSource(informers: informers)
  }

  /// Answers until the task is cancelled. Throws when the address cannot be bound.
  public func run() async throws {
    try await source.waitForSync()
    let resolvers = configuration.resolvers.compactMap { try? SocketAddress(ipAddress: $0, port: 53) }
    let forwarder = Forwarder(resolvers: resolvers)
    try await forwarder.start(group: group)
    let responder = Responder(
      zone: ClusterZone(domain: configuration.domain, source: source), forwarder: forwarder)
    let udp = try await DatagramBootstrap(group: group)
      .channelOption(.socketOption(.so_reuseaddr), value: 1)
      .channelInitializer { $0.pipeline.addHandler(DatagramHandler(responder: responder)) }
      .bind(host: configuration.address, port: configuration.port).get()
    let port = udp.localAddress?.port ?? configuration.port
    let tcp = try await ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(FrameDecoder()))
          try channel.pipeline.syncOperations.addHandler(StreamHandler(responder: responder))
        }
      }
      .bind(host: configuration.address, port: port).get()
    logger.info("cluster DNS answers", metadata: ["address": "\(configuration.address):\(port)"])
    await withTaskCancellationHandler {
      await publish(port: Int32(port))
    } onCancel: {
      udp.close(promise: nil)
      tcp.close(promise: nil)
    }
    try? await udp.closeFuture.get()
    try? await tcp.close().get()
    await forwarder.stop()
  }

  /// Makes and keeps the Service and its EndpointSlice; asks again each half minute, as somebody may delete them.
  private func publish(port: Int32) async {
    guard !configuration.serviceAddress.isEmpty, !configuration.nodeName.isEmpty else { return }
    let publication = Publication(
      client: client, source: source, serviceAddress: configuration.serviceAddress, nodeName: configuration.nodeName,
      address: configuration.address, port: port, makesService: configuration.makesService)
    var delay = Swift.Duration.milliseconds(200)
    while !Task.isCancelled {
      do {
        try await publication.reconcile()
        delay = .seconds(30)
      } catch let error as Publication.NotYet {
        logger.debug("the kube-dns service must wait", metadata: ["error": "\(error)"])
      } catch {
        logger.warning("the kube-dns service could not be written", metadata: ["error": "\(error)"])
        delay = min(max(delay * 2, .seconds(1)), .seconds(30))
      }
      try? await Task.sleep(for: delay)
    }
  }
}
