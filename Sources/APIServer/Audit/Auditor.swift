import APIMachinery
import HTTP

/// Writes down who did what, as the policy says.
final class Auditor: Sendable {
  private let policy: AuditPolicy
  private let backends: [any AuditBackend]

  init(policy: AuditPolicy, backends: [any AuditBackend]) {
    self.policy = policy
    self.backends = backends
  }

  /// Begins the record of a request; nil where nothing is to be written. `isAnonymous`: nobody could be told from the
  /// request, so that nothing but its outline is written.
  func begin(
    id: String, _ head: HTTPRequestHead, _ info: RequestInfo, user: UserInfo, impersonated: UserInfo?,
    isUnknown: Bool = false
  ) -> AuditRecord? {
    var decision = policy.decide(user, info)
    if decision.level == .none { return nil }
    if isUnknown { decision.level = .metadata }
    let record = AuditRecord(id: id, decision, head, info, user: user, impersonated: impersonated)
    emit(record, .requestReceived, status: nil)
    return record
  }

  func emit(_ record: AuditRecord, _ stage: AuditPolicy.Stage, status: Int?) {
    if record.decision.omitStages.contains(stage) { return }
    let event = record.event(stage, status: status)
    for backend in backends { backend.write(event) }
  }

  /// Ends the record with the answer; one that goes on is written down when it begins and when it is over.
  func finish(_ record: AuditRecord, _ response: HTTPResponse) -> HTTPResponse {
    guard case .stream(let produce) = response.body else {
      record.answered(response)
      emit(record, .responseComplete, status: response.status)
      return response
    }
    let status = response.status
    emit(record, .responseStarted, status: status)
    var response = response
    response.body = .stream { [self] writer in
      defer { emit(record, .responseComplete, status: status) }
      try await produce(writer)
    }
    return response
  }

  func run() async {
    await withDiscardingTaskGroup { group in
      for backend in backends { group.addTask { await backend.run() } }
    }
  }

  func close() async { for backend in backends { await backend.close() } }
}

/// Where events go.
protocol AuditBackend: Sendable {
  /// Takes an event; must not wait for anything far away.
  func write(_ event: JSONValue)
  func run() async
  /// Brings out what is still held.
  func close() async
}
