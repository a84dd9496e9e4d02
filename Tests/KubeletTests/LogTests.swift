import API
import Logging
import Synchronization
import Testing

@testable import Kubelet

@Suite struct LogTests {
  private let log = """
    2026-01-01T00:00:01.000000000Z stdout F one
    2026-01-01T00:00:02.000000000Z stderr F two
    2026-01-01T00:00:03.000000000Z stdout P thr
    2026-01-01T00:00:03.100000000Z stdout F ee
    2026-01-01T00:00:04.000000000Z stdout F four

    """

  private final class Sink: Sendable {
    let bytes = Mutex<[UInt8]>([])
    var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
  }

  private func read(_ text: String, _ options: LogOptions) async throws -> String {
    let scratch = Scratch()
    let path = "\(scratch.path)/0.log"
    try Files.write(path, Array(text.utf8))
    let sink = Sink()
    try await ContainerLogs.stream(path, options, isRunning: { false }) { bytes in sink.bytes.withLock { $0 += bytes } }
    return sink.text
  }

  @Test func partialLinesJoin() async throws {
    #expect(try await read(log, LogOptions()) == "one\ntwo\nthree\nfour\n")
  }

  @Test func optionsChoose() async throws {
    #expect(try await read(log, LogOptions(tailLines: 1)) == "four\n")
    #expect(try await read(log, LogOptions(tailLines: 0)) == "")
    #expect(try await read(log, LogOptions(tailLines: 100)) == "one\ntwo\nthree\nfour\n")
    #expect(try await read(log, LogOptions(limitBytes: 6)) == "one\ntw")
    #expect(try await read(log, LogOptions(stream: "Stderr")) == "two\n")
    #expect(
      try await read(log, LogOptions(since: MicroTime(rfc3339: "2026-01-01T00:00:03Z"))) == "three\nfour\n")
    #expect(
      try await read(log, LogOptions(tailLines: 3, timestamps: true))
        == "2026-01-01T00:00:03.000000000Z three\n2026-01-01T00:00:04.000000000Z four\n")
  }

  @Test func badLinesAreLeftOut() async throws {
    #expect(try await read("nonsense\n2026-01-01T00:00:01Z stdout F\n", LogOptions()) == "\n")
    #expect(LogLine.parse(Array("t stdlog F x".utf8)[...]) == nil)
  }

  @Test(.timeLimit(.minutes(1))) func followingSurvivesRotation() async throws {
    let scratch = Scratch()
    let path = "\(scratch.path)/0.log"
    try Files.write(path, Array("2026-01-01T00:00:01Z stdout F a\n".utf8))
    let sink = Sink()
    let round = Mutex(0)
    try await ContainerLogs.stream(
      path, LogOptions(follow: true),
      isRunning: {
        let now = round.withLock { r -> Int in
          r += 1
          return r
        }
        if now == 1 {
          try? Files.rename(path, path + ".old")
          try? Files.write(path, Array("2026-01-01T00:00:02Z stdout F b\n".utf8))
        }
        return now < 3
      }
    ) { bytes in sink.bytes.withLock { $0 += bytes } }
    #expect(sink.text == "a\nb\n")
  }

  @Test func rotationKeepsTheNewest() async throws {
    let scratch = Scratch()
    let engine = FakeEngine()
    let path = "\(scratch.path)/0.log"
    for name in ["0.log.1", "0.log.2", "0.log.3"] { try Files.write("\(scratch.path)/\(name)", [1]) }
    try Files.write(path, [1])
    let rotation = LogRotation(engine: engine, maxSize: 1, maxFiles: 3, logger: .init(label: "test"))
    try await rotation.rotate(path, "c")
    let left = try Files.list(scratch.path)
    #expect(left.count == 2 && left[0].hasPrefix("0.log.20") && left[1] == "0.log.3")
    #expect(engine.calls == ["reopen"])
  }
}
