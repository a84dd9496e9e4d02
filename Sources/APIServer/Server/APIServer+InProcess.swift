import API
public import Client
import HTTP
import NIOCore

/// The way in for components of the same process: no TLS and no copying, but the same authorization and admission.
extension APIServer {
  /// A transport whose requests come from `user`.
  public func transport(for user: UserInfo) -> InProcessTransport {
    InProcessTransport(
      send: { [weak self] request in
        guard let self else { throw TransportError("the API server has stopped") }
        let response = await self.respond(to: request, user: user)
        let body = await Self.collect(response.body)
        return (response.status, response.headers.pairs, body)
      },
      stream: { [weak self] request in
        guard let self else { throw TransportError("the API server has stopped") }
        let response = await self.respond(to: request, user: user)
        return (response.status, Self.stream(response.body))
      })
  }

  private func respond(to request: TransportRequest, user: UserInfo) async -> HTTPResponse {
    let head = HTTPRequestHead(
      method: request.method, target: request.path, headers: HTTPFields(request.headers), remoteAddress: "@")
    return await handle(HTTPServerRequest(head: head, body: request.body ?? []), user: user)
  }

  private static func collect(_ body: HTTPResponseBody) async -> [UInt8] {
    switch body {
    case .none: return []
    case .bytes(let bytes): return bytes
    case .slices(let slices):
      var result: [UInt8] = []
      result.reserveCapacity(slices.reduce(0) { $0 + $1.count })
      for slice in slices { result.append(contentsOf: slice) }
      return result
    case .pull(let pull):
      var result: [UInt8] = []
      while let buffer = pull() { result.append(contentsOf: buffer.readableBytesView) }
      return result
    case .stream:
      var result: [UInt8] = []
      do { for try await chunk in stream(body) { result += chunk } } catch { return result }
      return result
    }
  }

  private static func stream(_ body: HTTPResponseBody) -> AsyncThrowingStream<[UInt8], any Error> {
    AsyncThrowingStream { continuation in
      guard case .stream(let produce) = body else {
        let task = Task {
          let bytes = await collect(body)
          if !bytes.isEmpty { continuation.yield(bytes) }
          continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return
      }
      let writer = HTTPBodyWriter { buffer in
        guard let buffer else {
          continuation.finish()
          return
        }
        continuation.yield(Array(buffer.readableBytesView))
      }
      // Not structured: the producer lives as long as the reader wants it.
      let task = Task {
        do {
          try await produce(writer)
          writer.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in
        writer.close()
        task.cancel()
      }
    }
  }
}
