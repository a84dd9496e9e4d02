import APIMachinery

/// What stands around an object: four magic bytes and `runtime.Unknown`.
struct Envelope {
  static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]

  var apiVersion = ""
  var kind = ""
  /// Where the object's message lies.
  var start = 0
  var end = 0

  /// Reads an envelope; the object's bytes stay where they are.
  init(_ bytes: UnsafeBufferPointer<UInt8>) throws {
    guard bytes.starts(with: Self.magic), let base = bytes.baseAddress else {
      throw ProtobufError(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    }
    func text(_ field: WireReader.Field) -> String {
      String(decoding: UnsafeBufferPointer(rebasing: bytes[field.start..<field.end]), as: UTF8.self)
    }
    var reader = WireReader(base, 4, bytes.count)
    while let field = try reader.next() {
      guard field.wire == 2 else {
        if field.number <= 4 { throw ProtobufError("proto: wrong wireType = \(field.wire) for field Unknown") }
        continue
      }
      switch field.number {
      case 1:
        var type = WireReader(base, field.start, field.end)
        while let part = try type.next() {
          guard part.wire == 2 else { continue }
          if part.number == 1 { apiVersion = text(part) }
          if part.number == 2 { kind = text(part) }
        }
      case 2: (start, end) = (field.start, field.end)
      default: break
      }
    }
  }

  /// What comes before an object's message but for its tag and length.
  static func prefix(_ kind: GroupVersionKind) -> [UInt8] {
    var type: [UInt8] = []
    type.appendField(1, kind.apiVersion.utf8)
    type.appendField(2, kind.kind.utf8)
    var out = magic
    out.appendField(1, type)
    return out
  }

  /// The empty contentEncoding and contentType that Go writes at the end.
  static let suffix: [UInt8] = [0x1A, 0, 0x22, 0]

  /// How long an envelope is around a message.
  static func size(_ prefix: [UInt8], _ message: Int) -> Int {
    prefix.count + 1 + varintSize(message) + message + suffix.count
  }
}
