public import API
import APIMachinery

extension APIClient {
  /// Watches a collection. The stream ends when the server ends the watch; dropping it ends the request.
  public func watch<T: APIObject>(
    _ type: T.Type, namespace: String? = nil, options: ListOptions = ListOptions()
  ) async throws -> AsyncThrowingStream<WatchEvent<T>, any Error> {
    try await watch(path: ResourceLocation(type).path(namespace: namespace), options: options)
  }

  /// Watches the collection at a path.
  func watch<T: APIObject>(
    path: String, options: ListOptions, accept: String = "application/json"
  ) async throws -> AsyncThrowingStream<WatchEvent<T>, any Error> {
    let headers = [("User-Agent", userAgent), ("Accept", accept)]
    let request = TransportRequest(method: "GET", path: path + options.query(watch: true), headers: headers)
    let response = try await transport.stream(request)
    guard (200..<300).contains(response.status) else {
      var body: [UInt8] = []
      for try await chunk in response.body { body += chunk }
      throw StatusError(decoding: body, httpCode: response.status)
    }
    let pump = WatchPump<T>(response.body)
    return AsyncThrowingStream(unfolding: { try await pump.next() })
  }
}

/// Cuts a watch's bytes into lines and decodes one at a time, when it is asked for: a slow reader slows the
/// transport, nothing queues here.
///
/// `@unchecked Sendable`: the one stream that owns the pump asks for one event at a time.
private final class WatchPump<T: APIObject>: @unchecked Sendable {
  private var iterator: AsyncThrowingStream<[UInt8], any Error>.Iterator
  private var lines = LineBuffer()

  init(_ body: AsyncThrowingStream<[UInt8], any Error>) {
    iterator = body.makeAsyncIterator()
  }

  func next() async throws -> WatchEvent<T>? {
    while true {
      if let line = lines.next() { return try WatchEvent<T>.decode(line) }
      guard let chunk = try await iterator.next() else {
        return try lines.rest().map { try WatchEvent<T>.decode($0) }
      }
      lines.append(chunk)
    }
  }
}

/// Bytes in, lines out.
struct LineBuffer {
  private var bytes: [UInt8] = []
  private var start = 0
  private var scanned = 0

  mutating func append(_ chunk: [UInt8]) {
    if start == bytes.count {
      bytes = chunk
      scanned = 0
    } else {
      bytes.removeSubrange(..<start)
      scanned -= start
      bytes += chunk
    }
    start = 0
  }

  /// The next whole, non-empty line, without its end.
  mutating func next() -> [UInt8]? {
    while let end = bytes[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
      let line = Array(bytes[start..<end])
      start = end + 1
      scanned = start
      if !line.isEmpty { return line }
    }
    scanned = bytes.count
    return nil
  }

  /// What is left when no more bytes come.
  mutating func rest() -> [UInt8]? {
    guard start < bytes.count else { return nil }
    defer {
      start = bytes.count
      scanned = start
    }
    return Array(bytes[start...])
  }
}
