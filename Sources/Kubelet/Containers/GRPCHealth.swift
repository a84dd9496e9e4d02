import GRPC

/// The gRPC health protocol, `grpc.health.v1.Health/Check`, whose two messages are one field each.
enum GRPCHealth {
  static func check(host: String, port: Int, service: String, timeout: Duration) async -> HandlerResult {
    do {
      let channel = GRPCChannel(address: .tcp(host: host, port: port))
      let reply = try await channel.unary(
        "/grpc.health.v1.Health/Check", request(service), options: .init(timeout: timeout))
      return status(reply.message) == 1
        ? .success : .failure("service unhealthy (responded with \"\(name(status(reply.message)))\")")
    } catch let error as GRPCStatus {
      switch error.code {
      case .unimplemented:
        return .failure(
          "this server does not implement the grpc health protocol (grpc.health.v1.Health): \(error.message)")
      case .deadlineExceeded: return .failure("timeout: health rpc did not complete within \(timeout.goText)")
      case .unavailable:
        return .failure(
          "timeout: failed to connect service \"\(host):\(port)\" within \(timeout.goText): \(error.message)")
      default: return .failure("error: health rpc probe failed: \(error)")
      }
    } catch {
      return .error("\(error)")
    }
  }

  /// Field 1, a string.
  static func request(_ service: String) -> [UInt8] {
    let bytes = Array(service.utf8)
    if bytes.isEmpty { return [] }
    var out: [UInt8] = [0x0a]
    var length = bytes.count
    while length >= 0x80 {
      out.append(UInt8(length & 0x7f | 0x80))
      length >>= 7
    }
    out.append(UInt8(length))
    return out + bytes
  }

  /// Field 1, an enumeration; absent is UNKNOWN.
  static func status(_ message: [UInt8]) -> UInt8 {
    message.count >= 2 && message[0] == 0x08 ? message[1] : 0
  }

  private static func name(_ status: UInt8) -> String {
    ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].indices.contains(Int(status))
      ? ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"][Int(status)] : "UNKNOWN"
  }
}
