import NIOCore

/// Answers one message, from the zone at once or through the forwarder later.
struct Responder: Sendable {
  let zone: ClusterZone
  let forwarder: Forwarder

  /// `limit` is what the transport carries; UDP clients may announce less. `reply` gets nil for what deserves no answer.
  func respond(to bytes: [UInt8], limit: Int, stream: Bool, reply: @escaping @Sendable ([UInt8]?) -> Void) {
    guard let query = Query(parsing: bytes) else { return reply(Self.formatError(bytes)) }
    let limit = stream ? limit : min(limit, query.payloadSize)
    @Sendable func answer(
      _ code: ResponseCode, _ records: [Record] = [], _ additional: [Record] = [], mine: Bool = true
    ) -> [UInt8] {
      var response = Response(query: query, code: code, authoritative: mine, answers: records, additional: additional)
      if mine && records.isEmpty { response.authority = [zone.authority(serial: 1)] }
      return response.encoded(limit: limit)
    }
    guard query.opcode == 0 else { return reply(answer(.notImplemented, mine: false)) }
    guard query.question.recordClass == 1 else { return reply(answer(.refused, mine: false)) }
    switch zone.resolve(query.question) {
    case .answer(let records, let additional): reply(answer(.noError, records, additional))
    case .absent: reply(answer(.nameError))
    case .notMine: forwarder.forward(bytes) { reply($0 ?? answer(.serverFailure, mine: false)) }
    case .alias(let records, let outside):
      guard query.question.type == RecordType.a || query.question.type == RecordType.aaaa else {
        return reply(answer(.noError, records))
      }
      follow(outside, query) { reply(answer(.noError, records + $0)) }
    }
  }

  /// The addresses an alias leads to, so that a stub resolver that does not chase CNAMEs itself is served.
  private func follow(_ name: DNSName, _ query: Query, _ found: @escaping @Sendable ([Record]) -> Void) {
    let question = Question(name: name, type: query.question.type, recordClass: 1)
    if case .answer(let records, _) = zone.resolve(question) { return found(records) }
    forwarder.forward(Query.message(id: query.id, question)) { bytes in
      found(bytes.map { Query.addresses(inAnswer: $0) } ?? [])
    }
  }

  private static func formatError(_ bytes: [UInt8]) -> [UInt8]? {
    guard bytes.count >= 12, bytes[2] & 0x80 == 0 else { return nil }
    return [
      bytes[0], bytes[1], 0x80 | bytes[2] & 0x79, 0x80 | ResponseCode.formatError.rawValue, 0, 0, 0, 0, 0, 0, 0, 0,
    ]
  }
}

extension Query {
  /// A query with recursion desired.
  static func message(id: UInt16, _ question: Question) -> [UInt8] {
    var bytes: [UInt8] = [UInt8(id >> 8), UInt8(id & 0xff), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    for label in question.name.labels {
      bytes.append(UInt8(label.utf8.prefix(63).count))
      bytes += label.utf8.prefix(63)
    }
    return bytes + [0, UInt8(question.type >> 8), UInt8(question.type & 0xff), 0, 1]
  }

  /// The IPv4 address and alias records of an answer's first section.
  static func addresses(inAnswer bytes: [UInt8]) -> [Record] {
    guard bytes.count >= 12 else { return [] }
    var offset = 12
    for _ in 0..<word(bytes, 4) {
      guard name(bytes, &offset) != nil else { return [] }
      offset += 4
    }
    var records: [Record] = []
    for _ in 0..<word(bytes, 6) {
      guard let owner = name(bytes, &offset), offset + 10 <= bytes.count else { return records }
      let type = word(bytes, offset)
      let timeToLive = UInt32(word(bytes, offset + 4)) << 16 | UInt32(word(bytes, offset + 6))
      let length = Int(word(bytes, offset + 8))
      offset += 10
      guard offset + length <= bytes.count else { return records }
      var start = offset
      if type == RecordType.a, length == 4 {
        records.append(Record(name: owner, timeToLive: timeToLive, data: .a(Array(bytes[offset..<offset + 4]))))
      } else if type == RecordType.cname, let target = name(bytes, &start) {
        records.append(Record(name: owner, timeToLive: timeToLive, data: .cname(target)))
      }
      offset += length
    }
    return records
  }
}

/// One datagram, one answer.
final class DatagramHandler: ChannelInboundHandler, Sendable {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  private let responder: Responder

  init(responder: Responder) { self.responder = responder }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    let channel = context.channel
    responder.respond(to: Array(envelope.data.readableBytesView), limit: 4096, stream: false) { bytes in
      guard let bytes else { return }
      channel.writeAndFlush(
        AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: bytes)), promise: nil)
    }
  }
}

/// Cuts a TCP stream into messages by their two-byte lengths.
struct FrameDecoder: ByteToMessageDecoder {
  typealias InboundOut = ByteBuffer

  mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
    guard let frame = buffer.readLengthPrefixedSlice(as: UInt16.self) else { return .needMoreData }
    context.fireChannelRead(wrapInboundOut(frame))
    return .continue
  }
}

/// Answers the messages of one TCP connection, each as it is ready (RFC 7766 allows any order).
final class StreamHandler: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer
  private let responder: Responder

  init(responder: Responder) { self.responder = responder }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let channel = context.channel
    responder.respond(to: Array(unwrapInboundIn(data).readableBytesView), limit: 65535, stream: true) { bytes in
      guard let bytes else { return channel.close(promise: nil) }
      var frame = channel.allocator.buffer(capacity: bytes.count + 2)
      frame.writeInteger(UInt16(bytes.count))
      frame.writeBytes(bytes)
      channel.writeAndFlush(frame, promise: nil)
    }
  }
}
