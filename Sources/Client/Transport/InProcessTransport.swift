/// Reaches an API server in the same process: no TLS, no HTTP, no copying, but the same authentication,
/// authorization and admission as every other way in.
public struct InProcessTransport: Transport {
  private let sending: @Sendable (TransportRequest) async throws -> TransportResponse
  private let streaming: @Sendable (TransportRequest) async throws -> TransportStream

  /// Wraps the two entry points that the API server hands out for one user.
  public init(
    send: @escaping @Sendable (TransportRequest) async throws -> TransportResponse,
    stream: @escaping @Sendable (TransportRequest) async throws -> TransportStream
  ) {
    sending = send
    streaming = stream
  }

  public func send(_ request: TransportRequest) async throws -> TransportResponse {
    try await sending(request)
  }

  public func stream(_ request: TransportRequest) async throws -> TransportStream {
    try await streaming(request)
  }
}
