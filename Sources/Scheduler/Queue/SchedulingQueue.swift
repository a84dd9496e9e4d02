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
  case namespaceChanged
  case volumeChanged

  /// Whether the event may help a pod that these plugins refused (upstream's queueing hints, KEP-4247).
  func mayHelp(refusedBy plugins: Set<String>) -> Bool {
    // What extenders go by nobody knows.
    if plugins.contains(SchedulerExtender.plugin) { return true }
    return switch self {
    case .nodeAdded: true
    case .nodeAllocatableChanged: plugins.contains("NodeResourcesFit")
    case .nodeLabelsChanged:
      !plugins.isDisjoint(with: ["NodeAffinity", "VolumeBinding", "PodTopologySpread", "InterPodAffinity"])
    case .nodeTaintsChanged:
      !plugins.isDisjoint(with: ["TaintToleration", "NodeUnschedulable", "PodTopologySpread"])
    case .podRemoved:
      !plugins.isDisjoint(with: [
        "NodeResourcesFit", "NodePorts", "PodTopologySpread", "InterPodAffinity", "VolumeRestrictions",
        "NodeVolumeLimits",
      ])
    case .podPlaced: plugins.contains("PodTopologySpread") || plugins.contains("InterPodAffinity")
    case .namespaceChanged: plugins.contains("InterPodAffinity")
    case .volumeChanged:
      !plugins.isDisjoint(with: ["VolumeBinding", "VolumeZone", "NodeVolumeLimits", "VolumeRestrictions"])
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
  /// Refused pods by who refused them, so that an event asks once for all of them.
  private var refusedPods: [Set<String>: Set<String>] = [:]
  private var backingOff: Set<String> = []
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

  /// Whether a pod was taken from the queue and has not come back.
  func isUnderWay(_ uid: String) -> Bool { places[uid] == .inFlight }

  mutating func remove(_ uid: String) {
    leave(uid)
    entries[uid] = nil
    places[uid] = nil
    missed[uid] = nil
  }

  private mutating func leave(_ uid: String) {
    switch places[uid] {
    case .backoff: backingOff.remove(uid)
    case .unschedulable:
      guard let plugins = entries[uid]?.refusedBy else { return }
      refusedPods[plugins]?.remove(uid)
      if refusedPods[plugins]?.isEmpty ?? false { refusedPods[plugins] = nil }
    default: break
    }
  }

  /// The next pod to try; nil when none is ready.
  mutating func pop(now: Double) -> Entry? {
    while let rank = active.popMax() {
      guard places[rank.uid] == .active, var entry = entries[rank.uid] else { continue }
      entry.attempts += 1
      entries[rank.uid] = entry
      places[rank.uid] = .inFlight
      missed[rank.uid] = []
      return entry
    }
    return nil
  }

  /// The try came to nothing. `refusedBy` names the plugins; none means an error, which is tried again after back-off.
  mutating func refused(_ uid: String, by plugins: Set<String>, now: Double) {
    guard entries[uid] != nil else { return }
    leave(uid)
    entries[uid]?.refusedBy = plugins
    entries[uid]?.since = now
    let helped = missed.removeValue(forKey: uid)?.contains { $0.mayHelp(refusedBy: plugins) } ?? false
    if plugins.isEmpty || helped {
      places[uid] = .backoff
      backingOff.insert(uid)
    } else {
      places[uid] = .unschedulable
      refusedPods[plugins, default: []].insert(uid)
    }
  }

  /// Moves the pods that the event may help out of `unschedulable`.
  mutating func moveOn(_ event: ClusterEvent, now: Double) {
    for uid in missed.keys { missed[uid]?.insert(event) }
    for (plugins, uids) in refusedPods where event.mayHelp(refusedBy: plugins) {
      for uid in uids {
        guard let entry = entries[uid] else { continue }
        leave(uid)
        if backoffEnd(entry) <= now {
          activate(uid)
        } else {
          places[uid] = .backoff
          backingOff.insert(uid)
        }
      }
    }
  }

  /// Makes pods active whose back-off is over or that were refused long ago; answers when to ask again.
  mutating func flush(now: Double) -> Double? {
    var next: Double?
    func look(_ uid: String, _ due: Double) -> Bool {
      if due > now { next = min(next ?? due, due) }
      return due <= now
    }
    for uid in backingOff {
      if let entry = entries[uid], look(uid, backoffEnd(entry)) { activate(uid) }
    }
    for uid in refusedPods.values.joined() {
      if let entry = entries[uid], look(uid, entry.since + maxUnschedulable) { activate(uid) }
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
      places[uid] = .gated
    } else {
      activate(uid)
    }
  }

  private mutating func activate(_ uid: String) {
    guard let entry = entries[uid] else { return }
    leave(uid)
    places[uid] = .active
    order += 1
    active.insert(Rank(priority: entry.pod.spec.priority ?? 0, added: entry.added, order: order, uid: uid))
  }
}
