import API
import APIMachinery

/// Which pods of an older template give way now, and where a new one comes up beside an old one: pure.
struct DaemonSetUpdate: Sendable, Equatable {
  private(set) var create: [String] = []
  private(set) var delete: [Pod] = []

  private typealias Observed = DaemonSetDecision.Observed

  /// A node's pods in a roll-out.
  private enum State {
    /// More of one kind than there should be: placing clears that up.
    case unclear
    case none
    case new(Pod)
    case old(Pod)
    case both(new: Pod, old: Pod)

    init(_ pods: [Pod], _ observed: Observed) {
      let live = pods.filter { !$0.isBeingDeleted }
      let new = live.filter { observed.isUpdated($0) }
      let old = live.filter { !observed.isUpdated($0) }
      switch (new.first, old.first) {
      case _ where new.count > 1 || old.count > 1: self = .unclear
      case (nil, nil): self = .none
      case (let new?, nil): self = .new(new)
      case (nil, let old?): self = .old(old)
      case (let new?, let old?): self = .both(new: new, old: old)
      }
    }
  }

  static func decide(_ observed: DaemonSetDecision.Observed) -> DaemonSetUpdate {
    let rolling = observed.set.spec.updateStrategy.rollingUpdate
    let desired = observed.desired
    var unavailable = (rolling?.maxUnavailable ?? .int(1)).scaled(total: desired, roundUp: true) ?? 1
    let surge = rolling?.maxSurge?.scaled(total: desired, roundUp: true) ?? 0
    // With both at zero nothing could ever move.
    if desired > 0, unavailable == 0, surge == 0 { unavailable = 1 }
    var states: [(node: String, state: State)] = []
    for node in observed.nodes {
      let name = node.metadata.name
      // A node that wants a pod and has none counts among those that do not serve.
      guard let pods = observed.byNode[name] ?? (observed.shouldRun(name) ? [] : nil) else { continue }
      states.append((name, State(pods, observed)))
    }
    var update = DaemonSetUpdate()
    if surge == 0 {
      update.replace(states, observed, allowed: unavailable)
    } else {
      update.surge(states, observed, allowed: surge)
    }
    return update
  }

  /// Deletes old pods: those that do not serve at once, of the others as many as may be missing.
  private mutating func replace(_ states: [(node: String, state: State)], _ observed: Observed, allowed: Int) {
    var missing = 0
    var candidates: [Pod] = []
    for (_, state) in states {
      switch state {
      case .unclear, .none, .both:
        missing += 1
      case .new(let pod):
        if !observed.isAvailable(pod) { missing += 1 }
      case .old(let pod):
        if observed.isAvailable(pod) {
          candidates.append(pod)
        } else {
          delete.append(pod)
          missing += 1
        }
      }
    }
    delete += candidates.prefix(max(0, allowed - missing))
  }

  /// Makes new pods beside old ones, and deletes the old ones once the new ones serve.
  private mutating func surge(_ states: [(node: String, state: State)], _ observed: Observed, allowed: Int) {
    var surging = 0
    var available = 0
    var candidates: [String] = []
    var misplaced: [Pod] = []
    for (node, state) in states {
      switch state {
      case .unclear:
        surging += 1
      case .none:
        break
      case .new(let pod):
        if observed.isAvailable(pod) { available += 1 }
      case .old(let pod):
        let serves = observed.isAvailable(pod)
        if serves { available += 1 }
        if !observed.shouldRun(node) {
          misplaced.append(pod)
        } else if serves {
          candidates.append(node)
        } else {
          create.append(node)
        }
      case .both(let new, let old):
        if observed.isAvailable(old) { available += 1 }
        if observed.isAvailable(new) {
          delete.append(old)
        } else {
          surging += 1
        }
      }
    }
    // A pod that no longer belongs where it is goes once there are enough elsewhere.
    delete += misplaced.prefix(max(0, available - observed.desired))
    create += candidates.prefix(max(0, allowed - surging))
  }
}
