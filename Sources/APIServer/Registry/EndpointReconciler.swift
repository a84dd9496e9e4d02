import API
import APIMachinery
import Logging
import Storage

/// Keeps the endpoints of the `kubernetes` Service equal to the API servers that are alive (upstream's lease endpoint
/// reconciler): each server renews a key of its own, `/registry/masterleases/<address>`, that ends by itself, and writes
/// the endpoints when they differ from the keys.
struct EndpointReconciler: Sendable {
  static let prefix = "/registry/masterleases/"
  static let lifetime = 15
  static let period = Duration.seconds(10)

  let registry: Registry

  private var address: String { registry.configuration.advertiseAddress }
  private var key: String { Self.prefix + address }

  /// Validation refuses endpoints at loopback addresses, and rightly: from a pod they lead back into the pod.
  private var isReachable: Bool { !address.hasPrefix("127.") && address != "::1" }

  /// Announces this server and brings the endpoints up to date.
  func reconcile() async throws {
    guard isReachable else {
      registry.logger.debug("the kubernetes Service gets no endpoints: the advertised address is a loopback address")
      return
    }
    // The form in which upstream's servers write their leases, which may share the store with ours.
    var lease = Endpoints()
    lease.subsets = [EndpointSubset { $0.addresses = [EndpointAddress { $0.ip = address }] }]
    lease.metadata.name = "kubernetes"
    _ = try await registry.storage.put(key, lease.encodedWithType(), if: .any, ttl: Self.lifetime)
    try await write(try await alive())
  }

  /// Renews until the task is cancelled; then takes this server out.
  func run() async {
    while !Task.isCancelled {
      do { try await Task.sleep(for: Self.period) } catch { break }
      do { try await reconcile() } catch {
        registry.logger.warning("the kubernetes Service's endpoints cannot be kept", metadata: ["error": "\(error)"])
      }
    }
  }

  /// Takes this server's address out of the endpoints, so that no client comes here any more.
  func withdraw() async {
    guard isReachable else { return }
    do {
      _ = try await registry.storage.delete(key, if: .any)
      try await write(try await alive().filter { $0 != address })
    } catch {
      registry.logger.warning(
        "this server stays in the kubernetes Service for seconds", metadata: ["error": "\(error)"])
    }
  }

  private func alive() async throws -> [String] {
    let page = try await registry.storage.list(prefix: Self.prefix, after: nil, limit: nil, at: nil)
    return page.items.map { String($0.key.dropFirst(Self.prefix.count)) }.sorted()
  }

  private func write(_ addresses: [String]) async throws {
    // Without any server, upstream leaves the last state: nobody could be told otherwise.
    guard !addresses.isEmpty else { return }
    let port = Int32(registry.configuration.securePort)
    var endpoints = Endpoints()
    endpoints.metadata.namespace = "default"
    endpoints.metadata.name = "kubernetes"
    try await Bootstrap(registry: registry).ensure(endpoints) { endpoints in
      endpoints.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true"
      endpoints.subsets = [
        EndpointSubset {
          $0.addresses = addresses.map { address in EndpointAddress { $0.ip = address } }
          $0.ports = [
            EndpointPort {
              $0.name = "https"
              $0.port = port
              $0.protocol = "TCP"
            }
          ]
        }
      ]
    }
    var slice = EndpointSlice()
    slice.metadata.namespace = "default"
    slice.metadata.name = "kubernetes"
    slice.addressType = "IPv4"
    try await Bootstrap(registry: registry).ensure(slice) { slice in
      slice.metadata.labels["kubernetes.io/service-name"] = "kubernetes"
      slice.endpoints = addresses.map { address in
        Endpoint {
          $0.addresses = [address]
          $0.conditions.ready = true
        }
      }
      slice.ports = [
        DiscoveryEndpointPort {
          $0.name = "https"
          $0.port = port
          $0.protocol = "TCP"
        }
      ]
    }
  }
}
