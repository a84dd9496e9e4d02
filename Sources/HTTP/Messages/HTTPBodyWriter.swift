import DequeModule
public import NIOCore
import Synchronization

/// The peer went away, or the body was already finished.
public struct HTTPStreamClosed: Error, CustomStringConvertible {
  public var description: String { "http: stream closed" }
  public init() {}
}

/// The producing end of a streamed body: a bounded queue that the connection drains as the peer takes it.
public struct HTTPBodyWriter: Sendable {
  let queue: OutboundQueue

  /// A writer whose output goes to `sink` instead of a connection, for in-process use. The sink is called in order;
  /// nil is the end.
  public init(sink: @escaping @Sendable (ByteBuffer?) -> Void) {
    let queue = OutboundQueue(limit: .max)
    self.queue = queue
    queue.setWake {
      while true {
        switch queue.next() {
        case .chunk(let buffer): sink(buffer)
        case .pending: return
        case .end, .failed:
          sink(nil)
          return
        }
      }
    }
  }

  init(queue: OutboundQueue) { self.queue = queue }

  /// Queues bytes and waits while the peer is behind.
  public func write(_ bytes: [UInt8]) async throws { try await queue.write(ByteBuffer(bytes: bytes)) }
  /// Queues a buffer and waits while the peer is behind.
  public func write(_ buffer: ByteBuffer) async throws { try await queue.write(buffer) }
  /// Queues a buffer at once; false when the queue is full or the peer has gone.
  public func tryWrite(_ buffer: ByteBuffer) -> Bool { queue.tryWrite(buffer) }
  /// Ends the body; later writes fail.
  public func finish() { queue.finish() }
  /// Cuts the stream off (RST_STREAM or a closed connection), so that the peer sees no proper end.
  public func abort() { queue.fail() }
  /// Called once when the peer has gone or the body is finished; at once if that has happened.
  public func onClose(_ body: @escaping @Sendable () -> Void) { queue.onClose(body) }
  public var isClosed: Bool { queue.isClosed }
  /// Says that the consumer of a `sink` writer has gone.
  public func close() { queue.closeFromPeer() }
}

/// Bounded by bytes; many producers, one consumer (the connection's event loop).
final class OutboundQueue: Sendable {
  enum Next { case chunk(ByteBuffer), pending, end, failed }
  private struct State {
    var chunks = Deque<ByteBuffer>()
    var bytes = 0
    var finished = false
    var failed = false
    var closed = false
    var wakeWanted = true
    var wake: (@Sendable () -> Void)?
    var waiters: [(Int, CheckedContinuation<Void, any Error>)] = []
    var nextWaiter = 0
    var closeActions: [@Sendable () -> Void] = []
  }
  private let state = Mutex(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// `wake` is called when something stands in the queue after `next` has said `pending`.
  func setWake(_ wake: @escaping @Sendable () -> Void) {
    let now = state.withLock { s in
      s.wake = wake
      let ready = !s.chunks.isEmpty || s.finished || s.failed
      if ready { s.wakeWanted = false }
      return ready
    }
    if now { wake() }
  }

  private func takeWake(_ s: inout State) -> (@Sendable () -> Void)? {
    guard s.wakeWanted, let wake = s.wake else { return nil }
    s.wakeWanted = false
    return wake
  }

  func tryWrite(_ buffer: ByteBuffer) -> Bool {
    let (ok, wake): (Bool, (@Sendable () -> Void)?) = state.withLock { s in
      guard !s.closed, !s.finished, !s.failed, s.bytes < limit else { return (false, nil) }
      s.chunks.append(buffer)
      s.bytes += buffer.readableBytes
      return (true, takeWake(&s))
    }
    wake?()
    return ok
  }

  func write(_ buffer: ByteBuffer) async throws {
    let (full, wake) = try state.withLock { s -> (Bool, (@Sendable () -> Void)?) in
      guard !s.closed, !s.finished, !s.failed else { throw HTTPStreamClosed() }
      s.chunks.append(buffer)
      s.bytes += buffer.readableBytes
      return (s.bytes >= limit, takeWake(&s))
    }
    wake?()
    guard full else { return }
    let id = state.withLock { s in
      s.nextWaiter += 1
      return s.nextWaiter
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        let result: Result<Void, any Error>? = state.withLock { s in
          if s.closed || s.failed { return .failure(HTTPStreamClosed()) }
          if Task.isCancelled { return .failure(CancellationError()) }
          if s.bytes < limit { return .success(()) }
          s.waiters.append((id, continuation))
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiter = state.withLock { s -> CheckedContinuation<Void, any Error>? in
        guard let index = s.waiters.firstIndex(where: { $0.0 == id }) else { return nil }
        return s.waiters.remove(at: index).1
      }
      waiter?.resume(throwing: CancellationError())
    }
  }

  func finish() {
    let wake = state.withLock { s -> (@Sendable () -> Void)? in
      guard !s.finished, !s.closed else { return nil }
      s.finished = true
      return takeWake(&s)
    }
    wake?()
  }

  func fail() {
    let wake = state.withLock { s -> (@Sendable () -> Void)? in
      guard !s.finished, !s.closed else { return nil }
      s.failed = true
      return takeWake(&s)
    }
    wake?()
  }

  /// The next chunk for the connection. After `pending`, `wake` is called once when there is more.
  func next() -> Next {
    let (next, resumed): (Next, [CheckedContinuation<Void, any Error>]) = state.withLock { s in
      if s.failed { return (.failed, []) }
      guard let chunk = s.chunks.popFirst() else {
        if s.finished { return (.end, []) }
        s.wakeWanted = true
        return (.pending, [])
      }
      s.bytes -= chunk.readableBytes
      guard s.bytes <= limit / 2, !s.waiters.isEmpty else { return (.chunk(chunk), []) }
      let waiters = s.waiters.map(\.1)
      s.waiters.removeAll()
      return (.chunk(chunk), waiters)
    }
    for continuation in resumed { continuation.resume() }
    return next
  }

  /// The consumer has gone or is done.
  func closeFromPeer() {
    let (waiters, actions) = state.withLock {
      s -> ([CheckedContinuation<Void, any Error>], [@Sendable () -> Void]) in
      guard !s.closed else { return ([], []) }
      s.closed = true
      s.chunks.removeAll()
      s.bytes = 0
      s.wake = nil
      let result = (s.waiters.map(\.1), s.closeActions)
      s.waiters.removeAll()
      s.closeActions.removeAll()
      return result
    }
    for continuation in waiters { continuation.resume(throwing: HTTPStreamClosed()) }
    for action in actions { action() }
  }

  func onClose(_ body: @escaping @Sendable () -> Void) {
    let now = state.withLock { s in
      if !s.closed { s.closeActions.append(body) }
      return s.closed
    }
    if now { body() }
  }

  var isClosed: Bool { state.withLock { $0.closed } }
}
