import DequeModule
public import NIOCore
import Synchronization

/// The consuming end of a body or an upgraded connection: bytes as they arrive, for one reader.
///
/// The connection stops reading from the peer while more than `highWater` bytes wait here.
public final class HTTPBodyStream: AsyncSequence, Sendable {
  public typealias Element = ByteBuffer
  public struct AsyncIterator: AsyncIteratorProtocol {
    let stream: HTTPBodyStream
    public mutating func next() async throws -> ByteBuffer? { try await stream.next() }
  }

  private struct State {
    var chunks = Deque<ByteBuffer>()
    var bytes = 0
    var end: Result<Void, any Error>?
    var waiter: CheckedContinuation<ByteBuffer?, any Error>?
    var abandoned = false
    /// Called with the bytes the reader has taken, so that the producer can open its window again.
    var onTaken: (@Sendable (Int) -> Void)?
    var onAbandon: (@Sendable () -> Void)?
  }
  private let state = Mutex(State())

  public init() {}

  /// A stream that holds one buffer.
  public convenience init(_ bytes: [UInt8]) {
    self.init()
    if !bytes.isEmpty { yield(ByteBuffer(bytes: bytes)) }
    finish()
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }

  /// The next bytes; nil at the end.
  public func next() async throws -> ByteBuffer? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<ByteBuffer?, any Error>) in
        let (result, taken) = state.withLock {
          s -> (Result<ByteBuffer?, any Error>?, (@Sendable (Int) -> Void)?) in
          if let chunk = s.chunks.popFirst() {
            s.bytes -= chunk.readableBytes
            return (.success(chunk), s.onTaken)
          }
          if let end = s.end { return (end.map { nil }, nil) }
          if Task.isCancelled { return (.failure(CancellationError()), nil) }
          precondition(s.waiter == nil, "HTTPBodyStream has one reader")
          s.waiter = continuation
          return (nil, nil)
        }
        guard let result else { return }
        if let taken, case .success(let chunk?) = result { taken(chunk.readableBytes) }
        continuation.resume(with: result)
      }
    } onCancel: {
      let waiter = state.withLock { s in
        defer { s.waiter = nil }
        return s.waiter
      }
      waiter?.resume(throwing: CancellationError())
      // There is one reader, so its end is the end of reading.
      abandon()
    }
  }

  /// Everything that is left, up to `limit` bytes.
  public func collect(upTo limit: Int) async throws -> [UInt8] {
    var result: [UInt8] = []
    while let chunk = try await next() {
      if result.count + chunk.readableBytes > limit { throw HTTPBodyTooLarge(limit: limit) }
      result.append(contentsOf: chunk.readableBytesView)
    }
    return result
  }

  /// Says that nobody will read on; the producer may reset the stream.
  public func abandon() {
    let action = state.withLock { s -> (@Sendable () -> Void)? in
      guard !s.abandoned else { return nil }
      s.abandoned = true
      s.chunks.removeAll()
      s.bytes = 0
      return s.end == nil ? s.onAbandon : nil
    }
    action?()
  }

  /// Hands over bytes. Returns how many now wait for the reader.
  @discardableResult
  public func yield(_ buffer: ByteBuffer) -> Int {
    let (waiter, waiting, taken) = state.withLock {
      s -> (CheckedContinuation<ByteBuffer?, any Error>?, Int, (@Sendable (Int) -> Void)?) in
      if s.end != nil || s.abandoned { return (nil, 0, s.onTaken) }
      if let waiter = s.waiter {
        s.waiter = nil
        return (waiter, 0, s.onTaken)
      }
      s.chunks.append(buffer)
      s.bytes += buffer.readableBytes
      return (nil, s.bytes, nil)
    }
    waiter?.resume(returning: buffer)
    taken?(buffer.readableBytes)
    return waiting
  }

  /// Ends the stream, with an error or properly.
  public func finish(_ error: (any Error)? = nil) {
    let waiter = state.withLock { s -> CheckedContinuation<ByteBuffer?, any Error>? in
      guard s.end == nil else { return nil }
      s.end = error.map { .failure($0) } ?? .success(())
      s.onTaken = nil
      s.onAbandon = nil
      defer { s.waiter = nil }
      return s.waiter
    }
    guard let waiter else { return }
    if let error { waiter.resume(throwing: error) } else { waiter.resume(returning: nil) }
  }

  /// Installs the producer's reactions; called before anything is read.
  func connect(onTaken: @escaping @Sendable (Int) -> Void, onAbandon: @escaping @Sendable () -> Void) {
    state.withLock { s in
      s.onTaken = onTaken
      s.onAbandon = onAbandon
    }
  }

  var waitingBytes: Int { state.withLock { $0.bytes } }
}

/// A body went beyond the limit its reader set.
public struct HTTPBodyTooLarge: Error, CustomStringConvertible {
  public var limit: Int
  public var description: String { "http: body larger than \(limit) bytes" }
}
