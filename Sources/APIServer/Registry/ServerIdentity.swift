import API
import APIMachinery
import Crypto
import Glibc
import Logging
import Storage

/// This server's Lease in kube-system, by which others know which API servers there are (KEP-1965).
struct ServerIdentity: Sendable {
  static let label = "apiserver.kubernetes.io/identity"
  static let period = Duration.seconds(10)
  static let lifetime: Int32 = 3600

  let registry: Registry
  let hostName: String
  private let holder: String
  let name: String

  init(registry: Registry, hostName: String) {
    self.registry = registry
    self.hostName = hostName
    name = Self.name(of: hostName)
    var generator = SystemRandomNumberGenerator()
    holder = "\(name)_\(UUIDText.make(using: &generator))"
  }

  /// As upstream: of the host's name, so that a restarted server goes on with its Lease.
  static func name(of hostName: String) -> String {
    let digits = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    var text: [UInt8] = []
    var bits: UInt32 = 0, count: UInt32 = 0
    for byte in SHA256.hash(data: Array(hostName.utf8)).prefix(16) {
      bits = bits << 8 | UInt32(byte)
      count += 8
      while count >= 5 {
        count -= 5
        text.append(digits[Int(bits >> count & 31)])
      }
    }
    if count > 0 { text.append(digits[Int(bits << (5 - count) & 31)]) }
    return "apiserver-" + String(decoding: text, as: UTF8.self)
  }

  /// This machine's name.
  static func hostName() -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    gethostname(&bytes, bytes.count - 1)
    return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Makes or renews the Lease.
  func renew() async throws {
    var lease = Lease()
    lease.metadata.namespace = "kube-system"
    lease.metadata.name = name
    let now = MicroTime.now
    let (holder, hostName) = (holder, hostName)
    try await Bootstrap(registry: registry).ensure(lease) { lease in
      lease.metadata.labels[Self.label] = "kube-apiserver"
      lease.metadata.labels["kubernetes.io/hostname"] = hostName
      lease.spec.holderIdentity = holder
      lease.spec.leaseDurationSeconds = Self.lifetime
      lease.spec.renewTime = now
    }
  }

  /// Removes the Leases of servers that have been silent for their Lease's time.
  func collect() async {
    guard let resource = registry.resource(Lease.self) else { return }
    for lease in registry.list(Lease.self, namespace: "kube-system")
    where lease.metadata.labels[Self.label] == "kube-apiserver" {
      let end = (lease.spec.renewTime?.seconds ?? 0) + Int64(lease.spec.leaseDurationSeconds ?? Self.lifetime)
      guard end < registry.now().seconds else { continue }
      _ = try? await registry.storage.delete(
        "/registry/leases.\(resource.info.group)/kube-system/\(lease.metadata.name)",
        if: .revision(UInt64(lease.metadata.resourceVersion) ?? 0))
    }
  }

  /// Renews, and collects once an hour, until the task is cancelled.
  func run() async {
    var rounds = 0
    while !Task.isCancelled {
      do { try await renew() } catch {
        registry.logger.debug("this server's Lease cannot be renewed", metadata: ["error": "\(error)"])
      }
      if rounds % 360 == 0 { await collect() }
      rounds += 1
      do { try await Task.sleep(for: Self.period) } catch { return }
    }
  }
}
