public import API
import APIMachinery
public import Logging
import Synchronization

/// Leadership was lost: another holder may be acting by now.
public struct LeadershipLost: Error, Sendable {}

/// Lets one of several replicas lead, by a Lease.
public struct LeaderElector: Sendable {
  private let client: APIClient
  private let key: ObjectKey
  private let identity: String
  private let leaseDuration: Duration
  private let renewDeadline: Duration
  private let retryPeriod: Duration
  private let logger: Logger

  /// Makes an elector with upstream's durations.
  public init(
    client: APIClient, namespace: String = "kube-system", name: String, identity: String,
    leaseDuration: Duration = .seconds(15), renewDeadline: Duration = .seconds(10),
    retryPeriod: Duration = .seconds(2), logger: Logger = Logger(label: "leader")
  ) {
    self.client = client
    key = ObjectKey(namespace: namespace, name: name)
    self.identity = identity
    self.leaseDuration = leaseDuration
    self.renewDeadline = renewDeadline
    self.retryPeriod = retryPeriod
    self.logger = logger
  }

  /// Waits for the lease, then runs `lead` while it can be renewed. Throws `LeadershipLost` when it cannot;
  /// gives the lease back when `lead` ends or the task is cancelled.
  public func run(_ lead: @escaping @Sendable () async throws -> Void) async throws {
    var machine = LeaderElectionMachine(identity: identity, leaseDuration: leaseDuration)
    while true {
      try Task.checkCancellation()
      if try await attempt(&machine) { break }
      let jitter = 1 + Double.random(in: 0..<1.2)
      try await Task.sleep(for: retryPeriod * jitter)
    }
    logger.info("\(identity) leads \(key)")
    let kept = KeptMachine(machine)
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await lead() }
        group.addTask { try await renew(kept) }
        defer { group.cancelAll() }
        try await group.next()
      }
      await release(kept.value)
    } catch {
      if !(error is LeadershipLost) { await release(kept.value) }
      throw error
    }
  }

  private func renew(_ kept: KeptMachine) async throws {
    var machine = kept.value
    var renewed = ContinuousClock.now
    while true {
      try await Task.sleep(for: retryPeriod)
      if (try? await attempt(&machine)) == true {
        renewed = .now
        kept.set(machine)
      } else if let observed = machine.observed, observed.spec.holderIdentity != identity {
        throw LeadershipLost()
      } else if ContinuousClock.now - renewed >= renewDeadline {
        throw LeadershipLost()
      }
    }
  }

  /// Reads the lease and writes it if it may; true when we hold it.
  private func attempt(_ machine: inout LeaderElectionMachine) async throws -> Bool {
    do {
      var lease: Lease
      do {
        lease = try await client.get(Lease.self, namespace: key.namespace, name: key.name)
      } catch let error as StatusError where error.code == 404 {
        lease = Lease()
        lease.metadata.name = key.name
        lease.metadata.namespace = key.namespace
        lease.spec = machine.fresh(wall: .now)
        let made = try await client.create(lease)
        machine.saw(made.spec, at: .now)
        return true
      }
      machine.saw(lease.spec, at: .now)
      guard case .write(let spec) = machine.decide(at: .now, wall: .now) else { return false }
      lease.spec = spec
      let written = try await client.update(lease)
      machine.saw(written.spec, at: .now)
      return true
    } catch let error as CancellationError {
      throw error
    } catch {
      logger.debug("lease \(key): \(error)")
      return false
    }
  }

  private func release(_ machine: LeaderElectionMachine) async {
    guard let spec = machine.released(wall: .now) else { return }
    // A cancelled task could not send any more; the lease must still be freed, or the next leader waits for nothing.
    await Task { [client, key, identity] in
      guard var lease = try? await client.get(Lease.self, namespace: key.namespace, name: key.name),
        lease.spec.holderIdentity == identity
      else { return }
      lease.spec = spec
      _ = try? await client.update(lease)
    }.value
  }
}

/// The machine as last written, for whoever releases the lease.
private final class KeptMachine: Sendable {
  private let machine: Mutex<LeaderElectionMachine>

  init(_ machine: LeaderElectionMachine) { self.machine = Mutex(machine) }

  var value: LeaderElectionMachine { machine.withLock { $0 } }

  func set(_ new: LeaderElectionMachine) { machine.withLock { $0 = new } }
}
