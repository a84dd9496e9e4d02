import APIMachinery
import HTTP
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Counts requests and how long they took, in upstream's names.
final class RequestMetrics: Sendable {
  private struct Key: Hashable {
    var verb, group, version, resource, subresource, scope: String
    var code: Int
  }
  private struct DurationKey: Hashable {
    var verb, group, version, resource, subresource, scope: String
  }
  fileprivate struct Histogram {
    var buckets = [UInt64](repeating: 0, count: RequestMetrics.bounds.count)
    var sum = 0.0
    var count: UInt64 = 0
  }
  private struct State {
    var requests: [Key: UInt64] = [:]
    var durations: [DurationKey: Histogram] = [:]
  }
  static let bounds: [Double] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
  ]
  private let state = Mutex(State())

  /// Monotonic nanoseconds.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func count(_ info: RequestInfo, status: Int, method: String, since started: UInt64) {
    let verb = Self.verb(info, method)
    let scope =
      !info.isResource ? "" : !info.name.isEmpty ? "resource" : info.namespace.isEmpty ? "cluster" : "namespace"
    let seconds = Double(Self.now() - started) / 1e9
    // Unknown resources would let a client make as many series as it likes.
    let resource = status == 404 && info.isResource ? "" : info.resource
    let subresource = info.isResource ? info.subresource : Self.pathGroup(info.path)
    state.withLock { s in
      s.requests[
        Key(
          verb: verb, group: info.apiGroup, version: info.apiVersion, resource: resource, subresource: subresource,
          scope: scope, code: status), default: 0] += 1
      if verb == "WATCH" || verb == "CONNECT" { return }
      let key = DurationKey(
        verb: verb, group: info.apiGroup, version: info.apiVersion, resource: resource, subresource: subresource,
        scope: scope)
      s.durations[key, default: Histogram()].add(seconds)
    }
  }

  private static func verb(_ info: RequestInfo, _ method: String) -> String {
    guard info.isResource else { return method == "HEAD" ? "GET" : method }
    switch info.verb {
    case "create": return "POST"
    case "update": return "PUT"
    case "get" where info.isLongRunning: return "CONNECT"
    case "deletecollection": return "DELETECOLLECTION"
    default: return info.verb.uppercased()
    }
  }

  private static func pathGroup(_ path: String) -> String {
    let first = path.split(separator: "/").first.map { "/\($0)" } ?? "/"
    return ["/healthz", "/livez", "/readyz", "/version", "/metrics", "/openapi", "/api", "/apis"].contains(first)
      ? first : ""
  }

  func write(to text: inout String) {
    let snapshot = state.withLock { $0 }
    text += "# HELP apiserver_request_total [STABLE] Counter of apiserver requests broken out for each verb, dry run "
    text += "value, group, version, resource, scope, component, and HTTP response code.\n"
    text += "# TYPE apiserver_request_total counter\n"
    for (key, value) in snapshot.requests {
      text +=
        "apiserver_request_total{code=\"\(key.code)\",component=\"apiserver\",dry_run=\"\",group=\"\(key.group)\","
      text += "resource=\"\(key.resource)\",scope=\"\(key.scope)\",subresource=\"\(key.subresource)\","
      text += "verb=\"\(key.verb)\",version=\"\(key.version)\"} \(value)\n"
    }
    text +=
      "# HELP apiserver_request_duration_seconds [STABLE] Response latency distribution in seconds for each verb, "
    text += "dry run value, group, version, resource, subresource, scope and component.\n"
    text += "# TYPE apiserver_request_duration_seconds histogram\n"
    for (key, histogram) in snapshot.durations {
      let labels =
        "component=\"apiserver\",dry_run=\"\",group=\"\(key.group)\",resource=\"\(key.resource)\","
        + "scope=\"\(key.scope)\",subresource=\"\(key.subresource)\",verb=\"\(key.verb)\",version=\"\(key.version)\""
      var total: UInt64 = 0
      for (bound, count) in zip(Self.bounds, histogram.buckets) {
        total += count
        let limit = bound == bound.rounded() ? "\(Int(bound))" : "\(bound)"
        text += "apiserver_request_duration_seconds_bucket{\(labels),le=\"\(limit)\"} \(total)\n"
      }
      text += "apiserver_request_duration_seconds_bucket{\(labels),le=\"+Inf\"} \(histogram.count)\n"
      text += "apiserver_request_duration_seconds_sum{\(labels)} \(histogram.sum)\n"
      text += "apiserver_request_duration_seconds_count{\(labels)} \(histogram.count)\n"
    }
  }
}

extension RequestMetrics.Histogram {
  fileprivate mutating func add(_ seconds: Double) {
    if let index = RequestMetrics.bounds.firstIndex(where: { seconds <= $0 }) { buckets[index] += 1 }
    sum += seconds
    count += 1
  }
}

extension APIServer {
  /// Everything `/metrics` shows.
  func metricsText() -> String {
    var text = ""
    metrics.write(to: &text)
    access.write(to: &text)
    registry.writeObjectCounts(to: &text)
    if let flowControl { FlowControlDump(control: flowControl).write(to: &text) }
    let inFlight = requestsInFlight
    text +=
      "# HELP apiserver_current_inflight_requests [STABLE] Maximal number of currently used inflight request limit "
    text += "of this apiserver per request kind in last second.\n"
    text += "# TYPE apiserver_current_inflight_requests gauge\n"
    text += "apiserver_current_inflight_requests{request_kind=\"mutating\"} \(inFlight.mutating)\n"
    text += "apiserver_current_inflight_requests{request_kind=\"readOnly\"} \(inFlight.reading)\n"
    text += "# HELP kubernetes_build_info [ALPHA] A metric with a constant '1' value labeled by version.\n"
    text += "# TYPE kubernetes_build_info gauge\n"
    text += "kubernetes_build_info{git_version=\"\(version.gitVersion)\",major=\"\(ServerVersion.major)\","
    text += "minor=\"\(ServerVersion.minor)\"} 1\n"
    ProcessMetrics.write(to: &text)
    return text
  }
}
