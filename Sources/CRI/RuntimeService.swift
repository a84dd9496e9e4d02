public import GRPC
public import SwiftProtobuf

/// The runtime half of CRI: sandboxes, containers, exec. One method per RPC, in `Generated/RuntimeServiceCalls.swift`.
public struct RuntimeService: CRIService {
  /// What a call may take when nothing else is said: the kubelet's `runtimeRequestTimeout`.
  public static var defaultTimeout: Duration { .seconds(120) }
  public let channel: GRPCChannel

  /// A client on a channel; both services may share one.
  public init(channel: GRPCChannel) { self.channel = channel }
}

/// The image half of CRI. One method per RPC, in `Generated/ImageServiceCalls.swift`.
public struct ImageService: CRIService {
  /// What a call may take when nothing else is said; pulls want nil.
  public static var defaultTimeout: Duration { .seconds(120) }
  public let channel: GRPCChannel

  /// A client on a channel; both services may share one.
  public init(channel: GRPCChannel) { self.channel = channel }
}

/// What the clients share: messages in, messages out.
public protocol CRIService: Sendable {
  /// The way to the runtime.
  var channel: GRPCChannel { get }
}

extension CRIService {
  func unary<Response: Message>(
    _ method: String, _ request: some Message, timeout: Duration?
  ) async throws -> Response {
    let reply = try await channel.unary(method, request.serializedBytes(), options: .init(timeout: timeout))
    return try Response(serializedBytes: reply.message)
  }

  func stream<Response: Message & Sendable>(
    _ method: String, _ request: some Message, timeout: Duration?
  ) async throws -> CRIStream<Response> {
    CRIStream(
      call: try await channel.serverStream(method, request.serializedBytes(), options: .init(timeout: timeout)))
  }
}

/// The answers of a streaming RPC. Letting go of it ends the call.
public struct CRIStream<Response: Message & Sendable>: AsyncSequence, Sendable {
  let call: GRPCCall

  public struct AsyncIterator: AsyncIteratorProtocol {
    let call: GRPCCall

    /// The next answer; nil when the runtime has no more. Throws the status when the call failed.
    public mutating func next() async throws -> Response? {
      guard let bytes = try await call.receive() else { return nil }
      return try Response(serializedBytes: bytes)
    }
  }

  /// The answers in order.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: call) }

  /// Ends the call.
  public func cancel() { call.cancel() }
}
