import HTTP
import Logging

/// `/healthz` over plain HTTP on the loopback address, as the kubelet has it.
struct HealthPort: HTTPHandler {
  func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
    request.head.path == "/healthz"
      ? ComponentHealth.text(200, "ok") : ComponentHealth.text(404, "404 page not found\n")
  }

  /// Nil for port 0.
  static func service(_ port: Int, logger: Logger) -> Component? {
    guard port != 0 else { return nil }
    let server = HTTPServer(configuration: .init(address: .tcp(host: "127.0.0.1", port: port), logger: logger))
    return Component("healthz") {
      _ = try await server.start(HealthPort())
      try await Forever.wait()
      await server.shutdown()
    }
  }
}
