import API
import APIMachinery
import Storage
import Synchronization

/// What is known of the cluster addresses and node ports in use, so that free ones can be proposed.
///
/// Whether a proposal holds is decided by the store: other servers take addresses and ports at the same time.
final class ServiceAllocator: Sendable {
  private struct State {
    /// Of the services.
    var addresses: Set<UInt32> = []
    var ports: Set<Int32> = []
    /// Names of IPAddress objects, whoever they belong to.
    var objects: Set<UInt32> = []
  }

  let range: IPv4Range
  let ports: ClosedRange<Int>
  /// Claims that nobody seemed to own at the last repair.
  let suspects = Mutex<[String: Revision]>([:])
  /// An element for each IPAddress object that was deleted while a service had its address.
  let losses: AsyncStream<Void>
  private let lost: AsyncStream<Void>.Continuation
  private let state = Mutex(State())

  struct BadRange: Error, CustomStringConvertible { var description: String }

  init(range: String, ports: ClosedRange<Int>) throws {
    guard let parsed = IPv4Range(range) else {
      throw BadRange(description: "service address range \(range) is not an IPv4 range")
    }
    self.range = parsed
    self.ports = ports
    (losses, lost) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// The `kubernetes` service's address: the first of the range.
  var first: String { IPv4Range.text(range.address(1)) }

  // MARK: - Following the store

  func follow(services: ResourceCache, addresses: ResourceCache?) {
    services.subscribe(
      { snapshot in
        snapshot.objects.forEach(prefix: "") { _, object in
          if let service = Registry.decoded(Service.self, object) { note(nil, service) }
          return true
        }
      },
      { [self] event in
        note(
          event.previous.flatMap { Registry.decoded(Service.self, $0) },
          event.kind == .deleted ? nil : Registry.decoded(Service.self, event.object))
      })
    addresses?.subscribe(
      { snapshot in
        snapshot.objects.forEach(prefix: "") { key, _ in
          if let address = IPv4Range.parse(key) { state.withLock { _ = $0.objects.insert(address) } }
          return true
        }
      },
      { [self] event in
        guard let address = IPv4Range.parse(event.object.key) else { return }
        let missed = state.withLock { state in
          guard event.kind == .deleted else {
            state.objects.insert(address)
            return false
          }
          state.objects.remove(address)
          return state.addresses.contains(address)
        }
        if missed { lost.yield() }
      })
  }

  private func note(_ old: Service?, _ new: Service?) {
    let before = old.map(Self.held) ?? ([], [])
    let after = new.map(Self.held) ?? ([], [])
    state.withLock { state in
      state.addresses.subtract(before.0.subtracting(after.0))
      state.ports.subtract(before.1.subtracting(after.1))
      state.addresses.formUnion(after.0)
      state.ports.formUnion(after.1)
    }
  }

  /// The addresses and ports that a service has. A port belongs to one service, whatever the protocol.
  static func held(_ service: Service) -> (addresses: Set<UInt32>, ports: Set<Int32>) {
    var ports = Set(service.spec.ports.map(\.nodePort))
    ports.insert(service.spec.healthCheckNodePort)
    ports.remove(0)
    return (Set(service.spec.clusterIPs.compactMap(IPv4Range.parse)), ports)
  }

  // MARK: - Proposing

  func seemsTaken(address: UInt32) -> Bool {
    state.withLock { $0.addresses.contains(address) || $0.objects.contains(address) }
  }

  func seemsTaken(port: Int32) -> Bool { state.withLock { $0.ports.contains(port) } }

  /// An address that seems free: from the upper part of the range while that has any, so that addresses which
  /// people choose (the lower part) seldom collide.
  func freeAddress(except tried: Set<UInt32>) -> UInt32? {
    let usable = range.size - 2
    let lower = min(max(16, range.size / 16), 256)
    return state.withLock { state in
      let upper = lower < usable ? (lower + 1)...usable : 1...usable
      let (addresses, objects) = (state.addresses, state.objects)
      let free: (UInt64) -> Bool = { [range] offset in
        let address = range.address(offset)
        return !addresses.contains(address) && !objects.contains(address) && !tried.contains(address)
      }
      return (Self.pick(upper, free) ?? Self.pick(1...min(lower, usable), free)).map(range.address)
    }
  }

  /// A port that seems free, by the same rule.
  func freePort(except tried: Set<Int32>) -> Int32? {
    let lower = min(max(16, ports.count / 32), 128)
    let start = UInt64(ports.lowerBound)
    let split = min(start + UInt64(lower), UInt64(ports.upperBound))
    return state.withLock { state in
      let taken = state.ports
      let free: (UInt64) -> Bool = { !taken.contains(Int32($0)) && !tried.contains(Int32($0)) }
      let found =
        Self.pick(split...UInt64(ports.upperBound), free)
        ?? (split > start ? Self.pick(start...(split - 1), free) : nil)
      return found.map { Int32($0) }
    }
  }

  /// A random member that is free; a scan from a random start where chance finds none.
  private static func pick(_ range: ClosedRange<UInt64>, _ free: (UInt64) -> Bool) -> UInt64? {
    for _ in 0..<64 {
      let candidate = UInt64.random(in: range)
      if free(candidate) { return candidate }
    }
    let start = UInt64.random(in: range)
    if let found = (start...range.upperBound).first(where: free) { return found }
    return start > range.lowerBound ? (range.lowerBound...(start - 1)).first(where: free) : nil
  }
}
