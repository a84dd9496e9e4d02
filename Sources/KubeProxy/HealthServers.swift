import API
import HTTP
import Logging
import Synchronization

/// Opens and closes what the proxy listens on. A port that somebody else has is tried again: service traffic flows
/// without it.
actor HealthServers {
  private let state: ProxyState
  private let logger: Logger
  private var fixed: [HTTPServer] = []
  private var perService: [ObjectKey: (port: Int32, server: HTTPServer)] = [:]
  private var wanted: [ObjectKey: Int32] = [:]

  init(state: ProxyState, logger: Logger) {
    self.state = state
    self.logger = logger
  }

  /// Serves a handler on `address:port` until the task is cancelled.
  func serve(_ handler: any HTTPHandler, on address: String) async {
    guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
      logger.error("not an address to listen on", metadata: ["address": "\(address)"])
      return
    }
    let host = address[..<colon].drop { $0 == "[" }.prefix { $0 != "]" }
    let server = HTTPServer(
      configuration: HTTPServerConfiguration(
        address: .tcp(host: host.isEmpty ? "0.0.0.0" : String(host), port: port), logger: logger))
    while !Task.isCancelled {
      do {
        try await server.start(handler)
        fixed.append(server)
        return
      } catch {
        logger.warning("cannot listen, trying again", metadata: ["address": "\(address)", "error": "\(error)"])
        try? await Task.sleep(for: .seconds(30))
      }
    }
  }

  /// Brings the Services' health check ports to these.
  func want(_ ports: [ObjectKey: Int32]) async {
    wanted = ports
    for (key, open) in perService where ports[key] != open.port {
      perService[key] = nil
      await open.server.shutdown()
    }
    for (key, port) in ports where perService[key] == nil {
      let server = HTTPServer(
        configuration: HTTPServerConfiguration(address: .tcp(host: "0.0.0.0", port: Int(port)), logger: logger))
      do {
        try await server.start(ServiceHealthHandler(service: key, state: state))
        // The actor may have been asked for something else meanwhile.
        if wanted[key] == port, perService[key] == nil {
          perService[key] = (port, server)
        } else {
          await server.shutdown()
        }
      } catch {
        logger.warning(
          "the health check port of a service cannot be opened", metadata: ["service": "\(key)", "error": "\(error)"])
      }
    }
  }

  /// Closes everything.
  func close() async {
    for server in fixed + perService.values.map(\.server) { await server.shutdown() }
    fixed = []
    perService = [:]
  }
}
