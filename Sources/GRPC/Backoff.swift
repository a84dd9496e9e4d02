/// The pauses between attempts to connect: exponential with jitter, as the gRPC connection back-off document says.
struct Backoff {
  let base: Duration
  let maximum: Duration
  private var failures = 0

  init(base: Duration, maximum: Duration) {
    self.base = base
    self.maximum = maximum
  }

  /// The pause after one more failure. `jitter` lies in -1...1.
  mutating func next(jitter: Double) -> Duration {
    var pause = base
    for _ in 0..<min(failures, 64) where pause < maximum { pause = pause * 1.6 }
    failures += 1
    return min(pause, maximum) * (1 + 0.2 * jitter)
  }

  mutating func reset() { failures = 0 }
}
