import NIOCore
import RemoteCommand
import Testing

@Suite struct WebSocketTests {
  @Test func acceptKeyOfTheRFC() {
    #expect(WebSocketHandshake.accept(key: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }

  @Test func negotiationTakesTheClientsFirstKnown() {
    #expect(
      WebSocketHandshake.negotiate(
        offered: ["v6.channel.k8s.io, v4.channel.k8s.io", "v5.channel.k8s.io"], supported: RemoteProtocols.webSocketExec
      )
        == "v4.channel.k8s.io")
    #expect(WebSocketHandshake.negotiate(offered: ["other"], supported: ["x"]) == nil)
  }

  @Test(arguments: [0, 1, 125, 126, 65535, 65536, 100_000])
  func lengthsRoundTripMasked(length: Int) throws {
    let payload = ByteBuffer(bytes: (0..<length).map { UInt8(truncatingIfNeeded: $0) })
    var decoder = WebSocketDecoder(expectsMask: true)
    decoder.feed(WebSocketEncoder.encode(.binary(payload), mask: 0x0102_0304))
    #expect(try decoder.next() == .binary(payload))
    #expect(try decoder.next() == nil)
  }

  @Test func fragmentsJoinAroundControlFrames() throws {
    var decoder = WebSocketDecoder(expectsMask: false)
    decoder.feed(ByteBuffer(bytes: [0x02, 1, 65, 0x89, 0, 0x80, 1, 66]))
    #expect(try decoder.next() == .ping(ByteBuffer()))
    #expect(try decoder.next() == .binary(ByteBuffer(string: "AB")))
  }

  @Test func violationsCarryTheirCode() {
    var unmasked = WebSocketDecoder(expectsMask: true)
    unmasked.feed(ByteBuffer(bytes: [0x82, 1, 65]))
    #expect { try unmasked.next() } throws: { ($0 as? WebSocketError)?.code == 1002 }
    var big = WebSocketDecoder(expectsMask: false, maxMessage: 10)
    big.feed(ByteBuffer(bytes: [0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0]))
    #expect { try big.next() } throws: { ($0 as? WebSocketError)?.code == 1009 }
  }
}
