import API
import Synchronization

/// What the health and metrics endpoints tell, written by the proxy's loop.
final class ProxyState: Sendable {
  struct Values {
    /// When changes began to wait; nil while none does. Seconds since 1970.
    var waitingSince: Double?
    var lastUpdated: Double
    var isNodeEligible = true
    var syncs: UInt64 = 0
    var syncSeconds = 0.0
    var syncBuckets = [UInt64](repeating: 0, count: ProxyState.bounds.count)
    var failures: UInt64 = 0
    var fullSyncs: UInt64 = 0
    var serviceChanges: UInt64 = 0
    var endpointChanges: UInt64 = 0
    var forgottenFlows: UInt64 = 0
    /// Local ready endpoints of Services with a health check port.
    var localEndpoints: [ObjectKey: Int] = [:]
  }

  /// Seconds; upstream's buckets.
  static let bounds = (0..<15).map { 0.001 * Double(1 << $0) }
  /// How long changes may wait before the proxy counts as broken: twice upstream's sync period.
  private static let patience = 60.0

  private let values: Mutex<Values>
  private let clock: @Sendable () -> Double

  init(clock: @escaping @Sendable () -> Double) {
    self.clock = clock
    values = Mutex(Values(lastUpdated: clock()))
  }

  var now: Double { clock() }

  func read() -> Values { values.withLock { $0 } }

  func change(_ body: (inout Values) -> Void) { values.withLock { body(&$0) } }

  func queued() {
    let now = clock()
    values.withLock { values in
      if values.waitingSince == nil { values.waitingSince = now }
    }
  }

  func synced(seconds: Double, isFull: Bool) {
    let now = clock()
    values.withLock { values in
      values.waitingSince = nil
      values.lastUpdated = now
      values.syncs += 1
      values.syncSeconds += seconds
      if isFull { values.fullSyncs += 1 }
      for (index, bound) in Self.bounds.enumerated() where seconds <= bound { values.syncBuckets[index] += 1 }
    }
  }

  /// Whether rules are up to date, or became stale only a short time ago.
  var isHealthy: Bool {
    let now = clock()
    return values.withLock { values in values.waitingSince.map { now - $0 < Self.patience } ?? true }
  }
}
