import API

/// One line of a container's log in CRI's format: `TIME stdout|stderr F|P[:TAG] TEXT`.
struct LogLine: Equatable {
  var time: ArraySlice<UInt8>
  var isError: Bool
  /// The text goes on in the next line of this stream.
  var isPartial: Bool
  var text: ArraySlice<UInt8>

  /// Reads a line without its newline; nil when it is not of the format.
  static func parse(_ line: ArraySlice<UInt8>) -> LogLine? {
    let space = UInt8(ascii: " ")
    guard let first = line.firstIndex(of: space) else { return nil }
    let rest = line[(first + 1)...]
    guard let second = rest.firstIndex(of: space) else { return nil }
    let stream = rest[..<second]
    let isError: Bool
    if stream.elementsEqual("stdout".utf8) {
      isError = false
    } else if stream.elementsEqual("stderr".utf8) {
      isError = true
    } else {
      return nil
    }
    let tail = line[(second + 1)...]
    // An empty text may have lost its separating space.
    let third = tail.firstIndex(of: space) ?? tail.endIndex
    guard let tag = tail.first, third > tail.startIndex else { return nil }
    return LogLine(
      time: line[..<first], isError: isError, isPartial: tag == UInt8(ascii: "P"),
      text: third < tail.endIndex ? tail[(third + 1)...] : [])
  }
}

/// What a reader of logs wants.
struct LogOptions: Sendable {
  var follow = false
  /// Lines from the end; nil is all.
  var tailLines: Int?
  /// Only what came after; nanoseconds since 1970.
  var since: MicroTime?
  var timestamps = false
  var limitBytes: Int?
  /// `All`, `Stdout` or `Stderr`.
  var stream = "All"
}

/// Chooses and shapes lines, within the limit of bytes. Pure.
struct LogFilter {
  let options: LogOptions
  private var left: Int?
  private var middle: [Bool: Bool] = [:]

  init(_ options: LogOptions) {
    self.options = options
    left = options.limitBytes
  }

  /// Whether nothing more may be written.
  var isFull: Bool { left == 0 }

  /// What to write for a line; empty for nothing.
  mutating func take(_ line: ArraySlice<UInt8>) -> [UInt8] {
    guard let parsed = LogLine.parse(line) else { return [] }
    switch options.stream {
    case "Stdout": if parsed.isError { return [] }
    case "Stderr": if !parsed.isError { return [] }
    default: break
    }
    if let since = options.since {
      guard let time = LogTime.parse(parsed.time) else { return [] }
      if time < since { return [] }
    }
    var out: [UInt8] = []
    // The time stands at the head of a line, not at each of its parts.
    if options.timestamps, middle[parsed.isError] != true {
      out += parsed.time
      out.append(UInt8(ascii: " "))
    }
    out += parsed.text
    if !parsed.isPartial { out.append(UInt8(ascii: "\n")) }
    middle[parsed.isError] = parsed.isPartial
    if let room = left {
      if out.count > room { out = Array(out[..<room]) }
      left = room - out.count
    }
    return out
  }
}

/// Reads the times of log lines.
enum LogTime {
  static func parse(_ text: ArraySlice<UInt8>) -> MicroTime? {
    MicroTime(rfc3339: String(decoding: text, as: UTF8.self))
  }
}
