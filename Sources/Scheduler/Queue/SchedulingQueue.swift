import API
import HeapModule

/// What happened in the cluster that may make a pod schedulable.
enum ClusterEvent: Hashable, Sendable {
  case nodeAdded
  case nodeAllocatableChanged
  case nodeLabelsChanged
  case nodeTaintsChanged
  case podRemoved
  case podPlaced
  case volumeChanged

  /// Whether the event may help a pod that these plugins refused (upstream's queueing hints, KEP-4247).
  func mayHelp(refusedBy plugins: Set<String>) -> Bool {
    switch self {
    case .nodeAdded: true
    case .nodeAllocatableChanged: plugins.contains("NodeResourcesFit")
    case .nodeLabelsChanged:
      !plugins.isDisjoint(with: ["NodeAffinity", "VolumeBinding", "PodTopologySpread", "InterPodAffinity"])
    case .nodeTaintsChanged: plugins.contains("TaintToleration") || plugins.contains("NodeUnschedulable")
    case .podRemoved:
      !plugins.isDisjoint(with: ["NodeResourcesFit", "NodePorts", "PodTopologySpread", "InterPodAffinity"])
    case .podPlaced: !plugins.isDisjoint(with: ["PodTopologySpread", "InterPodAffinity"])
    case .volumeChanged: plugins.contains("VolumeBinding")
    }
  }
}

/// Pods that wait to be placed, as upstream's three-part queue. A value: time comes in with each call, in seconds.
///
///     add ─▶ active (priority, then age) ─▶ pop ─▶ in flight ─▶ bound
///              ▲                                      │ refused
///              │ back-off over                        ▼
///           backoff ◀── an event that may help ── unschedulable ──▶ (after 5 minutes) active
struct SchedulingQueue: Sendable {
  struct Entry: Sendable {
    var pod: Pod
    var added: Double
    var attempts = 0
    var refusedBy: Set<String> = []
    var since: Double = 0
  }

  private struct Rank: Comparable, Sendable {
    var priority: Int32
    var added: Double
    var order: UInt64
    var uid: String

    static func < (a: Rank, b: Rank) -> Bool {
      (a.priority, -a.added, UInt64.max - a.order) < (b.priority, -b.added, UInt64.max - b.order)
    }
  }

  private enum Place: Sendable { case active, backoff, unschedulable, gated, inFlight }

  private var entries: [String: Entry] = [:]
  private var places: [String: Place] = [:]
  /// Those of `places` that events may concern.
  private var refused: Set<String> = []
  private var inFlight: Set<String> = []
  private var active = Heap<Rank>()
  private var order: UInt64 = 0
  /// Events seen while a pod was being tried; they may have come too late for that try.
  private var missed: [String: Set<ClusterEvent>] = [:]

  let initialBackoff: Double
  let maxBackoff: Double
  let maxUnschedulable: Double = 300
  private let gates: [any PreEnqueuePlugin]

  init(initialBackoff: Double = 1, maxBackoff: Double = 10, gates: [any PreEnqueuePlugin] = []) {
    self.initialBackoff = initialBackoff
    self.maxBackoff = maxBackoff
    self.gates = gates
  }

  var count: Int { entries.count }

  /// A new pod, or a changed one. Only a change that a refusal could turn on makes a refused pod active again.
  mutating func set(_ pod: Pod, now: Double) {
    let uid = pod.metadata.uid
    guard var entry = entries[uid] else {
      entries[uid] = Entry(pod: pod, added: now)
      enqueue(uid)
      return
    }
    let changed = entry.pod.spec != pod.spec || entry.pod.metadata.labels != pod.metadata.labels
    entry.pod = pod
    entries[uid] = entry
    switch places[uid] {
    case .gated: enqueue(uid)
    case .unschedulable where changed: enqueue(uid)
    default: break
    }
  }

  mutating func remove(_ uid: String) {
    entries[uid] = nil
    put(uid, nil)
    missed[uid] = nil
  }

  /// The next pod to try; nil when none is ready.
  mutating func pop(now: Double) -> Entry? {
    while let rank = active.popMax() {
      guard places[rank.uid] == .active, var entry = entries[rank.uid] else { continue }
      entry.attempts += 1
      entries[rank.uid] = entry
      put(rank.uid, .inFlight)
      missed[rank.uid] = []
      return entry
    }
    return nil
  }

  /// The try came to nothing. `refusedBy` names the plugins; none means an error, which is tried again after back-off.
  mutating func refused(_ uid: String, by plugins: Set<String>, now: Double) {
    guard entries[uid] != nil else { return }
    entries[uid]?.refusedBy = plugins
    entries[uid]?.since = now
    let helped = missed.removeValue(forKey: uid)?.contains { $0.mayHelp(refusedBy: plugins) } ?? false
    put(uid, plugins.isEmpty || helped ? .backoff : .unschedulable)
  }

  /// Moves the pods that the event may help out of `unschedulable`.
  mutating func moveOn(_ event: ClusterEvent, now: Double) {
    for uid in inFlight { missed[uid]?.insert(event) }
    for uid in refused {
      guard let entry = entries[uid], event.mayHelp(refusedBy: entry.refusedBy) else { continue }
      if backoffEnd(entry) <= now { activate(uid) } else { put(uid, .backoff) }
    }
  }

  private mutating func put(_ uid: String, _ place: Place?) {
    places[uid] = place
    if place == .unschedulable { refused.insert(uid) } else { refused.remove(uid) }
    if place == .inFlight { inFlight.insert(uid) } else { inFlight.remove(uid) }
  }

  /// Makes pods active whose back-off is over or that were refused long ago; answers when to ask again.
  mutating func flush(now: Double) -> Double? {
    var next: Double?
    for (uid, place) in places {
      guard let entry = entries[uid] else { continue }
      let due: Double
      switch place {
      case .backoff: due = backoffEnd(entry)
      case .unschedulable: due = entry.since + maxUnschedulable
      default: continue
      }
      if due <= now { activate(uid) } else { next = min(next ?? due, due) }
    }
    return next
  }

  private func backoffEnd(_ entry: Entry) -> Double {
    var delay = initialBackoff
    for _ in 1..<max(1, entry.attempts) where delay < maxBackoff { delay *= 2 }
    return entry.since + min(delay, maxBackoff)
  }

  private mutating func enqueue(_ uid: String) {
    guard let entry = entries[uid] else { return }
    if gates.contains(where: { $0.preEnqueue(entry.pod) != nil }) {
      put(uid, .gated)
    } else {
      activate(uid)
    }
  }

  private mutating func activate(_ uid: String) {
    guard let entry = entries[uid] else { return }
    put(uid, .active)
    order += 1
    active.insert(Rank(priority: entry.pod.spec.priority ?? 0, added: entry.added, order: order, uid: uid))
  }
}
