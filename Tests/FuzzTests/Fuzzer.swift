import Foundation
import Testing

/// Feeds a parser inputs that are nearly right, until its time is over.
///
/// `APUS_FUZZ_SECONDS` says for how long (a moment, unless told otherwise), `APUS_FUZZ_SEED` where to begin. The input in
/// hand lies in a file, so that one that ends the process is found there: it becomes a seed, and so a case of the tests.
struct Fuzzer {
  let name: String
  let seeds: [[UInt8]]
  let words: [String]
  private static let environment = ProcessInfo.processInfo.environment
  static let seconds = environment["APUS_FUZZ_SECONDS"].flatMap(Double.init) ?? 0.2
  static let longest = 4096

  init(_ name: String, seeds: [String], words: [String] = []) {
    self.init(name, bytes: seeds.map { Array($0.utf8) }, words: words)
  }

  init(_ name: String, bytes: [[UInt8]], words: [String] = []) {
    self.name = name
    seeds = bytes
    self.words = words
  }

  /// Tries inputs; `check` records an issue, or throws, for what is wrong. Rejecting an input is not wrong.
  func run(_ check: ([UInt8]) throws -> Void) throws {
    let seed = Self.environment["APUS_FUZZ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...UInt64.max)
    var random = Random(state: seed)
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-fuzz-\(name)").path
    let file = open(path, O_CREAT | O_RDWR | O_TRUNC, 0o600)
    try #require(file >= 0)
    defer { close(file) }
    func attempt(_ input: [UInt8]) throws {
      _ = input.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
      ftruncate(file, off_t(input.count))
      do {
        let took = try ContinuousClock().measure { try check(input) }
        // Time is a client's to waste only in proportion to what it sends; busy machines are given their due.
        if took > .seconds(5) { throw Wrong("took \(took)") }
      } catch {
        Issue.record(
          "\(name), seed \(seed): \(error): \(String(decoding: input.prefix(300), as: UTF8.self).debugDescription)")
        throw error
      }
    }
    for seed in seeds { try attempt(seed) }
    let end = ContinuousClock.now + .seconds(Self.seconds)
    var pool = seeds
    var count = 0
    while ContinuousClock.now < end {
      for _ in 0..<32 {
        var input = pool[Int(random.next() % UInt64(pool.count))]
        for _ in 0...(random.next() % 5) { mutate(&input, &random) }
        try attempt(input)
        count += 1
        // Some of what was tried is gone on from, or nothing would ever be far from the seeds.
        if random.next() % 64 == 0, input.count < 512 {
          if pool.count < seeds.count + 256 {
            pool.append(input)
          } else {
            pool[seeds.count + Int(random.next() % 256)] = input
          }
        }
      }
    }
    if Self.seconds >= 1 { print("\(name): \(count) inputs") }
    unlink(path)
  }

  private static let numbers = [
    "0", "-1", "1e9", "1e400", "-0", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1.5",
    "18446744073709551616", "0x10", "1_000", "NaN",
  ]

  private func mutate(_ input: inout [UInt8], _ random: inout Random) {
    func place(_ limit: Int) -> Int { limit == 0 ? 0 : Int(random.next() % UInt64(limit)) }
    if input.count > Self.longest { input.removeLast(input.count - Self.longest) }
    switch random.next() % 9 {
    case 0: if !input.isEmpty { input[place(input.count)] ^= 1 << UInt8(random.next() % 8) }
    case 1: if !input.isEmpty { input[place(input.count)] = UInt8(truncatingIfNeeded: random.next()) }
    case 2: input.insert(UInt8(truncatingIfNeeded: random.next()), at: place(input.count + 1))
    case 3:
      let from = place(input.count)
      input.removeSubrange(from..<min(input.count, from + 1 + place(8)))
    case 4:
      let from = place(input.count)
      let piece = Array(input[from..<min(input.count, from + 1 + place(24))])
      let at = place(input.count + 1)
      for _ in 0...place(8) { input.insert(contentsOf: piece, at: at) }
    case 5:
      let all = words.isEmpty ? Self.numbers : words
      input.insert(contentsOf: Array(all[place(all.count)].utf8), at: place(input.count + 1))
    case 6: input.insert(contentsOf: Array(Self.numbers[place(Self.numbers.count)].utf8), at: place(input.count + 1))
    case 7:
      let other = seeds[place(seeds.count)]
      let cut = place(other.count)
      input = Array(input.prefix(place(input.count + 1))) + other[cut...]
    default:
      if input.count > 1 { input.swapAt(place(input.count), place(input.count)) }
    }
  }

  private struct Random {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }
}

/// Something that a parser must never do.
struct Wrong: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
