/// A DNS name as its labels, lower-cased: names compare without case (RFC 4343).
struct DNSName: Hashable, Sendable, CustomStringConvertible {
  var labels: [String]

  init(labels: [String]) { self.labels = labels }

  init(_ text: String) {
    labels = text.lowercased().split(separator: ".").map(String.init)
  }

  var description: String { labels.joined(separator: ".") + "." }

  /// The labels in front of `suffix`; nil when the name does not end in it.
  func prefix(before suffix: DNSName) -> [String]? {
    guard labels.count >= suffix.labels.count, labels.suffix(suffix.labels.count).elementsEqual(suffix.labels) else {
      return nil
    }
    return Array(labels.dropLast(suffix.labels.count))
  }
}

/// Record types this server makes itself; others pass through it untouched.
enum RecordType {
  static let a: UInt16 = 1
  static let ns: UInt16 = 2
  static let cname: UInt16 = 5
  static let soa: UInt16 = 6
  static let ptr: UInt16 = 12
  static let txt: UInt16 = 16
  static let aaaa: UInt16 = 28
  static let srv: UInt16 = 33
  static let opt: UInt16 = 41
  static let any: UInt16 = 255
}

/// Response codes of RFC 1035.
enum ResponseCode: UInt8 {
  case noError = 0
  case formatError = 1
  case serverFailure = 2
  case nameError = 3
  case notImplemented = 4
  case refused = 5
}

struct Question: Hashable, Sendable {
  var name: DNSName
  var type: UInt16
  var recordClass: UInt16
}

/// A record with its data still in structured form, encoded only when written.
struct Record: Hashable, Sendable {
  enum Data: Hashable, Sendable {
    case a([UInt8])
    case cname(DNSName)
    case ptr(DNSName)
    case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
    case txt(String)
    case ns(DNSName)
    case soa(primary: DNSName, contact: DNSName, serial: UInt32, minimum: UInt32)
  }
  var name: DNSName
  var timeToLive: UInt32
  var data: Data

  var type: UInt16 {
    switch data {
    case .a: RecordType.a
    case .cname: RecordType.cname
    case .ptr: RecordType.ptr
    case .srv: RecordType.srv
    case .txt: RecordType.txt
    case .ns: RecordType.ns
    case .soa: RecordType.soa
    }
  }
}

/// A query as far as a server needs to read it.
struct Query: Hashable, Sendable {
  var id: UInt16
  var opcode: UInt8
  var recursionDesired: Bool
  var question: Question
  /// The client's EDNS buffer size; 512 where it sent no OPT record.
  var payloadSize: Int
  var hasEDNS: Bool
  /// Where the question ends: what precedes it can be copied into an error answer.
  var questionEnd: Int

  /// Nil for what is not a well-formed query with one question.
  init?(parsing bytes: [UInt8]) {
    guard bytes.count >= 12, bytes[2] & 0x80 == 0, Self.word(bytes, 4) == 1 else { return nil }
    id = Self.word(bytes, 0)
    opcode = (bytes[2] >> 3) & 0xf
    recursionDesired = bytes[2] & 1 != 0
    var offset = 12
    guard let name = Self.name(bytes, &offset), offset + 4 <= bytes.count else { return nil }
    question = Question(name: name, type: Self.word(bytes, offset), recordClass: Self.word(bytes, offset + 2))
    offset += 4
    questionEnd = offset
    payloadSize = 512
    hasEDNS = false
    let others = Int(Self.word(bytes, 6)) + Int(Self.word(bytes, 8)) + Int(Self.word(bytes, 10))
    for _ in 0..<min(others, 64) {
      guard Self.name(bytes, &offset) != nil, offset + 10 <= bytes.count else { return nil }
      if Self.word(bytes, offset) == RecordType.opt {
        hasEDNS = true
        payloadSize = max(512, min(Int(Self.word(bytes, offset + 2)), 4096))
      }
      offset += 10 + Int(Self.word(bytes, offset + 8))
      guard offset <= bytes.count else { return nil }
    }
  }

  static func word(_ bytes: [UInt8], _ offset: Int) -> UInt16 { UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) }

  /// Reads a name that may end in a compression pointer. Pointers only lead backwards, so a loop cannot form.
  static func name(_ bytes: [UInt8], _ offset: inout Int) -> DNSName? {
    var labels: [String] = []
    var position = offset
    var limit = bytes.count
    var end: Int?
    var length = 0
    while position < limit {
      let size = Int(bytes[position])
      if size == 0 {
        offset = end ?? position + 1
        return DNSName(labels: labels)
      }
      if size & 0xc0 == 0xc0 {
        guard position + 1 < bytes.count else { return nil }
        let target = (size & 0x3f) << 8 | Int(bytes[position + 1])
        guard target < position else { return nil }
        end = end ?? position + 2
        limit = position
        position = target
        continue
      }
      guard size < 64, position + 1 + size <= bytes.count else { return nil }
      length += size + 1
      guard length < 255 else { return nil }
      labels.append(String(decoding: bytes[position + 1..<position + 1 + size], as: UTF8.self).lowercased())
      position += 1 + size
    }
    return nil
  }
}

/// A response, encoded with name compression and cut to the client's size with the TC bit.
struct Response: Sendable {
  var query: Query
  var code: ResponseCode
  var authoritative: Bool
  var answers: [Record] = []
  var authority: [Record] = []
  var additional: [Record] = []

  func encoded(limit: Int) -> [UInt8] {
    var kept = self
    while true {
      let bytes = kept.encode(truncated: kept.answers.count < answers.count)
      if bytes.count <= limit { return bytes }
      if !kept.additional.isEmpty {
        kept.additional = []
      } else if !kept.answers.isEmpty {
        kept.answers.removeLast(max(1, kept.answers.count / 4))
      } else {
        return bytes
      }
    }
  }

  private func encode(truncated: Bool) -> [UInt8] {
    var writer = MessageWriter()
    writer.word(query.id)
    writer.bytes.append(
      0x80 | query.opcode << 3 | (authoritative ? 4 : 0) | (truncated ? 2 : 0) | (query.recursionDesired ? 1 : 0))
    writer.bytes.append(0x80 | code.rawValue)
    writer.word(1)
    writer.word(UInt16(answers.count))
    writer.word(UInt16(authority.count))
    writer.word(UInt16(additional.count + (query.hasEDNS ? 1 : 0)))
    writer.name(query.question.name)
    writer.word(query.question.type)
    writer.word(query.question.recordClass)
    for record in answers + authority + additional { writer.record(record) }
    if query.hasEDNS {
      writer.bytes.append(0)
      writer.word(RecordType.opt)
      writer.word(1232)
      writer.bytes += [0, 0, 0, 0, 0, 0]
    }
    return writer.bytes
  }
}

private struct MessageWriter {
  var bytes: [UInt8] = []
  private var seen: [ArraySlice<String>: Int] = [:]

  mutating func word(_ value: UInt16) {
    bytes.append(UInt8(value >> 8))
    bytes.append(UInt8(value & 0xff))
  }

  mutating func long(_ value: UInt32) {
    word(UInt16(value >> 16))
    word(UInt16(value & 0xffff))
  }

  mutating func name(_ name: DNSName) {
    var rest = name.labels[...]
    while let label = rest.first {
      if let offset = seen[rest] {
        word(0xc000 | UInt16(offset))
        return
      }
      if bytes.count < 0x3fff { seen[rest] = bytes.count }
      let text = Array(label.utf8.prefix(63))
      bytes.append(UInt8(text.count))
      bytes += text
      rest = rest.dropFirst()
    }
    bytes.append(0)
  }

  mutating func record(_ record: Record) {
    name(record.name)
    word(record.type)
    word(1)
    long(record.timeToLive)
    let lengthAt = bytes.count
    word(0)
    switch record.data {
    case .a(let address): bytes += address
    case .cname(let target), .ptr(let target), .ns(let target): name(target)
    case .srv(let priority, let weight, let port, let target):
      word(priority)
      word(weight)
      word(port)
      // RFC 2782: the target of a SRV record is never compressed.
      for label in target.labels {
        bytes.append(UInt8(label.utf8.count))
        bytes += Array(label.utf8)
      }
      bytes.append(0)
    case .txt(let text):
      let data = Array(text.utf8.prefix(255))
      bytes.append(UInt8(data.count))
      bytes += data
    case .soa(let primary, let contact, let serial, let minimum):
      name(primary)
      name(contact)
      for value in [serial, 7200, 1800, 86400, minimum] { long(value) }
    }
    let length = bytes.count - lengthAt - 2
    bytes[lengthAt] = UInt8(length >> 8)
    bytes[lengthAt + 1] = UInt8(length & 0xff)
  }
}
