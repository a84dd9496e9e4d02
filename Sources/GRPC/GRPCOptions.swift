public import NIOCore
import NIOHTTP2
public import NIOSSL

/// Where a server is.
public enum GRPCAddress: Sendable, Hashable, CustomStringConvertible {
  case unix(path: String)
  case tcp(host: String, port: Int)

  /// As grpc-go writes targets.
  public var description: String {
    switch self {
    case .unix(let path): "unix://\(path)"
    case .tcp(let host, let port): "\(host):\(port)"
    }
  }
}

/// How a channel connects and what it accepts.
public struct GRPCChannelOptions: Sendable {
  /// Larger answers fail with ResourceExhausted. The default is the kubelet's for CRI.
  public var maximumMessageSize = 16 * 1024 * 1024
  /// How long one attempt to connect may take.
  public var connectTimeout: Duration = .seconds(5)
  /// How long a server may then take for TLS and its first words.
  public var prefaceTimeout: Duration = .seconds(20)
  /// The pause after the first failed attempt; it grows by 1.6 for each further one.
  public var baseBackoff: Duration = .milliseconds(100)
  /// The longest pause between attempts.
  public var maximumBackoff: Duration = .seconds(3)
  /// The `user-agent` of the calls.
  public var userAgent = "apus-grpc"
  /// The `:authority` of the calls; without it "localhost" for unix sockets, else host and port.
  public var authority: String?
  /// TLS for TCP addresses; nil means plain text.
  public var tls: TLSConfiguration?
  /// The name that the server's certificate must have; the address's host by default.
  public var serverName: String?
  /// After this long the connection is probed with a ping, as long as calls are under way; nil: never. Servers in Go
  /// refuse those who ask more often than every five seconds.
  public var keepaliveInterval: Duration?
  /// A ping that is not answered for so long ends the connection.
  public var keepaliveTimeout: Duration = .seconds(10)
  /// Metadata that goes with every call.
  public var metadata: GRPCMetadata = [:]

  /// The defaults.
  public init() {}
}

/// What one call asks for beside its message.
public struct GRPCCallOptions: Sendable {
  /// Sent before the messages.
  public var metadata: GRPCMetadata
  /// After this the call fails with DeadlineExceeded; it counts from before the connection is made.
  public var timeout: Duration?
  /// Wait for the server to come up (until the timeout) where the call would fail with Unavailable.
  public var waitForReady: Bool

  /// Makes options.
  public init(timeout: Duration? = nil, metadata: GRPCMetadata = [:], waitForReady: Bool = false) {
    self.timeout = timeout
    self.metadata = metadata
    self.waitForReady = waitForReady
  }
}

enum HTTP2Tuning {
  /// Go peers ping on every burst of data to measure the bandwidth; the library's own limit of 200 control frames
  /// in half a minute answers that with GOAWAY.
  static var connection: NIOHTTP2Handler.ConnectionConfiguration {
    var configuration = NIOHTTP2Handler.ConnectionConfiguration()
    configuration.initialSettings = [
      HTTP2Setting(parameter: .maxConcurrentStreams, value: 1024),
      HTTP2Setting(parameter: .maxHeaderListSize, value: HPACKLimits.maximumHeaderListSize),
      HTTP2Setting(parameter: .initialWindowSize, value: window),
    ]
    configuration.targetWindowSize = 4 * window
    configuration.controlFrameRateLimit.maximumCount = 1_000_000
    configuration.controlFrameRateLimit.windowLength = .seconds(1)
    configuration.maximumSequentialEmptyDataFrames = 100
    return configuration
  }

  static var stream: NIOHTTP2Handler.StreamConfiguration {
    var configuration = NIOHTTP2Handler.StreamConfiguration()
    configuration.targetWindowSize = window
    configuration.streamResetFrameRateLimit.maximumCount = 100_000
    configuration.streamErrorRateLimit.maximumCount = 100_000
    return configuration
  }

  private static let window = 1024 * 1024
}

enum HPACKLimits {
  static let maximumHeaderListSize = 64 * 1024
}
