public import NIOCore

/// What a WebSocket peer sent, whole: fragments are joined, control frames stand alone.
public enum WebSocketMessage: Sendable, Equatable {
  case text(ByteBuffer)
  case binary(ByteBuffer)
  case ping(ByteBuffer)
  case pong(ByteBuffer)
  case close(code: UInt16?, reason: String)
}

/// A violation of RFC 6455, with the close code that answers it.
public struct WebSocketError: Error, Sendable {
  public var code: UInt16
  public var message: String
}

/// Reads the messages of one peer from its bytes.
public struct WebSocketDecoder {
  /// Whether the peer must mask its frames (clients must, servers must not).
  private let expectsMask: Bool
  private let maxMessage: Int
  private var pending = ByteBuffer()
  private var fragments: (opcode: UInt8, payload: ByteBuffer)?

  public init(expectsMask: Bool, maxMessage: Int = 32 << 20) {
    self.expectsMask = expectsMask
    self.maxMessage = maxMessage
  }

  /// Adds received bytes; call ``next()`` until it returns nil.
  public mutating func feed(_ bytes: ByteBuffer) {
    if pending.readableBytes == 0 {
      pending = bytes
    } else {
      pending.discardReadBytes()
      pending.writeImmutableBuffer(bytes)
    }
  }

  /// The next whole message, or nil when more bytes are needed.
  public mutating func next() throws -> WebSocketMessage? {
    while let (fin, opcode, payload) = try frame() {
      switch opcode {
      case 0:
        guard var joined = fragments else { throw WebSocketError(code: 1002, message: "continuation of nothing") }
        joined.payload.writeImmutableBuffer(payload)
        guard joined.payload.readableBytes <= maxMessage else {
          throw WebSocketError(code: 1009, message: "message too big")
        }
        fragments = fin ? nil : joined
        if fin { return joined.opcode == 1 ? .text(joined.payload) : .binary(joined.payload) }
      case 1, 2:
        guard fragments == nil else { throw WebSocketError(code: 1002, message: "message inside a message") }
        if fin { return opcode == 1 ? .text(payload) : .binary(payload) }
        fragments = (opcode, payload)
      case 8:
        var body = payload
        let code = body.readInteger(as: UInt16.self)
        return .close(code: code, reason: String(buffer: body))
      case 9: return .ping(payload)
      case 10: return .pong(payload)
      default: throw WebSocketError(code: 1002, message: "unknown opcode \(opcode)")
      }
    }
    return nil
  }

  private mutating func frame() throws -> (fin: Bool, opcode: UInt8, payload: ByteBuffer)? {
    var ahead = pending
    guard let first = ahead.readInteger(as: UInt8.self), let second = ahead.readInteger(as: UInt8.self) else {
      return nil
    }
    guard first & 0x70 == 0 else { throw WebSocketError(code: 1002, message: "reserved bits") }
    let masked = second & 0x80 != 0
    guard masked == expectsMask else { throw WebSocketError(code: 1002, message: "masking") }
    var length = Int(second & 0x7f)
    if length == 126 {
      guard let long = ahead.readInteger(as: UInt16.self) else { return nil }
      length = Int(long)
    } else if length == 127 {
      guard let long = ahead.readInteger(as: UInt64.self) else { return nil }
      guard long <= UInt64(maxMessage) else { throw WebSocketError(code: 1009, message: "message too big") }
      length = Int(long)
    }
    let opcode = first & 0x0f
    if opcode >= 8, length > 125 || first & 0x80 == 0 {
      throw WebSocketError(code: 1002, message: "bad control frame")
    }
    var key: UInt32 = 0
    if masked {
      guard let read = ahead.readInteger(as: UInt32.self) else { return nil }
      key = read
    }
    guard var payload = ahead.readSlice(length: length) else { return nil }
    if masked { payload.applyMask(key) }
    pending = ahead
    return (first & 0x80 != 0, opcode, payload)
  }
}

/// Writes messages as single frames.
public enum WebSocketEncoder {
  /// The bytes of one frame; `mask` is the key a client must choose.
  public static func encode(_ message: WebSocketMessage, mask: UInt32? = nil) -> ByteBuffer {
    switch message {
    case .text(let bytes): return frame(opcode: 1, bytes, mask)
    case .binary(let bytes): return frame(opcode: 2, bytes, mask)
    case .ping(let bytes): return frame(opcode: 9, bytes, mask)
    case .pong(let bytes): return frame(opcode: 10, bytes, mask)
    case .close(let code, let reason):
      var body = ByteBuffer()
      if let code {
        body.writeInteger(code)
        body.writeBytes(reason.utf8.prefix(123))
      }
      return frame(opcode: 8, body, mask)
    }
  }

  /// A binary message whose first byte names a channel, without copying the payload first.
  public static func channel(_ channel: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
    var out = ByteBuffer()
    out.reserveCapacity(payload.readableBytes + 15)
    header(&out, opcode: 2, length: payload.readableBytes + 1, masked: false)
    out.writeInteger(channel)
    out.writeImmutableBuffer(payload)
    return out
  }

  private static func frame(opcode: UInt8, _ payload: ByteBuffer, _ mask: UInt32?) -> ByteBuffer {
    var out = ByteBuffer()
    out.reserveCapacity(payload.readableBytes + 14)
    header(&out, opcode: opcode, length: payload.readableBytes, masked: mask != nil)
    if let mask {
      out.writeInteger(mask)
      var body = payload
      body.applyMask(mask)
      out.writeBuffer(&body)
    } else {
      out.writeImmutableBuffer(payload)
    }
    return out
  }

  private static func header(_ out: inout ByteBuffer, opcode: UInt8, length: Int, masked: Bool) {
    let bit: UInt8 = masked ? 0x80 : 0
    out.writeInteger(0x80 | opcode)
    switch length {
    case ..<126: out.writeInteger(bit | UInt8(length))
    case ..<65536: out.writeMultipleIntegers(bit | 126, UInt16(length))
    default: out.writeMultipleIntegers(bit | 127, UInt64(length))
    }
  }
}

extension ByteBuffer {
  fileprivate mutating func applyMask(_ key: UInt32) {
    let bytes = [UInt8(key >> 24), UInt8(key >> 16 & 0xff), UInt8(key >> 8 & 0xff), UInt8(key & 0xff)]
    withUnsafeMutableReadableBytes { raw in
      for i in 0..<raw.count { raw[i] ^= bytes[i & 3] }
    }
  }
}
