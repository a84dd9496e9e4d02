import NIOCore

/// Cuts the bytes of a stream into length-prefixed messages.
struct MessageDecoder {
  private var buffer = ByteBuffer()
  let maximumMessageSize: Int

  init(maximumMessageSize: Int) { self.maximumMessageSize = maximumMessageSize }

  var isInsideMessage: Bool { buffer.readableBytes > 0 }

  mutating func append(_ bytes: inout ByteBuffer) {
    if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeBuffer(&bytes) }
  }

  mutating func next() throws(GRPCStatus) -> [UInt8]? {
    guard let compressed = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
      let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self)
    else { return nil }
    guard compressed == 0 else {
      throw GRPCStatus(.unimplemented, "grpc: compressed flag set with identity or empty encoding")
    }
    guard Int(length) <= maximumMessageSize else {
      throw GRPCStatus(
        .resourceExhausted, "grpc: received message larger than max (\(length) vs. \(maximumMessageSize))")
    }
    guard buffer.readableBytes >= 5 + Int(length) else { return nil }
    buffer.moveReaderIndex(forwardBy: 5)
    let message = buffer.readBytes(length: Int(length))
    if buffer.readableBytes == 0 { buffer = ByteBuffer() }
    return message
  }

  static func frame(_ message: [UInt8], allocator: ByteBufferAllocator) -> ByteBuffer {
    var buffer = allocator.buffer(capacity: 5 + message.count)
    buffer.writeInteger(UInt8(0))
    buffer.writeInteger(UInt32(message.count))
    buffer.writeBytes(message)
    return buffer
  }
}

/// The receiving half of a call: messages not yet asked for, or the one reader that waits. Lives on the event loop.
struct Inbox {
  typealias Waiter = CheckedContinuation<[UInt8]?, any Error>

  private var decoder: MessageDecoder
  private var messages = CircularBuffer<[UInt8]>()
  private var bytes = 0
  private var waiter: Waiter?
  private var end: Result<Void, any Error>?
  /// Above this many unread bytes the stream is no longer read, so that HTTP/2 flow control holds the peer back.
  private let highWaterMark = 256 * 1024

  init(maximumMessageSize: Int) { decoder = MessageDecoder(maximumMessageSize: maximumMessageSize) }

  var isFull: Bool { bytes > highWaterMark }
  var isInsideMessage: Bool { decoder.isInsideMessage }

  mutating func received(_ buffer: inout ByteBuffer) throws(GRPCStatus) {
    guard end == nil else { return }
    decoder.append(&buffer)
    while let message = try decoder.next() {
      if let waiter {
        self.waiter = nil
        waiter.resume(returning: message)
      } else {
        bytes += message.count
        messages.append(message)
      }
    }
  }

  /// Nothing more comes. With `discard` an error overtakes the messages that nobody has read yet.
  mutating func finish(_ result: Result<Void, any Error>, discard: Bool = false) {
    guard end == nil else { return }
    end = result
    if discard {
      messages.removeAll()
      bytes = 0
    }
    if let waiter {
      self.waiter = nil
      waiter.resume(with: result.map { nil })
    }
  }

  mutating func receive(_ waiter: Waiter) {
    if let message = messages.popFirst() {
      bytes -= message.count
      waiter.resume(returning: message)
    } else if let end {
      waiter.resume(with: end.map { nil })
    } else if self.waiter != nil {
      waiter.resume(throwing: GRPCStatus(.internal, "two readers on one call"))
    } else {
      self.waiter = waiter
    }
  }

  /// Takes back the waiting reader, whose task was cancelled.
  mutating func cancelWaiter() {
    waiter?.resume(throwing: CancellationError())
    waiter = nil
  }

  /// For unary calls: everything that came, once the end has come.
  mutating func drain() -> [[UInt8]] {
    defer { messages.removeAll() }
    return Array(messages)
  }
}
