import API
import Logging
import Synchronization

/// API priority and fairness (KEP-1040): sorts requests by FlowSchemas into priority levels, and lets each level carry
/// out only as many at once as its share of the server's seats.
///
/// Every request holds one seat. Reads that are answered from the watch cache run to their end on the connection's event
/// loop and hold none: they are sorted, so that clients see where they belong, and never wait.
final class FlowControl: Sendable {
  private struct State {
    var schemas: [String: FlowSchema] = [:]
    var configurations: [String: PriorityLevelConfiguration] = [:]
    var levels: [String: PriorityLevel] = [:]
    var classifier = FlowClassifier([], level: { _ in nil })
    var rejected: [Rejection: Int] = [:]
    /// By the name of the user, for the groups it had.
    var candidates: [String: (groups: [String], all: [FlowClassifier.Candidate])] = [:]
  }
  struct Rejection: Hashable, Sendable {
    var schema: String
    var level: String
    var reason: String
  }

  private let state = Mutex(State())
  private let seats: Int
  private let start = ContinuousClock.now
  private static let rememberedUsers = 1024
  /// How long a request may wait: a quarter of what it may take.
  static let patience = 15.0

  /// - Parameter seats: requests that are carried out at one time, by all levels together.
  init(seats: Int) { self.seats = seats }

  // MARK: Configuration

  func follow(_ registry: Registry) {
    registry.subscribe(
      PriorityLevelConfiguration.self,
      initial: { all in
        change { state in for item in all { state.configurations[item.metadata.name] = item } }
      },
      handler: { [self] event in
        switch event {
        case .added(let new), .updated(_, let new): change { $0.configurations[new.metadata.name] = new }
        case .deleted(let old): change { $0.configurations[old.metadata.name] = nil }
        }
      })
    registry.subscribe(
      FlowSchema.self,
      initial: { all in change { state in for item in all { state.schemas[item.metadata.name] = item } } },
      handler: { [self] event in
        switch event {
        case .added(let new), .updated(_, let new): change { $0.schemas[new.metadata.name] = new }
        case .deleted(let old): change { $0.schemas[old.metadata.name] = nil }
        }
      })
  }

  private func change(_ body: (inout State) -> Void) {
    state.withLock { state in
      body(&state)
      for (name, configuration) in state.configurations {
        let isExempt = configuration.spec.type == "Exempt"
        if let present = state.levels[name], present.uid == configuration.metadata.uid, present.isExempt == isExempt {
          continue
        }
        state.levels[name] = PriorityLevel(
          name: name, uid: configuration.metadata.uid, isExempt: isExempt,
          clock: { [start] in
            let parts = (ContinuousClock.now - start).components
            return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
          })
      }
      for name in Array(state.levels.keys) where state.configurations[name] == nil { state.levels[name] = nil }
      let levels = state.levels
      state.candidates = [:]
      state.classifier = FlowClassifier(Array(state.schemas.values)) { levels[$0] }
    }
    share()
  }

  /// Shares the seats anew by what was wanted of late.
  private func share() {
    let parts = state.withLock { state in
      state.levels.values.compactMap { level in state.configurations[level.name].map { (level, $0.spec) } }
    }
    guard !parts.isEmpty else { return }
    let nominal = SeatAllocation.levels(
      total: seats,
      parts.map { level, spec in
        guard level.isExempt else {
          return (
            Int(spec.limited?.nominalConcurrencyShares ?? 30), Int(spec.limited?.lendablePercent ?? 0),
            spec.limited?.borrowingLimitPercent.map { Int($0) }
          )
        }
        return (Int(spec.exempt?.nominalConcurrencyShares ?? 0), Int(spec.exempt?.lendablePercent ?? 0), nil)
      })
    let wanted = zip(parts, nominal).map { part, level in
      var level = level
      let demand = part.0.demand()
      (level.peak, level.smooth) = (demand.peak, demand.smooth)
      return level
    }
    let current = SeatAllocation.current(total: seats, wanted)
    for (index, (level, spec)) in parts.enumerated() {
      var queues = FairQueues.Configuration()
      if let queuing = spec.limited?.limitResponse.queuing, spec.limited?.limitResponse.type == "Queue" {
        queues = .init(
          queues: Int(queuing.queues), handSize: Int(queuing.handSize), lengthLimit: Int(queuing.queueLengthLimit))
      }
      level.configure(queues, nominal[index], seats: current[index])
    }
  }

  // MARK: Requests

  /// Where a request belongs.
  func flow(_ user: UserInfo, _ info: RequestInfo) -> FlowClassifier.Flow? {
    let candidates = state.withLock { state in
      if let known = state.candidates[user.name], known.groups == user.groups { return known.all }
      let found = state.classifier.candidates(of: user)
      if state.candidates.count >= Self.rememberedUsers { state.candidates = [:] }
      state.candidates[user.name] = (user.groups, found)
      return found
    }
    return FlowClassifier.flow(user, info, among: candidates)
  }

  /// Takes a seat for a request, or waits for one.
  func enter(_ flow: FlowClassifier.Flow, _ user: UserInfo, _ info: RequestInfo) async -> PriorityLevel.Seat? {
    let label = flow.level.isExempt ? FairQueues.Label() : FairQueues.Label(flow, user, info)
    switch await flow.level.enter(flow: Self.hash(flow), label) {
    case .seat(let seat): return seat
    case .refused(let reason):
      let key = Rejection(schema: flow.schema.name, level: flow.level.name, reason: reason)
      state.withLock { $0.rejected[key, default: 0] += 1 }
      return nil
    }
  }

  private static func hash(_ flow: FlowClassifier.Flow) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(flow.schema.name)
    hasher.combine(flow.distinguisher)
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }

  /// Looks after those who wait and shares the seats anew now and then, until cancelled.
  func run() async {
    var ticks = 0
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(1))
      ticks += 1
      for level in state.withLock({ Array($0.levels.values) }) { level.expire(after: Self.patience) }
      if ticks % 10 == 0 { share() }
    }
  }

  /// What the dumps and metrics show.
  var picture: (levels: [(name: String, picture: PriorityLevel.Picture)], rejected: [Rejection: Int]) {
    let (levels, rejected) = state.withLock { (Array($0.levels.values), $0.rejected) }
    return (levels.map { ($0.name, $0.picture) }.sorted { $0.name < $1.name }, rejected)
  }

  /// What every schema's condition `Dangling` has to say.
  func isDangling(_ schema: FlowSchema) -> Bool {
    state.withLock { $0.configurations[schema.spec.priorityLevelConfiguration.name] == nil }
  }
}

extension FairQueues.Label {
  init(_ flow: FlowClassifier.Flow, _ user: UserInfo, _ info: RequestInfo) {
    self.init(
      schema: flow.schema.name, distinguisher: flow.distinguisher, user: user.name, verb: info.verb, path: info.path,
      namespace: info.namespace, name: info.name, apiVersion: info.apiVersion, resource: info.resource,
      subresource: info.subresource)
  }
}
