import API
import APIMachinery
import Client

/// Asks the metrics APIs: `metrics.k8s.io` for resources, `custom.metrics.k8s.io` for figures of pods and objects,
/// `external.metrics.k8s.io` for those from outside.
struct MetricsClient: Sendable {
  let client: APIClient

  /// What pods, or one of their containers, use of a resource; pods of which a container is missing are left out.
  func resource(
    _ resource: String, namespace: String, selector: Labels.Selector, container: String
  ) async throws -> PodMetrics {
    let list = try await get(
      "/apis/metrics.k8s.io/v1beta1/namespaces/\(namespace)/pods", [("labelSelector", "\(selector)")])
    let items = list["items"]?.arrayValue ?? []
    guard !items.isEmpty else {
      throw ReplicaCalculator.Failure("no metrics returned from resource metrics API")
    }
    var result: PodMetrics = [:]
    for item in items {
      guard let name = item["metadata"]?["name"]?.stringValue else { continue }
      var containers = item["containers"]?.arrayValue ?? []
      if !container.isEmpty {
        containers = containers.filter { $0["name"]?.stringValue == container }
        guard !containers.isEmpty else {
          throw ReplicaCalculator.Failure(
            "container \(container) not present in metrics for pod \(namespace)/\(name)")
        }
      }
      let used = containers.map { ($0["usage"]?[resource]?.stringValue).flatMap { try? Quantity(parsing: $0) } }
      guard !used.isEmpty, used.allSatisfy({ $0 != nil }) else { continue }
      result[name] = PodMetric(
        value: used.reduce(0) { $0 + ($1?.milliValue ?? 0) }, timestamp: Self.time(item),
        window: item["window"]?.stringValue.flatMap { GoDuration(parsing: $0) }.map { Int64($0.seconds) } ?? 60)
    }
    return result
  }

  /// A figure that pods have of their own.
  func pods(
    _ metric: MetricIdentifier, namespace: String, selector: Labels.Selector
  ) async throws -> PodMetrics {
    let list = try await custom(
      "namespaces/\(namespace)/pods/*/\(metric.name)", metric, [("labelSelector", "\(selector)")])
    var result: PodMetrics = [:]
    for item in list {
      guard let name = item["describedObject"]?["name"]?.stringValue, let value = Self.value(item) else { continue }
      result[name] = PodMetric(
        value: value, timestamp: Self.time(item), window: item["windowSeconds"]?.intValue ?? 60)
    }
    return result
  }

  /// A figure of one object, in thousandths.
  func object(
    _ metric: MetricIdentifier, of object: CrossVersionObjectReference, resource: Discovery.Resource, namespace: String
  ) async throws -> Int64 {
    let name = object.name
    let path: String
    if object.kind == "Namespace", GroupVersion(apiVersion: object.apiVersion).group.isEmpty {
      path = "namespaces/\(name)/metrics/\(metric.name)"
    } else {
      let place = resource.location.namespaced ? "namespaces/\(namespace)/" : ""
      path = "\(place)\(resource.groupResource)/\(name)/\(metric.name)"
    }
    guard let value = try await custom(path, metric, []).first.flatMap(Self.value) else {
      throw ReplicaCalculator.Failure("no metrics returned from custom metrics API")
    }
    return value
  }

  /// The sum of a figure from outside, in thousandths.
  func external(_ metric: MetricIdentifier, namespace: String) async throws -> Int64 {
    let list = try await get(
      "/apis/external.metrics.k8s.io/v1beta1/namespaces/\(namespace)/\(metric.name)",
      [("labelSelector", try metric.selector.map { "\(try $0.selector())" } ?? "")])
    let items = list["items"]?.arrayValue ?? []
    guard !items.isEmpty else {
      throw ReplicaCalculator.Failure("no metrics returned from external metrics API")
    }
    return items.reduce(0) { $0 + (Self.value($1) ?? 0) }
  }

  private func custom(
    _ path: String, _ metric: MetricIdentifier, _ query: [(String, String)]
  ) async throws -> [JSONValue] {
    var query = query
    if let selector = metric.selector { query.append(("metricLabelSelector", "\(try selector.selector())")) }
    let group = try await get("/apis/custom.metrics.k8s.io", [])
    let versions = (group["versions"]?.arrayValue ?? []).compactMap { $0["version"]?.stringValue }
    let version = versions.contains("v1beta2") ? "v1beta2" : "v1beta1"
    let items = try await get("/apis/custom.metrics.k8s.io/\(version)/\(path)", query)["items"]?.arrayValue ?? []
    guard !items.isEmpty else {
      throw ReplicaCalculator.Failure("no metrics returned from custom metrics API")
    }
    return items
  }

  private func get(_ path: String, _ query: [(String, String)]) async throws -> JSONValue {
    let given = query.filter { !$0.1.isEmpty }.map { "\($0.0)=\(PercentCoding.encode($0.1))" }
    return try JSONValue(
      parsing: try await client.raw("GET", given.isEmpty ? path : path + "?" + given.joined(separator: "&")))
  }

  private static func value(_ item: JSONValue) -> Int64? {
    item["value"]?.stringValue.flatMap { try? Quantity(parsing: $0) }?.milliValue
  }

  private static func time(_ item: JSONValue) -> Time {
    item["timestamp"]?.stringValue.flatMap { Time(rfc3339: $0) } ?? Time(seconds: 0)
  }
}
