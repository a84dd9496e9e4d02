import API
import APIMachinery

/// The figures of one autoscaler, one after the other: how many replicas each asks for, and what the status says of it.
struct MetricProposals {
  /// What one figure asks for.
  struct Proposal {
    var replicas: Int32
    /// How messages call it.
    var name: String
    var status: MetricStatus
  }

  /// Why one figure asks for nothing: the condition's reason and the whole message.
  struct Failure: Error, CustomStringConvertible {
    var reason: String
    var cause: String
    var description: String
  }

  let metrics: MetricsClient
  let calculator: ReplicaCalculator
  let tolerances: ReplicaCalculator.Tolerances
  let namespace: String
  let selector: Labels.Selector
  let pods: [Pod]
  /// What the scale's spec and status say.
  let specReplicas: Int32
  let statusReplicas: Int32
  let now: Time
  let resources: @Sendable (CrossVersionObjectReference) async throws -> Discovery.Resource

  func proposal(_ spec: MetricSpec) async throws(Failure) -> Proposal {
    switch spec.type {
    case "Resource":
      guard let source = spec.resource else { throw unknown(spec) }
      return try await attempt("FailedGetResourceMetric", "\(source.name) resource metric value") {
        let (proposal, name, value) = try await resource(source.name, source.target, "")
        return Proposal(
          replicas: proposal, name: name,
          status: MetricStatus {
            $0.type = spec.type
            $0.resource = ResourceMetricStatus {
              $0.name = source.name; $0.current = value
            }
          })
      }
    case "ContainerResource":
      guard let source = spec.containerResource else { throw unknown(spec) }
      return try await attempt("FailedGetContainerResourceMetric", "\(source.name) container metric value") {
        let (proposal, name, value) = try await resource(source.name, source.target, source.container)
        return Proposal(
          replicas: proposal, name: name,
          status: MetricStatus {
            $0.type = spec.type
            $0.containerResource = ContainerResourceMetricStatus {
              $0.name = source.name
              $0.container = source.container
              $0.current = value
            }
          })
      }
    case "Pods":
      guard let source = spec.pods else { throw unknown(spec) }
      return try await attempt("FailedGetPodsMetric", "pods metric value") { try await ofPods(source) }
    case "Object":
      guard let source = spec.object else { throw unknown(spec) }
      return try await attempt("FailedGetObjectMetric", "object metric value") { try await ofObject(source) }
    case "External":
      guard let source = spec.external else { throw unknown(spec) }
      return try await attempt("FailedGetExternalMetric", "\(source.metric.name) external metric value") {
        try await external(source)
      }
    default: throw unknown(spec)
    }
  }

  private func unknown(_ spec: MetricSpec) -> Failure {
    let cause = "unknown metric source type \(goQuoted(spec.type))"
    return Failure(reason: "InvalidMetricSourceType", cause: cause, description: cause)
  }

  private func attempt(
    _ reason: String, _ what: String, _ body: () async throws -> Proposal
  ) async throws(Failure) -> Proposal {
    do { return try await body() } catch {
      let cause = (error as? StatusError)?.message ?? "\(error)"
      throw Failure(reason: reason, cause: cause, description: "failed to get \(what): \(cause)")
    }
  }

  // MARK: Sources

  private func resource(
    _ name: String, _ target: MetricTarget, _ container: String
  ) async throws -> (replicas: Int32, name: String, value: MetricValueStatus) {
    func read(_ what: String) async throws -> PodMetrics {
      do {
        return try await metrics.resource(name, namespace: namespace, selector: selector, container: container)
      } catch {
        throw ReplicaCalculator.Failure(
          "failed to get \(name) \(what): unable to get metrics for resource \(name): \(Self.message(error))")
      }
    }
    func reckon(
      _ what: String, _ body: () throws(ReplicaCalculator.Failure) -> ReplicaCalculator.Proposal
    ) throws -> ReplicaCalculator.Proposal {
      do { return try body() } catch {
        throw ReplicaCalculator.Failure("failed to get \(name) \(what): \(error)")
      }
    }
    if let average = target.averageValue {
      let figures = try await read("usage")
      let proposal = try reckon("usage") { () throws(ReplicaCalculator.Failure) in
        try calculator.average(
          figures, target: average.milliValue, resource: name, pods: pods, current: specReplicas, tolerances, now: now)
      }
      return (
        proposal.replicas, "\(name) resource", MetricValueStatus { $0.averageValue = Quantity(milli: proposal.usage) }
      )
    }
    guard let utilization = target.averageUtilization else {
      throw ReplicaCalculator.Failure(
        "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
      )
    }
    let figures = try await read("utilization")
    let proposal = try reckon("utilization") { () throws(ReplicaCalculator.Failure) in
      try calculator.utilization(
        figures, target: utilization, resource: name, container: container, pods: pods, current: specReplicas,
        tolerances, now: now)
    }
    return (
      proposal.replicas, "\(name) resource utilization (percentage of request)",
      MetricValueStatus {
        $0.averageUtilization = proposal.utilization
        $0.averageValue = Quantity(milli: proposal.usage)
      }
    )
  }

  private func ofPods(_ source: PodsMetricSource) async throws -> Proposal {
    let figures: PodMetrics
    do { figures = try await metrics.pods(source.metric, namespace: namespace, selector: selector) } catch {
      throw ReplicaCalculator.Failure("unable to get metric \(source.metric.name): \(Self.message(error))")
    }
    let proposal = try calculator.average(
      figures, target: source.target.averageValue?.milliValue ?? 0, resource: "", pods: pods, current: specReplicas,
      tolerances, now: now)
    return Proposal(
      replicas: proposal.replicas, name: "pods metric \(source.metric.name)",
      status: MetricStatus {
        $0.type = "Pods"
        $0.pods = PodsMetricStatus {
          $0.metric = source.metric
          $0.current = MetricValueStatus { $0.averageValue = Quantity(milli: proposal.usage) }
        }
      })
  }

  private func ofObject(_ source: ObjectMetricSource) async throws -> Proposal {
    let object = source.describedObject
    let usage: Int64
    do {
      usage = try await metrics.object(
        source.metric, of: object, resource: try await resources(object), namespace: namespace)
    } catch {
      throw ReplicaCalculator.Failure(
        "unable to get metric \(source.metric.name): \(object.kind) on \(namespace) \(object.name)/\(Self.message(error))"
      )
    }
    guard let (replicas, value) = reckon(source.target, usage) else {
      throw ReplicaCalculator.Failure(
        "invalid object metric source: neither a value target nor an average value target was set")
    }
    return Proposal(
      replicas: replicas, name: "\(object.kind) metric \(source.metric.name)",
      status: MetricStatus {
        $0.type = "Object"
        $0.object = ObjectMetricStatus {
          $0.metric = source.metric
          $0.describedObject = object
          $0.current = value
        }
      })
  }

  private func external(_ source: ExternalMetricSource) async throws -> Proposal {
    let usage: Int64
    do { usage = try await metrics.external(source.metric, namespace: namespace) } catch {
      throw ReplicaCalculator.Failure(
        "unable to get external metric \(namespace)/\(source.metric.name)/\(Self.text(source.metric.selector)): "
          + Self.message(error))
    }
    guard let (replicas, value) = reckon(source.target, usage) else {
      throw ReplicaCalculator.Failure(
        "invalid external metric source: neither a value target nor an average value target was set")
    }
    return Proposal(
      replicas: replicas, name: "external metric \(source.metric.name)(\(Self.text(source.metric.selector)))",
      status: MetricStatus {
        $0.type = "External"
        $0.external = ExternalMetricStatus {
          $0.metric = source.metric
          $0.current = value
        }
      })
  }

  private func reckon(_ target: MetricTarget, _ usage: Int64) -> (Int32, MetricValueStatus)? {
    if target.type == "Value", let value = target.value {
      let proposal = calculator.whole(
        usage, target: value.milliValue, pods: pods, current: specReplicas, tolerances)
      return (proposal.replicas, MetricValueStatus { $0.value = Quantity(milli: usage) })
    }
    guard target.type == "AverageValue", let average = target.averageValue else { return nil }
    let proposal = calculator.perPod(usage, target: average.milliValue, replicas: statusReplicas, tolerances)
    return (proposal.replicas, MetricValueStatus { $0.averageValue = Quantity(milli: proposal.usage) })
  }

  private static func text(_ selector: LabelSelector?) -> String {
    guard let selector else { return "nil" }
    return (try? selector.selector()).map { "\($0)" } ?? ""
  }

  private static func message(_ error: any Error) -> String { (error as? StatusError)?.message ?? "\(error)" }
}
