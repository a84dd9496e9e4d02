import API
import APIMachinery

/// The order in which a controller gives up its pods: what serves least goes first.
struct PodRanking: Sendable {
  let now: Time
  /// How many of the owner's kin run on a pod's node, by node.
  let crowd: [String: Int]

  init(now: Time, related pods: [Pod]) {
    self.now = now
    var crowd: [String: Int] = [:]
    for pod in pods where pod.isActive && !pod.spec.nodeName.isEmpty { crowd[pod.spec.nodeName, default: 0] += 1 }
    self.crowd = crowd
  }

  /// The pods to delete, of those that are active.
  func victims(of pods: [Pod], count: Int) -> [Pod] {
    // With nothing to choose between, upstream does not sort either.
    guard count < pods.count else { return pods }
    return Array(pods.sorted(by: precedes).prefix(count))
  }

  /// Whether `a` goes before `b`.
  func precedes(_ a: Pod, _ b: Pod) -> Bool {
    if a.spec.nodeName.isEmpty != b.spec.nodeName.isEmpty { return a.spec.nodeName.isEmpty }
    if phase(a) != phase(b) { return phase(a) < phase(b) }
    if a.isReady != b.isReady { return !a.isReady }
    if cost(a) != cost(b) { return cost(a) < cost(b) }
    let crowdA = crowd[a.spec.nodeName] ?? 0
    let crowdB = crowd[b.spec.nodeName] ?? 0
    if crowdA != crowdB { return crowdA > crowdB }
    if a.isReady, b.isReady {
      let readyA = readySince(a)
      let readyB = readySince(b)
      if readyA != readyB { return younger(readyA, readyB, a, b) }
    }
    if restarts(a) != restarts(b) { return restarts(a) > restarts(b) }
    if a.metadata.creationTimestamp != b.metadata.creationTimestamp {
      return younger(a.metadata.creationTimestamp, b.metadata.creationTimestamp, a, b)
    }
    return a.metadata.uid < b.metadata.uid
  }

  /// Ages are compared by order of magnitude, so that pods of one roll-out are chosen evenly, by UID.
  private func younger(_ timeA: Time, _ timeB: Time, _ a: Pod, _ b: Pod) -> Bool {
    if timeA.isZero != timeB.isZero { return timeA.isZero }
    let rankA = magnitude(timeA)
    let rankB = magnitude(timeB)
    return rankA == rankB ? a.metadata.uid < b.metadata.uid : rankA < rankB
  }

  private func magnitude(_ time: Time) -> Int {
    let age = now.seconds(since: time)
    guard age > 0 else { return 0 }
    return Int64.bitWidth - 1 - age.leadingZeroBitCount
  }

  private func phase(_ pod: Pod) -> Int {
    switch pod.status.phase {
    case "Running": 2
    case "Unknown": 1
    default: 0
    }
  }

  private func cost(_ pod: Pod) -> Int32 {
    pod.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"].flatMap { Int32($0) } ?? 0
  }

  private func readySince(_ pod: Pod) -> Time {
    pod.status.conditions.condition("Ready")?.lastTransitionTime ?? Time()
  }

  private func restarts(_ pod: Pod) -> Int32 {
    (pod.status.containerStatuses.map(\.restartCount) + pod.status.initContainerStatuses.map(\.restartCount)).max() ?? 0
  }
}
