internal import Storage

/// Leases for keys with a time to live, shared by those that end at about the same time: a lease is worth much more to
/// etcd than a key.
actor LeasePool {
  private struct Lease {
    var id: UInt64
    var expires: ContinuousClock.Instant
    var keys: Int
  }

  /// As many keys share a lease at most.
  private static let maximumKeys = 1000
  /// As much later than asked for a key may end, in seconds and as a part of its time.
  private static let maximumSurplus = 60
  private static let surplusPercent = 5

  private let client: EtcdClient
  private var leases: [Int: Lease] = [:]
  private var grants: [Int: Task<Void, any Error>] = [:]

  init(client: EtcdClient) { self.client = client }

  /// A lease that ends in `seconds`, or a little later.
  func lease(_ seconds: Int) async throws -> UInt64 {
    while true {
      let now = ContinuousClock.now
      if var lease = leases[seconds], lease.keys < Self.maximumKeys, now + .seconds(seconds) < lease.expires {
        lease.keys += 1
        leases[seconds] = lease
        return lease.id
      }
      if let grant = grants[seconds] {
        try await grant.value
        continue
      }
      // All who come meanwhile wait for this one grant, so it must not end with the first one's request.
      let grant = Task {
        defer { grants[seconds] = nil }
        let lease = try await self.grant(seconds)
        leases = leases.filter { $0.value.expires > .now }
        leases[seconds] = lease
      }
      grants[seconds] = grant
      try await grant.value
      guard var lease = leases[seconds] else { continue }
      lease.keys += 1
      leases[seconds] = lease
      return lease.id
    }
  }

  /// Forgets a lease that etcd no longer has.
  func forget(_ id: UInt64) { leases = leases.filter { $0.value.id != id } }

  private func grant(_ seconds: Int) async throws -> Lease {
    let surplus = min(Self.maximumSurplus, seconds * Self.surplusPercent / 100)
    let now = ContinuousClock.now
    // Granted twice it is only wasted.
    let reply = try await client.read(EtcdMethod.leaseGrant, leaseGrantRequest(seconds: seconds + surplus))
    let answer = try HeaderOnly(reply, number: 2)
    return Lease(id: answer.number, expires: now + .seconds(seconds + surplus), keys: 0)
  }
}
