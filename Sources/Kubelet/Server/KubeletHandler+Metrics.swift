import API
import HTTP

extension KubeletHandler {
  /// `/metrics`, `/metrics/resource`, `/metrics/probes`, `/metrics/cadvisor`
  func metrics(_ parts: [String]) async -> HTTPResponse {
    let type = "text/plain; version=0.0.4; charset=utf-8"
    switch parts.count == 1 ? "" : parts[1] {
    case "":
      let pods = p.pods()
      let running = pods.flatMap(\.status.containerStatuses).count { $0.state.running != nil }
      let text = """
        # HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.
        # TYPE kubelet_node_name gauge
        kubelet_node_name{node="\(p.configuration.nodeName)"} 1
        # HELP kubelet_running_pods [BETA] Number of pods that have a running pod sandbox
        # TYPE kubelet_running_pods gauge
        kubelet_running_pods \(pods.count { $0.status.phase == "Running" })
        # HELP kubelet_running_containers [BETA] Number of containers currently running
        # TYPE kubelet_running_containers gauge
        kubelet_running_containers{container_state="running"} \(running)

        """
      return HTTPResponse(contentType: type, bytes: Array(text.utf8))
    case "resource":
      do {
        return HTTPResponse(contentType: type, bytes: Array(try await p.stats.resourceMetrics().utf8))
      } catch {
        return failure(500, describe(error))
      }
    default: return failure(404, "404 page not found")
    }
  }

  /// `/stats/summary`
  func stats(_ parts: [String]) async -> HTTPResponse {
    guard parts.count == 1 || parts[1] == "summary" else { return failure(404, "404 page not found") }
    do {
      return HTTPResponse(contentType: "application/json", bytes: try await p.stats.summary().encoded())
    } catch {
      return failure(500, describe(error))
    }
  }
}
