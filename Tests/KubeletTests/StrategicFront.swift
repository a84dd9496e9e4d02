import API
import Client

/// Puts strategic merge patches, which the API server in memory does not know, in front of it.
struct StrategicFront: Transport {
  let api: MemoryAPI

  func send(_ request: TransportRequest) async throws -> TransportResponse {
    guard request.method == "PATCH", request.header("Content-Type") == "application/strategic-merge-patch+json" else {
      return try await api.send(request)
    }
    let path = String(request.pathOnly)
    let object = path.hasSuffix("/status") ? String(path.dropLast("/status".count)) : path
    let held = try await api.send(TransportRequest(method: "GET", path: object))
    guard held.status == 200 else { return held }
    let tree = try JSONValue(parsing: held.body)
    let gvk = GroupVersionKind(
      apiVersion: tree["apiVersion"]?.stringValue ?? "", kind: tree["kind"]?.stringValue ?? "")
    guard let schema = builtInSchema.schema(for: gvk) else { return try await api.send(request) }
    let changed = try applyStrategicMergePatch(tree, try JSONValue(parsing: request.body ?? []), schema)
    return try await api.send(
      TransportRequest(
        method: "PUT", path: request.path, headers: [("Content-Type", "application/json")], body: changed.encoded()))
  }

  func stream(_ request: TransportRequest) async throws -> TransportStream { try await api.stream(request) }
}
