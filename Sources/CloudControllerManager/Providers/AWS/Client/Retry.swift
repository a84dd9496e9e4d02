/// How often, and after how long, a request that failed is sent again.
struct RetryPolicy: Sendable {
  /// All attempts, the first one too.
  var maxAttempts = 5
  /// The first delay's upper bound in seconds.
  var base = 0.2
  /// The same after being told to slow down.
  var throttledBase = 1.0
  /// No delay is longer.
  var limit = 20.0

  /// Exponential back-off with full jitter: anything between nothing and the bound, which doubles. `unit` is a random
  /// number in 0..<1.
  func delay(attempt: Int, throttled: Bool, unit: Double) -> Double {
    let bound = (throttled ? throttledBase : base) * Double(1 << min(attempt, 20))
    return min(bound, limit) * unit
  }
}

/// A bucket of tokens that keeps retries from multiplying the load of a service in trouble: a retry takes some, a
/// success gives some back, and without tokens there is no retry.
struct RetryQuota: Sendable {
  static let capacity = 500
  static let retryCost = 5
  static let timeoutCost = 10
  private(set) var tokens = capacity

  /// Takes what a retry costs; false: there is not enough.
  mutating func take(timeout: Bool) -> Bool {
    let cost = timeout ? Self.timeoutCost : Self.retryCost
    guard tokens >= cost else { return false }
    tokens -= cost
    return true
  }

  /// A request succeeded after so many retries.
  mutating func succeeded(afterRetry: Bool, timeout: Bool) {
    let gain = afterRetry ? (timeout ? Self.timeoutCost : Self.retryCost) : 1
    tokens = min(Self.capacity, tokens + gain)
  }
}

/// The rate at which requests leave, learnt from the service: unlimited until the service throttles, then cut to 70 %
/// of what was sent, and raised again along a cubic curve. It is the SDKs' "adaptive" mode. Times are in seconds.
struct AdaptiveRate: Sendable {
  private static let beta = 0.7
  private static let scale = 0.4
  private static let smoothing = 0.8
  private static let minFill = 0.5

  private(set) var enabled = false
  private var fill = 0.0
  private var capacity = 0.0
  private var tokens = 0.0
  private var filledAt: Double?
  private var lastMax = 0.0
  private var throttledAt: Double
  private var window = 0.0
  private(set) var measured = 0.0
  private var bucket: Double
  private var count = 0.0

  init(now: Double) {
    throttledAt = now
    bucket = (now * 2).rounded(.down) / 2
  }

  /// Takes a place and returns how long to wait for it.
  mutating func acquire(now: Double) -> Double {
    guard enabled else { return 0 }
    refill(now)
    tokens -= 1
    return tokens >= 0 ? 0 : -tokens / fill
  }

  private mutating func refill(_ now: Double) {
    if let filledAt { tokens = min(capacity, tokens + max(0, now - filledAt) * fill) }
    filledAt = now
  }

  /// A request came back.
  mutating func settle(throttled: Bool, now: Double) {
    measure(now)
    let rate: Double
    if throttled {
      let used = enabled ? min(measured, fill) : measured
      lastMax = used
      window = windowSize
      throttledAt = now
      rate = used * Self.beta
      // What was saved up before would be the burst that the service just refused.
      if !enabled { tokens = 0 }
      enabled = true
    } else {
      window = windowSize
      let t = now - throttledAt - window
      rate = Self.scale * t * t * t + lastMax
    }
    let next = min(rate, 2 * measured)
    if enabled { refill(now) }
    fill = max(next, Self.minFill)
    capacity = max(next, 1)
    tokens = min(tokens, capacity)
  }

  private var windowSize: Double { cubeRoot(lastMax * (1 - Self.beta) / Self.scale) }

  private mutating func measure(_ now: Double) {
    let half = (now * 2).rounded(.down) / 2
    count += 1
    guard half > bucket else { return }
    measured = count / (half - bucket) * Self.smoothing + measured * (1 - Self.smoothing)
    count = 0
    bucket = half
  }
}

/// Newton's method, so that no mathematics library is needed.
private func cubeRoot(_ value: Double) -> Double {
  guard value > 0 else { return 0 }
  var x = max(value, 1)
  for _ in 0..<60 { x -= (x * x * x - value) / (3 * x * x) }
  return x
}
