internal import CZlib
import Synchronization

/// A gzip stream at the fastest level, which is what such answers are worth.
final class GzipStream: Sendable {
  private struct State: @unchecked Sendable {
    let stream: UnsafeMutablePointer<z_stream>
    var ended = false
  }

  private let state: Mutex<State>

  /// Nil when the compressor cannot be had.
  init?() {
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    state = Mutex(State(stream: stream))
    // Sixteen more than the window asks for gzip's header and sum.
    let status = deflateInit2_(
      stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    if status != Z_OK { return nil }
  }

  deinit {
    state.withLock { state in
      deflateEnd(state.stream)
      state.stream.deinitialize(count: 1)
      state.stream.deallocate()
    }
  }

  /// Whether the stream's end has been handed out.
  var ended: Bool { state.withLock { $0.ended } }

  /// Compresses a piece; what comes out may belong to earlier pieces.
  func add(_ bytes: [UInt8], last: Bool) -> [UInt8] {
    state.withLock { state in
      let stream = state.stream
      var input = bytes
      var out: [UInt8] = []
      let room = 32 << 10
      input.withUnsafeMutableBufferPointer { source in
        stream.pointee.next_in = source.baseAddress
        stream.pointee.avail_in = UInt32(source.count)
        repeat {
          out.append(
            contentsOf: [UInt8](unsafeUninitializedCapacity: room) { target, count in
              stream.pointee.next_out = target.baseAddress
              stream.pointee.avail_out = UInt32(room)
              deflate(stream, last ? Z_FINISH : Z_NO_FLUSH)
              count = room - Int(stream.pointee.avail_out)
            })
        } while stream.pointee.avail_out == 0
        stream.pointee.next_in = nil
      }
      if last { state.ended = true }
      return out
    }
  }
}
