import API
import HTTP

/// `/healthz` for load balancers and `/livez` for whoever restarts the proxy, in upstream's form: the first fails as well
/// when the node is about to go, so that no new traffic is sent here.
struct HealthHandler: HTTPHandler {
  let state: ProxyState

  func handleSync(_ head: HTTPRequestHead) -> HTTPResponse? {
    let values = state.read()
    let now = state.now
    let isHealthy = state.isHealthy
    let lastUpdated = Self.time(isHealthy ? now : values.lastUpdated)
    switch head.path {
    case "/healthz":
      let text = """
        {"lastUpdated": "\(lastUpdated)","currentTime": "\(Self.time(now))", "nodeEligible": \(values.isNodeEligible)}
        """
      return Self.json(isHealthy && values.isNodeEligible ? 200 : 503, text)
    case "/livez":
      return Self.json(
        isHealthy ? 200 : 503, "{\"lastUpdated\": \"\(lastUpdated)\",\"currentTime\": \"\(Self.time(now))\"}")
    default:
      return HTTPResponse(
        status: 404, contentType: "text/plain; charset=utf-8", bytes: Array("404 page not found\n".utf8))
    }
  }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    handleSync(request.head) ?? HTTPResponse(status: 404)
  }

  /// As Go prints a time of UTC.
  static func time(_ seconds: Double) -> String {
    let whole = seconds.rounded(.down)
    let text = Time(seconds: Int64(whole)).description
    let nanos = String(Int((seconds - whole) * 1e9) + 1_000_000_000).dropFirst()
    return text.replacing("T", with: " ").replacing("Z", with: "") + ".\(nanos) +0000 UTC"
  }

  static func json(_ status: Int, _ text: String, _ more: [(String, String)] = []) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: HTTPFields([("content-type", "application/json"), ("x-content-type-options", "nosniff")] + more),
      body: .bytes(Array(text.utf8)))
  }
}

/// The health check port of a Service with `externalTrafficPolicy: Local`: tells a load balancer whether this node has
/// backends of it.
struct ServiceHealthHandler: HTTPHandler {
  let service: ObjectKey
  let state: ProxyState

  func handleSync(_ head: HTTPRequestHead) -> HTTPResponse? {
    let count = state.read().localEndpoints[service] ?? 0
    let isHealthy = state.isHealthy
    let text = """
      {
      \t"service": {
      \t\t"namespace": "\(service.namespace)",
      \t\t"name": "\(service.name)"
      \t},
      \t"localEndpoints": \(count),
      \t"serviceProxyHealthy": \(isHealthy)
      }
      """
    return HealthHandler.json(
      count > 0 && isHealthy ? 200 : 503, text, [("x-load-balancing-endpoint-weight", "\(count)")])
  }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    handleSync(request.head) ?? HTTPResponse(status: 404)
  }
}

/// Upstream's metrics, and its mode.
struct MetricsHandler: HTTPHandler {
  let state: ProxyState

  func handleSync(_ head: HTTPRequestHead) -> HTTPResponse? {
    switch head.path {
    case "/healthz": return HTTPResponse(contentType: "text/plain; charset=utf-8", bytes: Array("ok".utf8))
    case "/proxyMode": return HTTPResponse(contentType: "text/plain; charset=utf-8", bytes: Array("nftables".utf8))
    case "/metrics":
      return HTTPResponse(contentType: "text/plain; version=0.0.4; charset=utf-8", bytes: Array(text.utf8))
    default:
      return HTTPResponse(
        status: 404, contentType: "text/plain; charset=utf-8", bytes: Array("404 page not found\n".utf8))
    }
  }

  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    handleSync(request.head) ?? HTTPResponse(status: 404)
  }

  private var text: String {
    let values = state.read()
    var out = ""
    func add(_ name: String, _ kind: String, _ help: String, _ samples: [(String, String)]) {
      let full = "kubeproxy_\(name)"
      out += "# HELP \(full) [ALPHA] \(help)\n# TYPE \(full) \(kind)\n"
      for (suffix, value) in samples { out += "\(full)\(suffix) \(value)\n" }
    }
    let family = "{ip_family=\"IPv4\"}"
    let buckets = zip(ProxyState.bounds, values.syncBuckets).map { bound, count in
      ("_bucket{ip_family=\"IPv4\",le=\"\(bound)\"}", "\(count)")
    }
    add(
      "sync_proxy_rules_duration_seconds", "histogram", "SyncProxyRules latency in seconds",
      buckets + [
        ("_bucket{ip_family=\"IPv4\",le=\"+Inf\"}", "\(values.syncs)"), ("_sum\(family)", "\(values.syncSeconds)"),
        ("_count\(family)", "\(values.syncs)"),
      ])
    add(
      "sync_proxy_rules_last_timestamp_seconds", "gauge", "The last time proxy rules were successfully synced",
      [(family, "\(values.lastUpdated)")])
    add(
      "sync_proxy_rules_last_queued_timestamp_seconds", "gauge", "The last time a sync of proxy rules was queued",
      [(family, "\(values.waitingSince ?? values.lastUpdated)")])
    add(
      "sync_proxy_rules_service_changes_total", "counter", "Cumulative proxy rules Service changes",
      [(family, "\(values.serviceChanges)")])
    add(
      "sync_proxy_rules_endpoint_changes_total", "counter", "Cumulative proxy rules Endpoint changes",
      [(family, "\(values.endpointChanges)")])
    add(
      "sync_proxy_rules_nftables_sync_failures_total", "counter", "Cumulative proxy nftables sync failures",
      [(family, "\(values.failures)")])
    add(
      "conntrack_reconciler_deleted_entries_total", "counter",
      "Cumulative conntrack flows deleted by conntrack reconciler",
      [(family, "\(values.forgottenFlows)")])
    return out
  }
}
