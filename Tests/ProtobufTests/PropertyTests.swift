import APIMachinery
import APISchema
import Testing

@testable import Protobuf

@Suite struct PropertyTests {
  static let kinds: [(schema: Schema, kind: GroupVersionKind)] = builtInSchema.types
    .flatMap { schema in schema.gvks.map { (schema, $0) } }
    .filter { ProtobufKind.of($0.1) != nil }
    .sorted { $0.0.name < $1.0.name }

  private func document(_ kind: GroupVersionKind, _ tree: JSONValue) -> [UInt8] {
    var tree = tree
    tree["kind"] = .string(kind.kind)
    tree["apiVersion"] = .string(kind.apiVersion)
    return tree.encoded()
  }

  @Test func everyKindComesBackAsItWas() throws {
    #expect(Self.kinds.count > 180)
    var objects = RandomObjects(seed: 1)
    for (schema, kind) in Self.kinds {
      for _ in 0..<3 {
        let tree = objects.object(schema)
        let json = document(kind, tree)
        let bytes = try #require(try KubernetesProtobuf.envelope(json))
        let back = try JSONValue(parsing: KubernetesProtobuf.json(bytes))
        let sent = normalized(try JSONValue(parsing: json), schema)
        #expect(normalized(back, schema) == sent, "\(kind)")
        // Once more: what came back makes the same bytes.
        #expect(try KubernetesProtobuf.envelope(KubernetesProtobuf.json(bytes)) == bytes, "\(kind)")
      }
    }
  }

  @Test func fieldsOfAMessageAreInOrder() throws {
    var objects = RandomObjects(seed: 2)
    for (schema, kind) in Self.kinds {
      let bytes = try #require(try KubernetesProtobuf.envelope(document(kind, objects.object(schema))))
      try bytes.withUnsafeBufferPointer { buffer in
        let envelope = try Envelope(buffer)
        var reader = WireReader(try #require(buffer.baseAddress), envelope.start, envelope.end)
        var last = 0
        while let field = try reader.next() {
          #expect(field.number >= last)
          last = field.number
        }
      }
    }
  }

  /// Whatever arrives, the answer is JSON or an error.
  @Test func damagedBytesAreErrorsAtMost() throws {
    var objects = RandomObjects(seed: 3)
    var random = Seeded(4)
    var understood = 0
    for (index, entry) in Self.kinds.enumerated() where index % 4 == 0 {
      let bytes = try #require(try KubernetesProtobuf.envelope(document(entry.kind, objects.object(entry.schema))))
      for round in 0..<40 {
        var damaged = bytes
        if round % 4 == 0 {
          damaged.removeLast(Int.random(in: 1...bytes.count, using: &random))
        } else {
          for _ in 0..<Int.random(in: 1...4, using: &random) {
            damaged[Int.random(in: min(40, bytes.count - 1)..<bytes.count, using: &random)] = UInt8.random(
              in: 0...255, using: &random)
          }
        }
        do {
          _ = try JSONValue(parsing: KubernetesProtobuf.json(damaged))
          understood += 1
        } catch is ProtobufError {}
      }
    }
    #expect(understood > 0)
  }

  @Test func noiseIsAnErrorOrJSON() throws {
    var random = Seeded(5)
    for (index, entry) in Self.kinds.enumerated() where index % 3 == 0 {
      for _ in 0..<10 {
        let noise = (0..<Int.random(in: 0...80, using: &random)).map { _ in
          UInt8.random(in: 0...60, using: &random)
        }
        let kind = try #require(ProtobufKind.of(entry.kind))
        do {
          _ = try JSONValue(parsing: KubernetesProtobuf.json(kind.envelope(message: noise)))
        } catch is ProtobufError {}
      }
    }
  }
}
