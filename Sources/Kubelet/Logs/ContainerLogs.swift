import Glibc

/// Reads container logs from their files.
enum ContainerLogs {
  /// The last lines of a log, without the format around them.
  static func tail(_ path: String, lines: Int, maxBytes: Int) -> String {
    guard let file = LogFile(path) else { return "" }
    file.seek(file.offset(ofLastLines: lines))
    var filter = LogFilter(LogOptions())
    var out: [UInt8] = []
    while let line = file.nextLine() { out += filter.take(line[...]) }
    return String(decoding: out.suffix(maxBytes), as: UTF8.self)
  }

  /// Streams a log. `isRunning` tells whether more can come; `write` takes what is to be shown.
  static func stream(
    _ path: String, _ options: LogOptions, isRunning: @Sendable () async -> Bool,
    write: @Sendable ([UInt8]) async throws -> Void
  ) async throws {
    guard var file = LogFile(path) else { throw Files.failure("open", path) }
    if let lines = options.tailLines { file.seek(file.offset(ofLastLines: lines)) }
    var filter = LogFilter(options)
    var batch: [UInt8] = []
    var ended = false
    var idle = 0
    var drained = false
    while true {
      while let line = file.nextLine() {
        batch += filter.take(line[...])
        if batch.count >= 32 * 1024 || filter.isFull {
          try await write(batch)
          batch = []
          if filter.isFull { return }
        }
      }
      if !batch.isEmpty {
        try await write(batch)
        batch = []
      }
      if !options.follow || ended { return }
      // The file was rotated away when its name stands for another one now.
      // What came into the old one before that is read first.
      if let now = Files.identity(path), now != file.identity {
        if !drained {
          drained = true
          continue
        }
        if let next = LogFile(path) {
          file = next
          drained = false
          continue
        }
      }
      // The runtime is asked now and then only; after the end comes one more look for what was written in between.
      idle += 1
      if idle % 5 == 1, await !isRunning() {
        ended = true
        continue
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}

/// An open log, read line by line. A line that is not whole yet is left for later.
final class LogFile {
  private let file: Int32
  let identity: UInt64
  private var buffer: [UInt8] = []
  private var start = 0
  private let chunkSize = 64 * 1024

  init?(_ path: String) {
    file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    var info = stat()
    fstat(file, &info)
    identity = UInt64(info.st_ino)
  }

  deinit { if file >= 0 { close(file) } }

  func seek(_ offset: Int64) {
    lseek(file, off_t(offset), SEEK_SET)
    buffer = []
    start = 0
  }

  /// Where the last lines begin.
  func offset(ofLastLines count: Int) -> Int64 {
    var info = stat()
    guard fstat(file, &info) == 0 else { return 0 }
    var end = Int64(info.st_size)
    if count <= 0 { return end }
    // A newline at the very end closes the last line; it does not begin another.
    var wanted = count + 1
    var chunk = [UInt8](repeating: 0, count: chunkSize)
    var last = true
    while end > 0 {
      let begin = max(0, end - Int64(chunkSize))
      let length = Int(end - begin)
      guard pread(file, &chunk, length, off_t(begin)) == length else { return 0 }
      if last, chunk[length - 1] != UInt8(ascii: "\n") { wanted -= 1 }
      last = false
      for index in stride(from: length - 1, through: 0, by: -1) where chunk[index] == UInt8(ascii: "\n") {
        wanted -= 1
        if wanted == 0 { return begin + Int64(index) + 1 }
      }
      end = begin
    }
    return 0
  }

  /// The next whole line, without its newline.
  func nextLine() -> [UInt8]? {
    while true {
      if let newline = buffer[start...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = newline + 1 }
        return Array(buffer[start..<newline])
      }
      if start > 0 {
        buffer.removeFirst(start)
        start = 0
      }
      var chunk = [UInt8](repeating: 0, count: chunkSize)
      let count = read(file, &chunk, chunk.count)
      if count <= 0 { return nil }
      buffer += chunk[..<count]
    }
  }
}
