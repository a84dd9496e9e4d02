import API
import APIMachinery

/// Decides, from what a Lease says and what was seen of it before, whether to take it, keep it or wait.
///
/// ```
/// follower ── lease free, ours, or not renewed for leaseDuration ──→ try to take it ── written ──→ leader
/// leader ── every retryPeriod: renew ── written ──→ leader
/// leader ── not renewed for renewDeadline ──→ lost (final)
/// ```
///
/// A holder's time counts from when *we* last saw the lease change, never from the clock it wrote: clocks differ.
struct LeaderElectionMachine: Sendable {
  /// What the lease held when it was last read.
  struct Observed: Sendable, Equatable {
    var spec: LeaseSpec
    var at: ContinuousClock.Instant
  }

  enum Decision: Sendable, Equatable {
    /// Write this; a conflict means someone was faster.
    case write(LeaseSpec)
    /// Someone else leads.
    case wait
  }

  let identity: String
  let leaseDuration: Duration
  private(set) var observed: Observed?

  init(identity: String, leaseDuration: Duration) {
    self.identity = identity
    self.leaseDuration = leaseDuration
  }

  /// Notes what the lease says.
  mutating func saw(_ spec: LeaseSpec, at now: ContinuousClock.Instant) {
    if observed?.spec != spec { observed = Observed(spec: spec, at: now) }
  }

  var isLeader: Bool { observed?.spec.holderIdentity == identity }

  /// The first lease of all.
  func fresh(wall: MicroTime) -> LeaseSpec {
    var spec = LeaseSpec()
    spec.holderIdentity = identity
    spec.leaseDurationSeconds = Int32(leaseDuration.components.seconds)
    spec.acquireTime = wall
    spec.renewTime = wall
    spec.leaseTransitions = 0
    return spec
  }

  /// What to do about the lease as last seen.
  func decide(at now: ContinuousClock.Instant, wall: MicroTime) -> Decision {
    guard let observed else { return .write(fresh(wall: wall)) }
    let holder = observed.spec.holderIdentity ?? ""
    if !holder.isEmpty, holder != identity, now < observed.at + leaseDuration { return .wait }
    var spec = fresh(wall: wall)
    spec.leaseTransitions = observed.spec.leaseTransitions ?? 0
    if holder == identity {
      spec.acquireTime = observed.spec.acquireTime
    } else {
      spec.leaseTransitions = (spec.leaseTransitions ?? 0) + 1
    }
    return .write(spec)
  }

  /// The lease as a leader leaves it who goes of his own accord: free at once.
  func released(wall: MicroTime) -> LeaseSpec? {
    guard isLeader, let spec = observed?.spec else { return nil }
    var free = LeaseSpec()
    free.holderIdentity = ""
    free.leaseDurationSeconds = 1
    free.acquireTime = wall
    free.renewTime = wall
    free.leaseTransitions = spec.leaseTransitions
    return free
  }
}
