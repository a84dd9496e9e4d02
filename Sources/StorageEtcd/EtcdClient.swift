internal import GRPC
internal import Logging
internal import NIOCore
internal import Storage
internal import Synchronization

/// Calls to whichever member of one etcd answers, and what its errors mean.
///
///     call ── answer ───────────────────────────────────────▶ result
///       ├── nobody reached, or surely not looked at ─────────▶ next member, soon again … ▶ .unavailable
///       ├── lost on the way, repeatable ─────────────────────▶ again … ▶ .timeout
///       └── lost on the way, a write ────────────────────────▶ .timeout: the outcome is unknown
final class EtcdClient: Sendable {
  let channel: GRPCChannel
  let configuration: EtcdConfiguration
  let logger: Logger
  private let usesTLS: Bool
  /// The first one that answered; members of another cluster are refused.
  private let cluster = Atomic<UInt64>(0)
  /// The newest revision that any answer has shown.
  private let seen = Atomic<UInt64>(0)
  /// After how many losses of the connection a member was last seen to have a leader that answers.
  private let proven = Atomic<UInt64>(0)
  private let proof = SharedTask()
  /// Set once: why this store can no longer be used.
  private let broken = Mutex<String?>(nil)
  /// Members ask their clients for this where a member without a leader must say so instead of waiting for one.
  static let metadata: GRPCMetadata = ["hasleader": "true"]

  init(configuration: EtcdConfiguration, logger: Logger) throws {
    self.configuration = configuration
    self.logger = logger
    let (addresses, tls) = try configuration.addresses()
    usesTLS = tls
    channel = GRPCChannel(
      addresses: addresses, options: Self.options(configuration, tls: tls), logger: logger)
  }

  private static func options(_ configuration: EtcdConfiguration, tls: Bool) -> GRPCChannelOptions {
    var options = GRPCChannelOptions()
    options.maximumMessageSize = Int(Int32.max)
    options.connectTimeout = .seconds(2)
    options.prefaceTimeout = .seconds(5)
    options.baseBackoff = .milliseconds(50)
    options.maximumBackoff = .seconds(1)
    options.keepaliveInterval = .seconds(6)
    options.keepaliveTimeout = .seconds(4)
    options.userAgent = "apus"
    options.serverName = configuration.serverName
    if tls { options.tls = configuration.tls }
    return options
  }

  /// A channel to one of the members.
  func single(_ address: GRPCAddress) -> GRPCChannel {
    GRPCChannel(addresses: [address], options: Self.options(configuration, tls: usesTLS), logger: logger)
  }

  // MARK: Calls

  /// A call that may be made again when nobody knows what became of it.
  func read(_ method: String, _ message: [UInt8], timeout: Duration? = nil) async throws -> [UInt8] {
    try await call(method, message, within: timeout ?? configuration.readTimeout, repeatable: true)
  }

  /// A call that must not happen twice.
  ///
  /// On a new connection a read goes first: a member that has not yet noticed the end of its leader passes writes on to
  /// nobody, and their outcome is unknown for seconds; reads find out as soon as there is a new leader.
  func write(_ method: String, _ message: [UInt8]) async throws -> [UInt8] {
    if channel.losses != proven.load(ordering: .acquiring) {
      try await proof.run {
        let losses = self.channel.losses
        _ = try await self.presentRevision()
        self.proven.store(losses, ordering: .releasing)
      }
    }
    return try await call(method, message, within: configuration.writeTimeout, repeatable: false)
  }

  private func call(
    _ method: String, _ message: [UInt8], within timeout: Duration, repeatable: Bool
  ) async throws -> [UInt8] {
    let deadline = ContinuousClock.now + timeout
    var refusals = 0
    while true {
      try checkUsable()
      let address = channel.connectedAddress
      do {
        let left = deadline - .now
        return try await channel.unary(
          method, message, options: GRPCCallOptions(timeout: left, metadata: Self.metadata)
        ).message
      } catch let status as GRPCStatus {
        let failure = Failure(status)
        if case .refused = failure, let address, channel.addresses.count > 1 { channel.leave(address) }
        refusals += 1
        let pause = Duration.milliseconds(min(50 * refusals, 250))
        guard failure.mayRepeat(repeatable, refusals: refusals), .now + pause < deadline else {
          throw failure.error(repeatable)
        }
        logger.debug("etcd call is made again", metadata: ["method": "\(method)", "error": "\(status)"])
        try await Task.sleep(for: pause)
      }
    }
  }

  // MARK: Identity

  /// Refuses answers of another etcd than the one of the start.
  func check(_ header: ResponseHeader) throws {
    defer { seen.max(header.revision, ordering: .relaxed) }
    let (exchanged, known) = cluster.compareExchange(
      expected: 0, desired: header.cluster, ordering: .acquiringAndReleasing)
    guard !exchanged, known != header.cluster else { return }
    if let address = channel.connectedAddress { channel.leave(address) }
    throw StorageError.unavailable(
      "a member of etcd cluster \(String(header.cluster, radix: 16)) answered, this server's is "
        + "\(String(known, radix: 16))")
  }

  var seenRevision: Revision { seen.load(ordering: .relaxed) }

  func checkUsable() throws {
    if let reason = broken.withLock({ $0 }) { throw StorageError.unavailable(reason) }
  }

  /// From now on every call fails.
  func refuseAll(_ reason: String) {
    let isNews = broken.withLock { broken in
      defer { if broken == nil { broken = reason } }
      return broken == nil
    }
    if isNews { logger.critical("the store can no longer be used", metadata: ["reason": "\(reason)"]) }
  }
}

/// Work that all who want it at the same time do once.
actor SharedTask {
  private var running: Task<Void, any Error>?

  func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
    if let running { return try await running.value }
    // It must not end with the request of the first who wanted it.
    let task = Task {
      defer { running = nil }
      try await body()
    }
    running = task
    try await task.value
  }
}

/// What a status of etcd's means to who called.
enum Failure {
  /// Nobody was reached.
  case unreachable(String)
  /// A member answered that it cannot, and did not look at the request.
  case refused(String)
  /// Nobody knows what became of the call.
  case lost(String)
  case compacted
  case future
  case leaseGone
  case final(String)

  init(_ status: GRPCStatus) {
    let text = status.message
    func says(_ part: String) -> Bool { text.hasPrefix("etcdserver: " + part) }
    switch status.code {
    case _ where status.isUnprocessed: self = .unreachable(text)
    case .unavailable where says("no leader"), .resourceExhausted where says("too many requests"):
      self = .refused(text)
    case .unavailable, .deadlineExceeded, .cancelled, .internal, .unknown: self = .lost(text)
    case .outOfRange where text.contains("has been compacted"): self = .compacted
    case .outOfRange where text.contains("future revision"): self = .future
    case .notFound where text.contains("lease not found"): self = .leaseGone
    case .unauthenticated, .permissionDenied: self = .final("etcd refuses this server: \(text)")
    default: self = .final("etcd: \(text)")
    }
  }

  func mayRepeat(_ repeatable: Bool, refusals: Int) -> Bool {
    switch self {
    // Every address was tried: say so instead of letting requests pile up.
    case .unreachable: false
    case .refused: true
    case .lost: repeatable && refusals < 20
    case .compacted, .future, .leaseGone, .final: false
    }
  }

  func error(_ repeatable: Bool) -> any Error {
    switch self {
    case .unreachable(let text), .refused(let text): StorageError.unavailable(text)
    case .lost(let text): repeatable ? StorageError.unavailable(text) : StorageError.timeout(text)
    case .compacted: EtcdRefusal.compacted
    case .future: EtcdRefusal.future
    case .leaseGone: EtcdRefusal.leaseGone
    case .final(let text): StorageError.engine(text)
    }
  }
}

/// Refusals that the caller puts into the store's own words.
enum EtcdRefusal: Error {
  case compacted, future, leaseGone
}
