import API
import APIMachinery
import Synchronization

/// Which cluster addresses and node ports are in use.
///
/// Filled from the services themselves, so there is nothing to repair; what a request takes is marked at once
/// and given back if the request fails.
final class ServiceAllocator: Sendable {
  struct NodePort: Hashable, Sendable {
    var port: Int32
    var `protocol`: String
  }

  private struct State {
    var addresses: Set<UInt32> = []
    var ports: Set<NodePort> = []
  }

  let range: IPv4Range
  let ports: ClosedRange<Int>
  private let state = Mutex(State())

  struct BadRange: Error, CustomStringConvertible { var description: String }

  init(range: String, ports: ClosedRange<Int>) throws {
    guard let parsed = IPv4Range(range) else {
      throw BadRange(description: "service address range \(range) is not an IPv4 range")
    }
    self.range = parsed
    self.ports = ports
  }

  /// The `kubernetes` service's address: the first of the range.
  var first: String { IPv4Range.text(range.address(1)) }

  // MARK: - Following the services

  func follow(_ cache: ResourceCache) {
    cache.subscribe(
      { snapshot in
        snapshot.objects.forEach(prefix: "") { _, object in
          if let service = Registry.decoded(Service.self, object) { take(service) }
          return true
        }
      },
      { [self] event in
        let old = event.previous.flatMap { Registry.decoded(Service.self, $0) }
        let new = event.kind == .deleted ? nil : Registry.decoded(Service.self, event.object)
        let before = old.map(Self.held)
        let after = new.map(Self.held)
        state.withLock { state in
          if let before {
            state.addresses.subtract(before.0.subtracting(after?.0 ?? []))
            state.ports.subtract(before.1.subtracting(after?.1 ?? []))
          }
          if let after {
            state.addresses.formUnion(after.0)
            state.ports.formUnion(after.1)
          }
        }
      })
  }

  private func take(_ service: Service) {
    let held = Self.held(service)
    state.withLock { state in
      state.addresses.formUnion(held.0)
      state.ports.formUnion(held.1)
    }
  }

  private static func held(_ service: Service) -> (Set<UInt32>, Set<NodePort>) {
    var ports: Set<NodePort> = []
    for port in service.spec.ports where port.nodePort != 0 {
      ports.insert(NodePort(port: port.nodePort, protocol: port.protocol))
    }
    if service.spec.healthCheckNodePort != 0 {
      ports.insert(NodePort(port: service.spec.healthCheckNodePort, protocol: "TCP"))
    }
    return (Set(service.spec.clusterIPs.compactMap(IPv4Range.parse)), ports)
  }

  // MARK: - Taking and giving back

  enum Failure: Error { case outOfRange, taken, full }

  func takeAddress(_ address: UInt32) -> Failure? {
    guard range.contains(address) else { return .outOfRange }
    return state.withLock { $0.addresses.insert(address).inserted ? nil : .taken }
  }

  /// A free address: from the upper part of the range while that has any, so that addresses which people
  /// choose (the lower part) seldom collide.
  func takeAddress() -> UInt32? {
    let usable = range.size - 2
    let lower = min(max(16, range.size / 16), 256)
    return state.withLock { state in
      let upper = lower < usable ? (lower + 1)...usable : 1...usable
      let taken = state.addresses
      let free: (UInt64) -> Bool = { [range] in !taken.contains(range.address($0)) }
      guard let offset = Self.pick(upper, free) ?? Self.pick(1...min(lower, usable), free) else { return nil }
      let address = range.address(offset)
      state.addresses.insert(address)
      return address
    }
  }

  func takePort(_ port: NodePort) -> Failure? {
    guard ports.contains(Int(port.port)) else { return .outOfRange }
    return state.withLock { $0.ports.insert(port).inserted ? nil : .taken }
  }

  /// A free port for a protocol; `avoiding` are ports that the same service has for other protocols.
  func takePort(protocol name: String) -> Int32? {
    let lower = min(max(16, ports.count / 32), 128)
    let start = UInt64(ports.lowerBound)
    let split = min(start + UInt64(lower), UInt64(ports.upperBound))
    return state.withLock { state in
      // A port is given out for all protocols at once, so that a service may use it for both.
      let taken = state.ports
      let free: (UInt64) -> Bool = { port in
        !["TCP", "UDP", "SCTP"].contains { taken.contains(NodePort(port: Int32(port), protocol: $0)) }
      }
      guard
        let port = Self.pick(split...UInt64(ports.upperBound), free)
          ?? (split > start ? Self.pick(start...(split - 1), free) : nil)
      else { return nil }
      state.ports.insert(NodePort(port: Int32(port), protocol: name))
      return Int32(port)
    }
  }

  func give(_ addresses: [UInt32], _ ports: [NodePort]) {
    state.withLock { state in
      state.addresses.subtract(addresses)
      state.ports.subtract(ports)
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
