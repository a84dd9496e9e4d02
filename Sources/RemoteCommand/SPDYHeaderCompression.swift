internal import CZlib

/// An error in the peer's framing that ends the connection.
public struct SPDYError: Error, Sendable, CustomStringConvertible {
  /// What was wrong.
  public var description: String
}

/// The connection's one deflate stream: every header block continues the last one's window.
final class SPDYHeaderDeflater {
  private let stream: UnsafeMutablePointer<z_stream>

  init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    deflateInit_(stream, Z_DEFAULT_COMPRESSION, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    SPDYDictionary.bytes.withUnsafeBufferPointer {
      _ = deflateSetDictionary(stream, $0.baseAddress, UInt32($0.count))
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
  }

  func compress(_ plain: [UInt8]) -> [UInt8] {
    var input = plain
    var out: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    input.withUnsafeMutableBufferPointer { source in
      stream.pointee.next_in = source.baseAddress
      stream.pointee.avail_in = UInt32(source.count)
      repeat {
        let produced = chunk.withUnsafeMutableBufferPointer { target -> Int in
          stream.pointee.next_out = target.baseAddress
          stream.pointee.avail_out = UInt32(target.count)
          deflate(stream, Z_SYNC_FLUSH)
          return target.count - Int(stream.pointee.avail_out)
        }
        out += chunk[..<produced]
      } while stream.pointee.avail_out == 0
      stream.pointee.next_in = nil
    }
    return out
  }
}

/// The peer's deflate stream, read back.
final class SPDYHeaderInflater {
  private let stream: UnsafeMutablePointer<z_stream>
  /// A header block that inflates beyond this is an attack, not a header.
  private let limit = 1 << 20

  init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    inflateInit_(stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  }

  deinit {
    inflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
  }

  func decompress(_ packed: [UInt8]) throws -> [UInt8] {
    var input = packed
    var out: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    var failure: Int32 = Z_OK
    input.withUnsafeMutableBufferPointer { source in
      stream.pointee.next_in = source.baseAddress
      stream.pointee.avail_in = UInt32(source.count)
      while failure == Z_OK {
        var code: Int32 = Z_OK
        let produced = chunk.withUnsafeMutableBufferPointer { target -> Int in
          stream.pointee.next_out = target.baseAddress
          stream.pointee.avail_out = UInt32(target.count)
          code = inflate(stream, Z_SYNC_FLUSH)
          return target.count - Int(stream.pointee.avail_out)
        }
        out += chunk[..<produced]
        if code == Z_NEED_DICT {
          code = SPDYDictionary.bytes.withUnsafeBufferPointer {
            inflateSetDictionary(stream, $0.baseAddress, UInt32($0.count))
          }
          if code == Z_OK { continue }
        }
        if out.count > limit { code = Z_MEM_ERROR }
        if code == Z_BUF_ERROR { break }
        if code != Z_OK { failure = code }
        if stream.pointee.avail_in == 0, stream.pointee.avail_out != 0 { break }
      }
      stream.pointee.next_in = nil
    }
    if failure != Z_OK { throw SPDYError(description: "header block does not inflate (zlib \(failure))") }
    return out
  }
}
