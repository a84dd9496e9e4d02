import NIOCore
import RemoteCommand
import Testing

@Suite struct SPDYFrameTests {
  @Test func everyFrameComesBackWhateverTheChunks() throws {
    let frames: [SPDYFrame] = [
      .synStream(id: 1, fin: false, headers: [SPDYHeader("streamtype", "error"), SPDYHeader("port", "80")]),
      .synReply(id: 1, fin: true, headers: []),
      .headers(id: 1, fin: false, headers: [SPDYHeader("a", "1"), SPDYHeader("a", "2")]),
      .data(id: 3, fin: false, ByteBuffer(string: "hello")),
      .data(id: 3, fin: true, ByteBuffer()),
      .rstStream(id: 5, status: 5),
      .settings([4: 100, 7: 65536]),
      .ping(7),
      .goAway(lastGoodStream: 9, status: 0),
      .windowUpdate(id: 1, delta: 4096),
      .synStream(id: 11, fin: false, headers: [SPDYHeader("streamtype", "error")]),
    ]
    let encoder = SPDYEncoder()
    var wire = ByteBuffer()
    for frame in frames { wire.writeImmutableBuffer(encoder.encode(frame)) }
    for step in [1, 7, wire.readableBytes] {
      let decoder = SPDYDecoder()
      var rest = wire
      var read: [SPDYFrame] = []
      while let chunk = rest.readSlice(length: min(step, rest.readableBytes)), chunk.readableBytes > 0 {
        decoder.feed(chunk)
        while let frame = try decoder.next() { read.append(frame) }
      }
      #expect(read == frames)
    }
  }

  @Test func headerBlockBeginsWithTheDictionarysName() {
    // RFC 1950: 0x78, FLEVEL and FDICT bits, then the dictionary's Adler-32. A wrong dictionary shows here.
    let bytes = Array(
      SPDYEncoder().encode(.synReply(id: 1, fin: false, headers: [SPDYHeader("host", "x")])).readableBytesView)
    #expect(bytes[12] == 0x78)
    #expect(bytes[13] & 0x20 != 0)
    #expect(Array(bytes[14..<18]) == [0xe3, 0xc6, 0xa7, 0xc2])
  }

  @Test func garbageIsAnError() {
    let decoder = SPDYDecoder()
    decoder.feed(ByteBuffer(bytes: [0x80, 2, 0, 1, 0, 0, 0, 0]))
    #expect(throws: SPDYError.self) { try decoder.next() }
    let inflating = SPDYDecoder()
    inflating.feed(ByteBuffer(bytes: [0x80, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4]))
    #expect(throws: SPDYError.self) { try inflating.next() }
  }
}
