import API
import APIMachinery
import Client
import HTTP
import Logging
import PKI
import StorageSQLite

@testable import APIServer

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// An API server on an empty store, with a PKI of its own, served over TLS on loopback.
final class ServerFixture: Sendable {
  let server: APIServer
  let storage: SQLiteStorage
  let pki: ClusterPKI
  let directory: String
  let origin: HTTPOrigin

  private init(server: APIServer, storage: SQLiteStorage, pki: ClusterPKI, directory: String, port: Int) {
    self.server = server
    self.storage = storage
    self.pki = pki
    self.directory = directory
    origin = .https(host: "127.0.0.1", port: port)
  }

  static func with(
    listening: Bool = true, configure: (inout APIServerConfiguration) -> Void = { _ in },
    _ body: (ServerFixture) async throws -> Void
  ) async throws {
    let directory = "/tmp/apus-apiserver-test-\(UInt64.random(in: 0 ... .max))"
    mkdir(directory, 0o700)
    defer { removeTree(directory) }
    let pki = ClusterPKI(directory: directory + "/pki")
    _ = try pki.ensure(.init(nodeName: "node-1"))
    var configuration = APIServerConfiguration()
    configuration.use(pki)
    configuration.bindAddress = "127.0.0.1"
    configuration.port = 0
    configuration.advertiseAddress = "192.0.2.1"
    configuration.staticTokens = [
      StaticToken(token: "alice-token", user: RequestUser(name: "alice")),
      StaticToken(token: "root-token", user: RequestUser(name: "root", groups: [RequestUser.mastersGroup])),
    ]
    configure(&configuration)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let storage = try SQLiteStorage(directory: directory + "/store", logger: logger)
    let server = try APIServer(configuration: configuration, storage: storage, logger: logger)
    var port = 0
    if listening { port = try await server.start() } else { try await server.startWithoutListening() }
    let fixture = ServerFixture(server: server, storage: storage, pki: pki, directory: directory, port: port)
    let result = await Result { try await body(fixture) }
    await server.shutdown()
    await storage.close()
    try result.get()
  }

  /// A client with or without a certificate of the PKI.
  func client(_ leaf: ClusterPKI.Leaf? = nil) throws -> HTTPClient {
    let pair = try leaf.map { try pki.pair($0) }
    return HTTPClient(
      configuration: .init(
        tls: .init(
          trustedCAPEM: try pki.text(pki.authorityPath), certificateChainPEM: pair?.certificatePEM,
          privateKeyPEM: pair?.privateKeyPEM)))
  }

  /// Asks over TLS.
  func ask(
    _ client: HTTPClient, _ method: String = "GET", _ target: String, token: String? = nil,
    headers: [(String, String)] = [], json: String? = nil
  ) async throws -> (status: Int, json: JSONValue, text: String, headers: HTTPFields) {
    var fields = HTTPFields(headers)
    if let token { fields.add("authorization", "Bearer \(token)") }
    if json != nil, fields["content-type"] == nil { fields.add("content-type", "application/json") }
    let response = try await client.send(
      .init(
        method: method, origin: origin, target: target, headers: fields,
        body: json.map { .bytes(Array($0.utf8)) } ?? .none, timeout: .seconds(20)))
    let tree = (try? JSONValue(parsing: response.body)) ?? .null
    return (response.status, tree, String(decoding: response.body, as: UTF8.self), response.headers)
  }

  func api(_ user: RequestUser) -> APIClient {
    APIClient(transport: server.transport(for: user), userAgent: "test")
  }
}

extension Result where Failure == any Error {
  init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}

func removeTree(_ path: String) {
  guard let entries = opendir(path) else {
    unlink(path)
    return
  }
  while let entry = readdir(entries) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { removeTree("\(path)/\(name)") }
  }
  closedir(entries)
  rmdir(path)
}
