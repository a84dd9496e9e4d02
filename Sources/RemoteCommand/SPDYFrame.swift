public import NIOCore

/// A header of a SPDY stream. Several values of one name are joined by NUL on the wire.
public struct SPDYHeader: Sendable, Hashable {
  /// Lower case.
  public var name: String
  public var value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// One SPDY/3.1 frame.
public enum SPDYFrame: Sendable, Equatable {
  case synStream(id: UInt32, fin: Bool, headers: [SPDYHeader])
  case synReply(id: UInt32, fin: Bool, headers: [SPDYHeader])
  case rstStream(id: UInt32, status: UInt32)
  case settings([UInt32: UInt32])
  case ping(UInt32)
  case goAway(lastGoodStream: UInt32, status: UInt32)
  case headers(id: UInt32, fin: Bool, headers: [SPDYHeader])
  case windowUpdate(id: UInt32, delta: UInt32)
  case data(id: UInt32, fin: Bool, ByteBuffer)
  /// A control frame of a type that SPDY/3 does not define; receivers must skip it.
  case unknown(type: UInt16)
}

/// Writes frames of one connection, in order: header blocks share one compression stream.
public final class SPDYEncoder {
  private let deflater = SPDYHeaderDeflater()

  public init() {}

  /// The bytes of one frame.
  public func encode(_ frame: SPDYFrame) -> ByteBuffer {
    var out = ByteBuffer()
    switch frame {
    case .synStream(let id, let fin, let headers):
      let block = deflater.compress(Self.block(headers))
      control(&out, type: 1, flags: fin ? 1 : 0, length: 10 + block.count)
      out.writeInteger(id)
      out.writeInteger(UInt32(0))  // no associated stream
      out.writeInteger(UInt16(0))  // highest priority, no credential slot
      out.writeBytes(block)
    case .synReply(let id, let fin, let headers):
      let block = deflater.compress(Self.block(headers))
      control(&out, type: 2, flags: fin ? 1 : 0, length: 4 + block.count)
      out.writeInteger(id)
      out.writeBytes(block)
    case .rstStream(let id, let status):
      control(&out, type: 3, flags: 0, length: 8)
      out.writeMultipleIntegers(id, status)
    case .settings(let values):
      control(&out, type: 4, flags: 0, length: 4 + 8 * values.count)
      out.writeInteger(UInt32(values.count))
      for (id, value) in values.sorted(by: { $0.key < $1.key }) { out.writeMultipleIntegers(id & 0xff_ffff, value) }
    case .ping(let id):
      control(&out, type: 6, flags: 0, length: 4)
      out.writeInteger(id)
    case .goAway(let last, let status):
      control(&out, type: 7, flags: 0, length: 8)
      out.writeMultipleIntegers(last, status)
    case .headers(let id, let fin, let headers):
      let block = deflater.compress(Self.block(headers))
      control(&out, type: 8, flags: fin ? 1 : 0, length: 4 + block.count)
      out.writeInteger(id)
      out.writeBytes(block)
    case .windowUpdate(let id, let delta):
      control(&out, type: 9, flags: 0, length: 8)
      out.writeMultipleIntegers(id, delta)
    case .data(let id, let fin, let bytes):
      out.writeInteger(id & 0x7fff_ffff)
      out.writeInteger(UInt32(fin ? 1 : 0) << 24 | UInt32(bytes.readableBytes))
      out.writeImmutableBuffer(bytes)
    case .unknown(let type):
      control(&out, type: type, flags: 0, length: 0)
    }
    return out
  }

  private func control(_ out: inout ByteBuffer, type: UInt16, flags: UInt8, length: Int) {
    out.writeMultipleIntegers(UInt16(0x8003), type)
    out.writeInteger(UInt32(flags) << 24 | UInt32(length))
  }

  private static func block(_ headers: [SPDYHeader]) -> [UInt8] {
    var order: [String] = []
    var values: [String: String] = [:]
    for header in headers {
      let name = header.name.lowercased()
      if let old = values[name] {
        values[name] = old + "\0" + header.value
      } else {
        order.append(name)
        values[name] = header.value
      }
    }
    var out = ByteBuffer()
    out.writeInteger(UInt32(order.count))
    for name in order {
      out.writeInteger(UInt32(name.utf8.count))
      out.writeString(name)
      out.writeInteger(UInt32(values[name]!.utf8.count))
      out.writeString(values[name]!)
    }
    return Array(out.readableBytesView)
  }
}

/// Reads the frames of one connection from the bytes as they come.
public final class SPDYDecoder {
  private let inflater = SPDYHeaderInflater()
  private var pending = ByteBuffer()

  public init() {}

  /// Adds received bytes; call ``next()`` until it returns nil.
  public func feed(_ bytes: ByteBuffer) {
    if pending.readableBytes == 0 {
      pending = bytes
    } else {
      pending.discardReadBytes()
      pending.writeImmutableBuffer(bytes)
    }
  }

  /// The next whole frame, or nil when more bytes are needed.
  public func next() throws -> SPDYFrame? {
    let start = pending.readerIndex
    guard let first = pending.getInteger(at: start, as: UInt32.self),
      let second = pending.getInteger(at: start + 4, as: UInt32.self)
    else { return nil }
    let flags = UInt8(second >> 24)
    let length = Int(second & 0xff_ffff)
    guard pending.readableBytes >= 8 + length else { return nil }
    pending.moveReaderIndex(forwardBy: 8)
    guard var payload = pending.readSlice(length: length) else { return nil }
    if first & 0x8000_0000 == 0 { return .data(id: first, fin: flags & 1 != 0, payload) }
    let version = (first >> 16) & 0x7fff
    guard version == 3 else { throw SPDYError(description: "unsupported SPDY version \(version)") }
    return try control(type: UInt16(first & 0xffff), fin: flags & 1 != 0, &payload)
  }

  private func control(type: UInt16, fin: Bool, _ payload: inout ByteBuffer) throws -> SPDYFrame {
    switch type {
    case 1:
      let id = try integer(&payload) & 0x7fff_ffff
      _ = try integer(&payload)
      guard payload.readInteger(as: UInt16.self) != nil else { throw SPDYError(description: "short SYN_STREAM") }
      return .synStream(id: id, fin: fin, headers: try headers(payload))
    case 2: return .synReply(id: try integer(&payload) & 0x7fff_ffff, fin: fin, headers: try headers(payload))
    case 3: return .rstStream(id: try integer(&payload) & 0x7fff_ffff, status: try integer(&payload))
    case 4:
      var values: [UInt32: UInt32] = [:]
      for _ in 0..<(try integer(&payload)) { values[try integer(&payload) & 0xff_ffff] = try integer(&payload) }
      return .settings(values)
    case 6: return .ping(try integer(&payload))
    case 7: return .goAway(lastGoodStream: try integer(&payload) & 0x7fff_ffff, status: try integer(&payload))
    case 8: return .headers(id: try integer(&payload) & 0x7fff_ffff, fin: fin, headers: try headers(payload))
    case 9: return .windowUpdate(id: try integer(&payload) & 0x7fff_ffff, delta: try integer(&payload) & 0x7fff_ffff)
    default: return .unknown(type: type)
    }
  }

  private func integer(_ payload: inout ByteBuffer) throws -> UInt32 {
    guard let value = payload.readInteger(as: UInt32.self) else { throw SPDYError(description: "short control frame") }
    return value
  }

  private func headers(_ payload: ByteBuffer) throws -> [SPDYHeader] {
    var block = ByteBuffer(bytes: try inflater.decompress(Array(payload.readableBytesView)))
    var out: [SPDYHeader] = []
    for _ in 0..<(try integer(&block)) {
      guard let name = block.readString(length: Int(try integer(&block))),
        let value = block.readString(length: Int(try integer(&block)))
      else { throw SPDYError(description: "short header block") }
      for part in value.split(separator: "\0", omittingEmptySubsequences: false) {
        out.append(SPDYHeader(name, String(part)))
      }
    }
    return out
  }
}
