import NIOCore

/// Where the rest of a body comes from.
enum BodySource {
  case slices([ArraySlice<UInt8>], index: Int, offset: Int)
  case pull(@Sendable () -> ByteBuffer?)
  case queue(OutboundQueue)

  enum Next { case chunk(ByteBuffer), pending, end, failed }

  /// At most about `limit` bytes, except where the producer made a larger chunk.
  mutating func next(limit: Int, allocator: ByteBufferAllocator) -> Next {
    switch self {
    case .pull(let pull):
      guard let chunk = pull() else { return .end }
      return .chunk(chunk)
    case .queue(let queue):
      switch queue.next() {
      case .chunk(let chunk): return .chunk(chunk)
      case .pending: return .pending
      case .end: return .end
      case .failed: return .failed
      }
    case .slices(let slices, var index, var offset):
      guard index < slices.count else { return .end }
      var buffer = allocator.buffer(capacity: limit)
      while index < slices.count, buffer.readableBytes < limit {
        let slice = slices[index]
        let start = slice.startIndex + offset
        let take = min(slice.endIndex - start, limit - buffer.readableBytes)
        buffer.writeBytes(slice[start..<start + take])
        offset += take
        if start + take == slice.endIndex {
          index += 1
          offset = 0
        }
      }
      self = .slices(slices, index: index, offset: offset)
      return .chunk(buffer)
    }
  }

  func abandon() {
    if case .queue(let queue) = self { queue.closeFromPeer() }
  }
}

extension HTTPResponseBody {
  /// The length where it is known.
  var knownLength: Int? {
    switch self {
    case .none: 0
    case .bytes(let bytes): bytes.count
    case .slices(let slices): slices.reduce(0) { $0 + $1.count }
    case .pull, .stream: nil
    }
  }
}
