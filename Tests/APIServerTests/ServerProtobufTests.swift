import APIMachinery
import Testing

@testable import APIServer

@Suite struct ServerProtobufTests {
  /// Writes just enough of the wire format to build messages.
  struct Message {
    var bytes: [UInt8] = []
    mutating func varint(_ value: UInt64) {
      var value = value
      while value >= 0x80 {
        bytes.append(UInt8(value & 0x7F | 0x80))
        value >>= 7
      }
      bytes.append(UInt8(value))
    }
    func with(_ number: Int, _ value: Int64) -> Message {
      var copy = self
      copy.varint(UInt64(number << 3))
      copy.varint(UInt64(bitPattern: value))
      return copy
    }
    func with(_ number: Int, _ content: [UInt8]) -> Message {
      var copy = self
      copy.varint(UInt64(number << 3 | 2))
      copy.varint(UInt64(content.count))
      copy.bytes += content
      return copy
    }
    func with(_ number: Int, _ text: String) -> Message { with(number, Array(text.utf8)) }
    func with(_ number: Int, _ message: Message) -> Message { with(number, message.bytes) }
  }

  private func envelope(_ apiVersion: String, _ kind: String, _ object: Message) -> [UInt8] {
    [0x6B, 0x38, 0x73, 0x00]
      + Message().with(1, Message().with(1, apiVersion).with(2, kind)).with(2, object).with(3, "").with(4, "").bytes
  }

  private func json(_ body: [UInt8]) throws -> JSONValue { try JSONValue(parsing: ProtobufTranscoder.json(body)) }

  @Test func readsMapsAndLeavesOutEmptyFields() throws {
    let metadata = Message().with(1, "a").with(2, "").with(3, "default").with(7, 0).with(8, Message())
      .with(11, Message().with(1, "k").with(2, "v"))
    let tree = try json(
      envelope("v1", "ConfigMap", Message().with(1, metadata).with(2, Message().with(1, "x").with(2, "y"))))
    #expect(
      tree
        == (try JSONValue(
          parsing: Array(
            #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default","labels":{"k":"v"}},"data":{"x":"y"}}"#
              .utf8))))
  }

  @Test func readsInlineMessagesAndSpecialTypes() throws {
    let probe = Message().with(1, Message().with(2, Message().with(2, Message().with(1, 1).with(2, 0).with(3, "web"))))
      .with(3, 5)
    let resources = Message().with(1, Message().with(1, "cpu").with(2, Message().with(1, "100m")))
    let container = Message().with(1, "c").with(2, "image").with(8, resources).with(10, probe)
    let volume = Message().with(1, "v").with(2, Message().with(6, Message().with(1, "s").with(3, 420)))
    let pod = Message()
      .with(1, Message().with(1, "p").with(8, Message().with(1, 1_700_000_000).with(2, 0)))
      .with(2, Message().with(1, volume).with(2, container).with(4, 0))
    let tree = try json(envelope("v1", "Pod", pod))
    let spec = try #require(tree["spec"])
    #expect(tree["metadata"]?["creationTimestamp"]?.stringValue == "2023-11-14T22:13:20Z")
    let first = spec["containers"]?.arrayValue?.first
    #expect(first?["resources"]?["limits"]?["cpu"]?.stringValue == "100m")
    #expect(first?["livenessProbe"]?["httpGet"]?["port"]?.stringValue == "web")
    #expect(first?["livenessProbe"]?["timeoutSeconds"]?.intValue == 5)
    let named = spec["volumes"]?.arrayValue?.first
    #expect(named?["name"]?.stringValue == "v")
    #expect(named?["secret"]?["secretName"]?.stringValue == "s" && named?["secret"]?["defaultMode"]?.intValue == 420)
    // A pointer to zero is not nothing.
    #expect(spec["terminationGracePeriodSeconds"]?.intValue == 0)
  }

  @Test func readsOptionsOfEveryVersion() throws {
    let tree = try json(envelope("apps/v1", "DeleteOptions", Message().with(1, 0).with(4, "Foreground")))
    #expect(tree["gracePeriodSeconds"]?.intValue == 0 && tree["propagationPolicy"]?.stringValue == "Foreground")
  }

  @Test func refusesWhatItCannotRead() {
    #expect(throws: ProtobufReader.Malformed.self) { try ProtobufTranscoder.json(Array("{}".utf8)) }
    #expect(throws: ProtobufReader.Malformed.self) { try ProtobufTranscoder.json(envelope("v1", "Nothing", Message())) }
    let cut = Array(envelope("v1", "Pod", Message().with(1, Message().with(1, "p"))).dropLast(6))
    #expect(throws: ProtobufReader.Malformed.self) { try ProtobufTranscoder.json(cut) }
  }
}
