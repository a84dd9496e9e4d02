import API

/// Which address of a pool a Service gets. What was given out is read from the Services themselves, so that a new start
/// changes nothing.
enum PoolAllocation {
  /// In this annotation a Service names the address it wants; `spec.loadBalancerIP` does as well.
  static let requestAnnotation = "metal.apus.dev/load-balancer-ip"

  /// Why a Service gets no address.
  struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    var reason: String
    var description: String
  }

  /// The address for a Service. `claimed` are addresses given out whose Services may not show them yet.
  static func address(
    for service: Service, among services: [Service], pool: AddressPool, claimed: [ObjectKey: IPv4]
  ) throws(Refusal) -> IPv4 {
    if !service.spec.ipFamilies.isEmpty, !service.spec.ipFamilies.contains("IPv4") {
      throw Refusal(reason: "WrongFamily", description: "the pool has IPv4 addresses only")
    }
    var holders: [IPv4: Service] = [:]
    for other in services where other.key != service.key {
      guard let address = held(by: other, pool, claimed) else { continue }
      if let known = holders[address], isOlder(known, other) { continue }
      holders[address] = other
    }
    // A Service that nobody has told us of yet holds its address all the same.
    let known = Set(services.map(\.key))
    let unseen = Set(claimed.filter { $0.key != service.key && !known.contains($0.key) }.values)

    if let text = requested(by: service) {
      guard let address = IPv4(text) else {
        throw Refusal(reason: "InvalidAddress", description: "\"\(text)\" is no IPv4 address")
      }
      guard pool.contains(address) else {
        throw Refusal(reason: "NotInPool", description: "address \(address) is not in the load balancer pool")
      }
      let isOwn = held(by: service, pool, claimed) == address
      if let holder = holders[address], !isOwn || isOlder(holder, service) {
        throw Refusal(reason: "AddressInUse", description: "address \(address) is in use by service \(holder.key)")
      }
      if !isOwn, unseen.contains(address) {
        throw Refusal(reason: "AddressInUse", description: "address \(address) is in use by another service")
      }
      return address
    }
    if let present = held(by: service, pool, claimed) {
      guard let holder = holders[present], isOlder(holder, service) else { return present }
    }
    guard let free = pool.first(notIn: unseen.union(holders.keys)) else {
      throw Refusal(reason: "PoolExhausted", description: "no address of the load balancer pool is free")
    }
    return free
  }

  /// The address that a Service asks for.
  static func requested(by service: Service) -> String? {
    if let text = service.metadata.annotations[requestAnnotation], !text.isEmpty { return text }
    return service.spec.loadBalancerIP.isEmpty ? nil : service.spec.loadBalancerIP
  }

  private static func held(by service: Service, _ pool: AddressPool, _ claimed: [ObjectKey: IPv4]) -> IPv4? {
    if let address = claimed[service.key] { return address }
    return service.status.loadBalancer.ingress.lazy.compactMap { IPv4($0.ip) }.first(where: pool.contains)
  }

  private static func isOlder(_ a: Service, _ b: Service) -> Bool {
    (a.metadata.creationTimestamp, a.metadata.uid) < (b.metadata.creationTimestamp, b.metadata.uid)
  }
}
