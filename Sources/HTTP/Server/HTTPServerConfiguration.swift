public import Logging
public import NIOCore
import NIOPosix

/// Where and how to serve.
public struct HTTPServerConfiguration: Sendable {
  public enum Address: Sendable, Hashable {
    /// Port 0 takes any free port; `start` returns which.
    case tcp(host: String, port: Int)
    /// A socket file; one left over from an earlier process is removed first.
    case unix(path: String)
  }

  public var address: Address
  /// Nil serves plain HTTP/1.1.
  public var tls: TLSOptions?
  public var group: any EventLoopGroup
  public var logger: Logger
  /// Bodies beyond this are dropped and the handler is told so.
  public var maxBodyBytes = 3 * 1024 * 1024
  /// All header fields of a request together.
  public var maxHeaderBytes = 256 * 1024
  /// How long a connection may stand without a request.
  public var idleTimeout = TimeAmount.seconds(90)
  /// How long a handshake, a header block or a collected body may take.
  public var readTimeout = TimeAmount.seconds(32)
  /// How long a peer may take nothing while something waits for it.
  public var writeTimeout = TimeAmount.seconds(120)
  public var maxConcurrentStreams = 250
  /// PING, SETTINGS and PRIORITY frames in 30 seconds. Go peers ping as data arrives, so NIO's 200 is too few.
  public var maxControlFrames = 20_000
  /// RST_STREAM frames in 30 seconds. A client that ends watches and probes sends them in good faith.
  public var maxResetFrames = 2_000
  /// How much a streamed body may queue before its writer waits.
  public var streamBufferBytes = 512 * 1024

  public init(
    address: Address, tls: TLSOptions? = nil, group: (any EventLoopGroup)? = nil,
    logger: Logger = Logger(label: "http")
  ) {
    self.address = address
    self.tls = tls
    self.group = group ?? MultiThreadedEventLoopGroup.singleton
    self.logger = logger
  }
}
