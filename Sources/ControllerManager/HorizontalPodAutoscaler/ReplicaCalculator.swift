import API

/// One pod's figure.
struct PodMetric: Sendable, Equatable {
  /// Thousandths.
  var value: Int64
  var timestamp: Time
  /// Seconds over which it was measured.
  var window: Int64 = 60
}

/// Figures by the name of the pod.
typealias PodMetrics = [String: PodMetric]

/// Reckons how many replicas a figure asks for. Upstream's rules: pods that are not ready or have no figure weigh
/// against the direction in which the others would scale.
struct ReplicaCalculator: Sendable {
  /// How far the ratio of a figure to its target may be from one before anything is scaled.
  struct Tolerances: Sendable, Equatable {
    var scaleDown = 0.1
    var scaleUp = 0.1
    func isWithin(_ ratio: Double) -> Bool { 1 - scaleDown <= ratio && ratio <= 1 + scaleUp }
  }

  /// What a figure comes to.
  struct Proposal: Sendable, Equatable {
    var replicas: Int32
    /// Percent of what is requested; only of utilization.
    var utilization: Int32 = 0
    /// Thousandths: the average of a pod, or the whole figure where one was asked for.
    var usage: Int64
  }

  /// Why nothing can be reckoned.
  struct Failure: Error, CustomStringConvertible, Sendable, Equatable {
    var description: String
    init(_ description: String) { self.description = description }
  }

  /// Seconds after a start during which a pod's processor time may mislead.
  var cpuInitializationPeriod: Int64 = 300
  /// Seconds after a start within which a pod that became unready is held to have never been ready.
  var initialReadinessDelay: Int64 = 30

  // MARK: Figures of pods

  /// For a target in percent of what the pods, or one of their containers, request.
  func utilization(
    _ metrics: PodMetrics, target: Int32, resource: String, container: String, pods: [Pod], current: Int32,
    _ tolerances: Tolerances, now: Time
  ) throws(Failure) -> Proposal {
    guard !pods.isEmpty else { throw Failure("no pods returned by selector while calculating replica count") }
    let groups = group(pods, metrics, resource, now)
    var metrics = metrics.filter { !groups.ignored.contains($0.key) && !groups.unready.contains($0.key) }
    guard !metrics.isEmpty else {
      throw Failure("did not receive metrics for targeted pods (pods might be unready)")
    }
    let requests = try Self.requests(pods, container, resource)
    let (ratio, utilization, usage) = try Self.ratio(metrics, requests, target)
    var proposal = Proposal(replicas: current, utilization: utilization, usage: usage)
    let addsUnready = !groups.unready.isEmpty && ratio > 1
    if !addsUnready, groups.missing.isEmpty {
      if !tolerances.isWithin(ratio) { proposal.replicas = Self.ceiling(ratio * Double(groups.ready)) }
      return proposal
    }
    for name in groups.missing where ratio != 1 {
      // Who is not heard of might be at the target, or at its whole request, when others are to go.
      let value = ratio < 1 ? (requests[name] ?? 0) * Int64(max(100, target)) / 100 : 0
      metrics[name] = PodMetric(value: value, timestamp: now)
    }
    if addsUnready { for name in groups.unready { metrics[name] = PodMetric(value: 0, timestamp: now) } }
    let (again, _, _) = try Self.ratio(metrics, requests, target)
    proposal.replicas = Self.replicas(current, ratio, again, metrics.count, tolerances)
    return proposal
  }

  /// For a target in the figure's own unit, as an average of the pods. `resource` is empty for figures that are no
  /// resource.
  func average(
    _ metrics: PodMetrics, target: Int64, resource: String, pods: [Pod], current: Int32, _ tolerances: Tolerances,
    now: Time
  ) throws(Failure) -> Proposal {
    guard !pods.isEmpty else { throw Failure("no pods returned by selector while calculating replica count") }
    let groups = group(pods, metrics, resource, now)
    var metrics = metrics.filter { !groups.ignored.contains($0.key) && !groups.unready.contains($0.key) }
    guard !metrics.isEmpty else {
      throw Failure("did not receive metrics for targeted pods (pods might be unready)")
    }
    let (ratio, usage) = Self.ratio(metrics, target)
    var proposal = Proposal(replicas: current, usage: usage)
    let addsUnready = !groups.unready.isEmpty && ratio > 1
    if !addsUnready, groups.missing.isEmpty {
      if !tolerances.isWithin(ratio) { proposal.replicas = Self.ceiling(ratio * Double(groups.ready)) }
      return proposal
    }
    for name in groups.missing where ratio != 1 {
      metrics[name] = PodMetric(value: ratio < 1 ? target : 0, timestamp: now)
    }
    if addsUnready { for name in groups.unready { metrics[name] = PodMetric(value: 0, timestamp: now) } }
    let (again, _) = Self.ratio(metrics, target)
    proposal.replicas = Self.replicas(current, ratio, again, metrics.count, tolerances)
    return proposal
  }

  // MARK: Figures of one object, or from outside

  /// For a target of the whole figure.
  func whole(_ usage: Int64, target: Int64, pods: [Pod], current: Int32, _ tolerances: Tolerances) -> Proposal {
    let ratio = Double(usage) / Double(target)
    // None run: the ratio alone says how many to begin with.
    if current == 0 { return Proposal(replicas: Self.ceiling(ratio), usage: usage) }
    if tolerances.isWithin(ratio) { return Proposal(replicas: current, usage: usage) }
    let ready = pods.count { $0.status.phase == "Running" && $0.status.conditions.isTrue("Ready") }
    return Proposal(replicas: Self.ceiling(ratio * Double(ready)), usage: usage)
  }

  /// For a target of the figure divided by the replicas there are.
  func perPod(_ usage: Int64, target: Int64, replicas: Int32, _ tolerances: Tolerances) -> Proposal {
    let ratio = Double(usage) / (Double(target) * Double(replicas))
    let wanted = tolerances.isWithin(ratio) ? replicas : Self.ceiling(Double(usage) / Double(target))
    let each = replicas == 0 ? 0 : Int64((Double(usage) / Double(replicas)).rounded(.up))
    return Proposal(replicas: wanted, usage: each)
  }

  // MARK: Parts

  private struct Groups {
    var ready = 0
    var unready: Set<String> = []
    var missing: Set<String> = []
    var ignored: Set<String> = []
  }

  private func group(_ pods: [Pod], _ metrics: PodMetrics, _ resource: String, _ now: Time) -> Groups {
    var groups = Groups()
    for pod in pods {
      let name = pod.metadata.name
      if pod.metadata.deletionTimestamp != nil || pod.status.phase == "Failed" {
        groups.ignored.insert(name)
      } else if pod.status.phase == "Pending" {
        groups.unready.insert(name)
      } else if let metric = metrics[name] {
        if resource == "cpu", isUnready(pod, metric, now) {
          groups.unready.insert(name)
        } else {
          groups.ready += 1
        }
      } else {
        groups.missing.insert(name)
      }
    }
    return groups
  }

  private func isUnready(_ pod: Pod, _ metric: PodMetric, _ now: Time) -> Bool {
    guard let condition = pod.status.conditions.condition("Ready"), let start = pod.status.startTime else {
      return true
    }
    if start.adding(seconds: cpuInitializationPeriod) > now {
      return condition.status == "False"
        || metric.timestamp < condition.lastTransitionTime.adding(seconds: metric.window)
    }
    return condition.status == "False"
      && start.adding(seconds: initialReadinessDelay) > condition.lastTransitionTime
  }

  /// Thousandths of a resource that each pod requests, in one container or all.
  private static func requests(
    _ pods: [Pod], _ container: String, _ resource: String
  ) throws(Failure) -> [String: Int64] {
    var result: [String: Int64] = [:]
    for pod in pods {
      var sum: Int64 = 0
      if container.isEmpty, let whole = pod.spec.resources?.requests[resource] {
        result[pod.metadata.name] = whole.milliValue
        continue
      }
      // Restartable init containers run beside the others.
      let running = pod.spec.containers + pod.spec.initContainers.filter { $0.restartPolicy == "Always" }
      for one in running where container.isEmpty || container == one.name {
        guard let request = one.resources.requests[resource] else {
          throw Failure("missing request for \(resource) in container \(one.name) of Pod \(pod.metadata.name)")
        }
        sum += request.milliValue
      }
      result[pod.metadata.name] = sum
    }
    return result
  }

  private static func ratio(
    _ metrics: PodMetrics, _ requests: [String: Int64], _ target: Int32
  ) throws(Failure) -> (ratio: Double, utilization: Int32, usage: Int64) {
    var (used, requested, count) = (Int64(0), Int64(0), Int64(0))
    for (name, metric) in metrics {
      guard let request = requests[name] else { continue }
      used += metric.value
      requested += request
      count += 1
    }
    guard requested > 0 else { throw Failure("no metrics returned matched known pods") }
    let utilization = Int32(clamping: used * 100 / requested)
    return (Double(utilization) / Double(target), utilization, used / count)
  }

  private static func ratio(_ metrics: PodMetrics, _ target: Int64) -> (ratio: Double, usage: Int64) {
    let usage = metrics.values.reduce(0) { $0 + $1.value } / Int64(metrics.count)
    return (Double(usage) / Double(target), usage)
  }

  /// Nothing is done where the pods that were reckoned in turn the direction about.
  private static func replicas(
    _ current: Int32, _ ratio: Double, _ again: Double, _ count: Int, _ tolerances: Tolerances
  ) -> Int32 {
    if tolerances.isWithin(again) || (ratio < 1 && again > 1) || (ratio > 1 && again < 1) { return current }
    let wanted = ceiling(again * Double(count))
    if (again < 1 && wanted > current) || (again > 1 && wanted < current) { return current }
    return wanted
  }

  private static func ceiling(_ value: Double) -> Int32 {
    value.isFinite ? Int32(clamping: Int64(value.rounded(.up).clamped(to: -1e15...1e15))) : Int32.max
  }
}

extension Double {
  fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}
