import API
import CRI
import HTTP
import NIOCore
import NIOPosix

/// What a probe or hook found.
enum HandlerResult: Sendable, Equatable {
  case success
  case failure(String)
  /// It could not be found out.
  case error(String)
}

/// Carries out exec, HTTP, TCP and gRPC checks for probes and hooks.
///
/// A protocol so that tests decide what is found.
protocol HandlerRunner: Sendable {
  func exec(_ containerID: String, _ command: [String], timeout: Duration) async -> HandlerResult
  func http(_ url: String, headers: [(String, String)], timeout: Duration) async -> HandlerResult
  func tcp(host: String, port: Int, timeout: Duration) async -> HandlerResult
  func grpc(host: String, port: Int, service: String, timeout: Duration) async -> HandlerResult
}

/// The real thing.
struct NetworkHandlerRunner: HandlerRunner {
  private let engine: any ContainerEngine
  private let client: HTTPClient

  init(engine: any ContainerEngine) {
    self.engine = engine
    // Probes are not about identity: containers' certificates are not verified, and every probe connects anew.
    var configuration = HTTPClientConfiguration(tls: ClientTLSOptions(insecureSkipVerify: true))
    configuration.http2 = false
    configuration.maxIdlePerOrigin = 0
    client = HTTPClient(configuration: configuration)
  }

  func exec(_ containerID: String, _ command: [String], timeout: Duration) async -> HandlerResult {
    do {
      let seconds = max(timeout.components.seconds, 0)
      let answer = try await engine.execSync(containerID, command, timeoutSeconds: seconds)
      if answer.exitCode == 0 { return .success }
      return .failure(String(decoding: (answer.stdout + answer.stderr).prefix(10 * 1024), as: UTF8.self))
    } catch {
      let text = describe(error)
      // A command that does not end in time is a failure, not ignorance.
      if text.contains("DeadlineExceeded") || text.contains("timed out") || text.contains("deadline exceeded") {
        return .failure("command timed out: \(command.joined(separator: " ")) timed out after \(timeout.goText)")
      }
      return .error(text)
    }
  }

  func http(_ url: String, headers: [(String, String)], timeout: Duration) async -> HandlerResult {
    var target = url
    for _ in 0..<10 {
      do {
        var fields = HTTPFields(headers)
        if fields["User-Agent"] == nil { fields.add("User-Agent", "kube-probe/1.36") }
        if fields["Accept"] == nil { fields.add("Accept", "*/*") }
        fields.add("Connection", "close")
        let request = try HTTPClientRequest(url: target, headers: fields, timeout: timeout)
        let answer = try await client.send(request)
        switch answer.status {
        case 200..<300: return .success
        case 300..<400:
          // Followed on the same host only: elsewhere says nothing about this container.
          guard let location = answer.headers["Location"] else { return .success }
          let origin = request.origin
          if location.hasPrefix("/") {
            target = Self.base(origin) + location
          } else if let next = try? HTTPOrigin.parse(location), next.origin == origin {
            target = location
          } else {
            return .success
          }
        default:
          return .failure("HTTP probe failed with statuscode: \(answer.status)")
        }
      } catch HTTPClientError.timeout {
        return .failure(
          "Get \"\(target)\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
      } catch {
        return .failure("Get \"\(target)\": \(Self.words(error))")
      }
    }
    return .failure("stopped after 10 redirects")
  }

  private static func base(_ origin: HTTPOrigin) -> String {
    switch origin {
    case .http: "http://\(origin.authority)"
    case .https: "https://\(origin.authority)"
    case .unix: "http://localhost"
    }
  }

  func tcp(host: String, port: Int, timeout: Duration) async -> HandlerResult {
    do {
      let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connectTimeout(.nanoseconds(timeout.wholeNanoseconds))
        .connect(host: host, port: port).get()
      channel.close(promise: nil)
      return .success
    } catch {
      return .failure("dial tcp \(host):\(port): \(Self.words(error))")
    }
  }

  func grpc(host: String, port: Int, service: String, timeout: Duration) async -> HandlerResult {
    await GRPCHealth.check(host: host, port: port, service: service, timeout: timeout)
  }

  private static func words(_ error: any Error) -> String {
    if let system = error as? IOError { return system.errnoCode == 111 ? "connect: connection refused" : "\(system)" }
    if let connect = error as? NIOConnectionError {
      if let first = connect.connectionErrors.first { return words(first.error) }
      return "no such host"
    }
    if error is ChannelError { return "i/o timeout" }
    return "\(error)"
  }
}
