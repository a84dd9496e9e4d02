import APIMachinery
import Foundation
import Logging
import NIOSSL
import PKI
import Storage
import StorageEtcd
import Synchronization

let quiet = Logger(label: "store", factory: { _ in SwiftLogNoOpLogHandler() })

/// A real etcd on the loopback interface, with TLS on both sides, that goes when the test does.
final class EtcdCluster: Sendable {
  private struct Member {
    var arguments: [String]
    var process: Process?
  }

  static let authority = Result { try CertificateAuthority.create(commonName: "etcd-test", now: .now) }

  let directory: String
  let ports: [Int]
  private let members: Mutex<[Member]>

  init(members count: Int = 1) throws {
    let memory = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    directory = memory + "/etcd-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let authority = try Self.authority.get()
    try authority.certificatePEM.write(toFile: directory + "/ca.crt", atomically: true, encoding: .utf8)
    for (name, usages) in [
      ("server", Set<CertificateRequest.Usage>([.serverAuth, .clientAuth])), ("client", [.clientAuth]),
    ] {
      let issued = try authority.issue(
        CertificateRequest(
          commonName: name, dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], usages: usages, validity: 86_400))
      try issued.certificatePEM.write(toFile: "\(directory)/\(name).crt", atomically: true, encoding: .utf8)
      try issued.privateKeyPEM.write(toFile: "\(directory)/\(name).key", atomically: true, encoding: .utf8)
    }
    let free = try freePorts(2 * count)
    ports = Array(free.prefix(count))
    let peers = free.suffix(count).map { "http://127.0.0.1:\($0)" }
    let cluster = peers.enumerated().map { "m\($0.offset)=\($0.element)" }.joined(separator: ",")
    let directory = directory
    members = Mutex(
      (0..<count).map { index in
        Member(arguments: [
          "--name", "m\(index)", "--data-dir", "\(directory)/m\(index)",
          "--listen-peer-urls", peers[index], "--initial-advertise-peer-urls", peers[index],
          "--initial-cluster", cluster, "--initial-cluster-state", "new", "--initial-cluster-token", directory,
          "--heartbeat-interval", "20", "--election-timeout", "200", "--log-level", "error",
          "--client-cert-auth", "--trusted-ca-file", directory + "/ca.crt",
          "--cert-file", directory + "/server.crt", "--key-file", directory + "/server.key",
        ])
      })
    for index in 0..<count { try start(index) }
  }

  deinit {
    for index in ports.indices { stop(index) }
    try? FileManager.default.removeItem(atPath: directory)
  }

  var endpoints: [String] { ports.map { "https://127.0.0.1:\($0)" } }

  func start(_ index: Int, port: Int? = nil) throws {
    let url = "https://127.0.0.1:\(port ?? ports[index])"
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/etcd")
    process.arguments =
      members.withLock { $0[index].arguments } + ["--listen-client-urls", url, "--advertise-client-urls", url]
    process.environment = ["ETCD_UNSUPPORTED_ARCH": "arm64"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    members.withLock { $0[index].process = process }
  }

  /// Kills a member and waits for its end.
  func stop(_ index: Int) {
    guard
      let process = members.withLock({ members in
        defer { members[index].process = nil }
        return members[index].process
      })
    else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  func configuration(port: Int? = nil) throws -> EtcdConfiguration {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.trustRoots = .file(directory + "/ca.crt")
    tls.certificateChain = try NIOSSLCertificate.fromPEMFile(directory + "/client.crt").map { .certificate($0) }
    tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: directory + "/client.key", format: .pem))
    var configuration = EtcdConfiguration(
      endpoints: port.map { ["https://127.0.0.1:\($0)"] } ?? endpoints, tls: tls)
    configuration.compactionInterval = .zero
    configuration.pageSize = 7
    return configuration
  }

  func open(
    port: Int? = nil, _ change: (inout EtcdConfiguration) -> Void = { _ in }
  ) async throws -> EtcdStorage {
    var configuration = try configuration(port: port)
    change(&configuration)
    return try await EtcdStorage.open(configuration, logger: quiet)
  }

  /// What etcd's own client prints.
  func etcdctl(_ arguments: String...) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/etcdctl")
    process.arguments =
      [
        "--endpoints", endpoints[0], "--cacert", directory + "/ca.crt", "--cert", directory + "/client.crt",
        "--key", directory + "/client.key",
      ] + arguments
    process.environment = ["ETCDCTL_API": "3"]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }
}

/// Ports that nobody listens on.
func freePorts(_ count: Int) throws -> [Int] {
  var sockets: [Int32] = []
  defer { for socket in sockets { close(socket) } }
  return try (0..<count).map { _ in
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw POSIXError(.EMFILE) }
    sockets.append(descriptor)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    return try withUnsafeMutablePointer(to: &address) { pointer in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        guard bind(descriptor, pointer, length) == 0, getsockname(descriptor, pointer, &length) == 0 else {
          throw POSIXError(.EADDRINUSE)
        }
      }
      return Int(UInt16(bigEndian: pointer.pointee.sin_port))
    }
  }
}

func committed(_ outcome: WriteOutcome) throws -> StoredValue {
  guard case .committed(let value, _) = outcome else { throw StorageError.engine("not committed: \(outcome)") }
  return value
}

/// Tries until it works, twenty seconds at most.
func eventually<T>(_ body: () async throws -> T) async throws -> T {
  let end = ContinuousClock.now + .seconds(20)
  while true {
    do { return try await body() } catch  where ContinuousClock.now < end {
      try await Task.sleep(for: .milliseconds(50))
    }
  }
}

/// Gathers what a follower was given.
final class Gathered: Sendable {
  private struct Content {
    var snapshots: [(keys: [String], revision: Revision)] = []
    var events: [StorageEvent] = []
  }
  private let content = Mutex(Content())

  func follow(_ store: any Storage, prefix: String) throws -> any StorageSubscription {
    try store.follow(
      prefix: prefix,
      onSnapshot: { values, revision in self.content.withLock { $0.snapshots.append((values.map(\.key), revision)) } },
      onEvents: { events, _ in self.content.withLock { $0.events += events } })
  }

  var snapshots: [(keys: [String], revision: Revision)] { content.withLock { $0.snapshots } }
  var events: [StorageEvent] { content.withLock { $0.events } }
}
