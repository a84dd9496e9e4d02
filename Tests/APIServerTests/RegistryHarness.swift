import API
import APIMachinery
import Foundation
import HTTP
import Logging
import NIOCore
import Storage
import StorageSQLite
import Synchronization
import Testing

@testable import APIServer

/// A registry over a store in a directory of its own.
final class RegistryHarness: Sendable {
  let registry: Registry
  let storage: SQLiteStorage
  let directory: String

  convenience init(_ configuration: RegistryConfiguration) async throws {
    let directory = NSTemporaryDirectory() + "registry-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let storage = try SQLiteStorage(directory: directory, logger: logger)
    try await self.init(configuration, directory: directory, storage: storage, view: storage)
  }

  /// A registry that sees the store by `view`.
  init(
    _ configuration: RegistryConfiguration, directory: String, storage: SQLiteStorage, view: any Storage,
    start: Bool = true
  ) async throws {
    var configuration = configuration
    configuration.serviceAccountRetries = 0
    configuration.advertiseAddress = "192.0.2.1"
    self.directory = directory
    self.storage = storage
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    registry = try Registry(
      storage: view, configuration: configuration, tokenIssuer: FakeIssuer(), logger: logger)
    if start { try await registry.start() }
  }

  func close() async {
    registry.stop()
    await storage.close()
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Runs `body` with a registry that is closed afterwards.
  static func with(
    _ configuration: RegistryConfiguration = RegistryConfiguration(),
    _ body: (RegistryHarness) async throws -> Void
  ) async throws {
    let harness = try await RegistryHarness(configuration)
    do {
      try await body(harness)
      await harness.close()
    } catch {
      await harness.close()
      throw error
    }
  }

  /// `GET /api/v1/namespaces/default/pods?limit=2` and its like; the body is JSON unless `type` says otherwise.
  func call(
    _ method: String, _ target: String, _ body: String = "", bytes: [UInt8]? = nil,
    type: String = "application/json", accept: String = "application/json", user: RequestUser = .apiServer,
    at other: Registry? = nil
  ) async -> Answer {
    let registry = other ?? registry
    var request = Self.request(method, target, body, type: type, accept: accept, user: user)
    if let bytes { request.body = bytes }
    let response: HTTPResponse
    if let now = registry.handleSync(request) { response = now } else { response = await registry.handle(request) }
    return Answer(
      status: response.status, headers: response.headers, body: await Self.collect(response.body),
      response: response)
  }

  static func request(
    _ method: String, _ target: String, _ body: String, type: String, accept: String, user: RequestUser
  ) -> ResourceRequest {
    let parts = target.split(separator: "?", maxSplits: 1)
    let query = parts.count > 1 ? parts[1].split(separator: "&") : []
    let pairs = query.map { item -> (String, String) in
      let sides = item.split(separator: "=", maxSplits: 1).map { String($0).removingPercentEncoding ?? String($0) }
      return (sides[0], sides.count > 1 ? sides[1] : "")
    }
    var path = parts[0].split(separator: "/").map(String.init)
    var info = RequestInfo()
    info.isResource = true
    info.apiPrefix = path.removeFirst()
    if info.apiPrefix == "apis" { info.apiGroup = path.removeFirst() }
    info.apiVersion = path.removeFirst()
    if path.first == "namespaces", path.count > 2, path[2] != "status", path[2] != "finalize" {
      info.namespace = path[1]
      path.removeFirst(2)
    }
    info.resource = path.removeFirst()
    if !path.isEmpty { info.name = path.removeFirst() }
    if info.resource == "namespaces" { info.namespace = info.name }
    if !path.isEmpty { info.subresource = path.removeFirst() }
    let watching = pairs.contains { $0.0 == "watch" && $0.1 != "false" }
    switch method {
    case "GET": info.verb = watching ? "watch" : info.name.isEmpty ? "list" : "get"
    case "POST": info.verb = "create"
    case "PUT": info.verb = "update"
    case "PATCH": info.verb = "patch"
    default: info.verb = info.name.isEmpty ? "deletecollection" : "delete"
    }
    return ResourceRequest(
      info: info, user: user, query: pairs, headers: HTTPFields([("User-Agent", "tester/1.0")]),
      body: Array(body.utf8), contentType: type, accept: accept)
  }

  private static func collect(_ body: HTTPResponseBody) async -> [UInt8] {
    switch body {
    case .none, .stream: return []
    case .bytes(let bytes): return bytes
    case .slices(let slices): return slices.flatMap { Array($0) }
    case .pull(let next):
      var all: [UInt8] = []
      while let piece = next() { all += Array(piece.readableBytesView) }
      return all
    }
  }

  /// Opens a watch; its lines come out of the returned reader.
  func watch(_ target: String, accept: String = "application/json", at other: Registry? = nil) async throws
    -> WatchReader
  {
    let request = Self.request("GET", target, "", type: "application/json", accept: accept, user: .apiServer)
    let response = await (other ?? registry).handle(request)
    guard case .stream(let run) = response.body else {
      throw WatchRefused(status: response.status, body: await Self.collect(response.body))
    }
    return WatchReader(run)
  }

  @discardableResult
  func create(_ target: String, _ body: String) async throws -> JSONValue {
    let answer = await call("POST", target, body)
    try #require(answer.status == 201, "\(answer.text)")
    return try answer.json()
  }

  /// A namespace with the service account that a controller would make.
  func serviceAccount(in namespace: String = "default") async throws {
    try await create(
      "/api/v1/namespaces/\(namespace)/serviceaccounts", #"{"metadata":{"name":"default"}}"#)
  }
}

struct WatchRefused: Error {
  var status: Int
  var body: [UInt8]
}

struct Answer {
  var status: Int
  var headers: HTTPFields
  var body: [UInt8]
  var response: HTTPResponse

  var text: String { String(decoding: body, as: UTF8.self) }
  func json() throws -> JSONValue { try JSONValue(parsing: body) }
  var message: String { (try? json()["message"]?.stringValue) ?? "" }
  var reason: String { (try? json()["reason"]?.stringValue) ?? "" }
}

/// Runs a watch's body and hands out its lines.
final class WatchReader: Sendable {
  private let lines: AsyncStream<String>
  private let task: Task<Void, Never>

  init(_ run: @escaping @Sendable (HTTPBodyWriter) async throws -> Void) {
    let (lines, continuation) = AsyncStream<String>.makeStream()
    self.lines = lines
    let rest = Mutex("")
    let writer = HTTPBodyWriter { buffer in
      guard let buffer else { return continuation.finish() }
      let text = rest.withLock { rest -> [String] in
        rest += String(decoding: buffer.readableBytesView, as: UTF8.self)
        var parts = rest.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        rest = parts.removeLast()
        return parts
      }
      for line in text { continuation.yield(line) }
    }
    task = Task {
      try? await run(writer)
      writer.finish()
    }
  }

  /// The next events: type and object.
  func next(_ count: Int) async throws -> [(type: String, object: JSONValue)] {
    var found: [(String, JSONValue)] = []
    for await line in lines {
      let tree = try JSONValue(parsing: Array(line.utf8))
      found.append((tree["type"]?.stringValue ?? "", tree["object"] ?? .null))
      if found.count == count { break }
    }
    return found
  }

  func cancel() { task.cancel() }
}

struct FakeIssuer: TokenIssuer {
  var defaultAudiences: [String] { ["https://kubernetes.default.svc"] }
  func issue(_ claims: ServiceAccountTokenClaims) async throws -> (token: String, expiration: Time) {
    (
      "token-for-\(claims.namespace)-\(claims.serviceAccountName)-\(claims.bound?.name ?? "")",
      Time(seconds: 4_000_000_000)
    )
  }
}

func name(_ object: JSONValue?) -> String { object?["metadata"]?["name"]?.stringValue ?? "" }
func version(_ object: JSONValue?) -> String { object?["metadata"]?["resourceVersion"]?.stringValue ?? "" }
func names(_ list: JSONValue) -> [String] { (list["items"]?.arrayValue ?? []).map { name($0) } }
