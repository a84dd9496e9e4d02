import Synchronization

/// How many requests are carried out at one time.
extension APIServer {
  /// What a request holds while it is carried out.
  struct Pass {
    fileprivate var isMutating: Bool
    fileprivate var seat: (level: PriorityLevel, seat: PriorityLevel.Seat)?
  }

  /// Lets a request in, if need be after a while; nil: it is turned away.
  func enter(_ request: Admitted) async -> Pass? {
    let isMutating = request.info.isMutating
    if let flow = request.flow, let flowControl {
      guard let seat = await flowControl.enter(flow, request.user, request.info) else { return nil }
      count(isMutating, 1)
      return Pass(isMutating: isMutating, seat: (flow.level, seat))
    }
    // Administrators get through on an overloaded server, as the exempt priority level lets them.
    let isExempt = request.user.groups.contains(UserInfo.mastersGroup)
    let isIn = inFlight.withLock { counts in
      if isMutating {
        guard isExempt || counts.mutating < configuration.maxMutatingRequestsInFlight else { return false }
        counts.mutating += 1
      } else {
        guard isExempt || counts.reading < configuration.maxRequestsInFlight else { return false }
        counts.reading += 1
      }
      return true
    }
    return isIn ? Pass(isMutating: isMutating) : nil
  }

  func leave(_ pass: Pass) {
    if let (level, seat) = pass.seat { level.leave(seat) }
    count(pass.isMutating, -1)
  }

  private func count(_ isMutating: Bool, _ change: Int) {
    inFlight.withLock { if isMutating { $0.mutating += change } else { $0.reading += change } }
  }

  var requestsInFlight: (reading: Int, mutating: Int) { inFlight.withLock { $0 } }
}
