import API
import Synchronization

/// One priority level in use: its queues, and the requests that wait in them.
final class PriorityLevel: Sendable {
  let name: String
  let uid: String
  /// Requests of an exempt level never wait.
  let isExempt: Bool
  private struct State {
    var queues = FairQueues()
    var waiters: [UInt64: CheckedContinuation<FairQueues.Ticket?, Never>] = [:]
    /// Called before they came to wait.
    var early: [UInt64: FairQueues.Ticket?] = [:]
    var exempt = 0
    var exemptCount = 0
    var current = SeatAllocation.Level(nominal: 0, least: 0, most: 0)
    var waited = (sum: 0.0, count: 0)
  }
  private let state = Mutex(State())
  private let clock: @Sendable () -> Double

  /// A request that goes on; it is given back to its level.
  struct Seat: Sendable {
    var ticket: FairQueues.Ticket?
  }

  enum Entry: Sendable {
    case seat(Seat)
    case refused(String)
  }

  init(name: String, uid: String, isExempt: Bool, clock: @escaping @Sendable () -> Double) {
    self.name = name
    self.uid = uid
    self.isExempt = isExempt
    self.clock = clock
  }

  /// Takes a seat, or waits for one.
  func enter(flow: UInt64, _ label: FairQueues.Label) async -> Entry {
    let now = clock()
    let answer: FairQueues.Answer = state.withLock { state in
      guard !isExempt else {
        state.exempt += 1
        state.exemptCount += 1
        return .dispatched(FairQueues.Ticket(queue: -1, began: now))
      }
      return state.queues.arrive(flow: flow, label: label, now: now)
    }
    switch answer {
    case .dispatched(let ticket): return .seat(Seat(ticket: isExempt ? nil : ticket))
    case .rejected(let reason): return .refused(reason)
    case .waits(let id):
      let ticket = await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let early: FairQueues.Ticket?? = state.withLock { state in
            if let early = state.early.removeValue(forKey: id) { return early }
            state.waiters[id] = continuation
            return nil
          }
          if let early { continuation.resume(returning: early) }
        }
      } onCancel: {
        state.withLock { state in
          guard state.queues.cancel(id) else { return nil as CheckedContinuation<FairQueues.Ticket?, Never>? }
          if let waiter = state.waiters.removeValue(forKey: id) { return waiter }
          state.early[id] = .some(nil)
          return nil
        }?.resume(returning: nil)
      }
      let waited = clock() - now
      state.withLock { $0.waited = ($0.waited.sum + waited, $0.waited.count + 1) }
      return ticket.map { .seat(Seat(ticket: $0)) } ?? .refused(Task.isCancelled ? "cancelled" : "time-out")
    }
  }

  /// Gives a seat back.
  func leave(_ seat: Seat) {
    guard let ticket = seat.ticket else { return state.withLock { $0.exempt -= 1 } }
    call { $0.finish(ticket, now: clock()) }
  }

  func configure(_ configuration: FairQueues.Configuration, _ level: SeatAllocation.Level, seats: Int) {
    call { $0.configure(configuration, limit: seats, now: clock()) }
    state.withLock {
      $0.current.nominal = level.nominal
      $0.current.least = level.least
      $0.current.most = level.most
    }
  }

  private func call(_ change: (inout FairQueues) -> [(UInt64, FairQueues.Ticket)]) {
    let called = state.withLock { state in
      change(&state.queues).compactMap { id, ticket in
        let waiter = state.waiters.removeValue(forKey: id)
        if waiter == nil { state.early[id] = .some(ticket) }
        return waiter.map { ($0, ticket) }
      }
    }
    for (waiter, ticket) in called { waiter.resume(returning: ticket) }
  }

  /// Sends away those who have waited for too long.
  func expire(after limit: Double) {
    let gone = state.withLock { state in
      state.queues.expire(before: clock() - limit).compactMap { id in
        let waiter = state.waiters.removeValue(forKey: id)
        if waiter == nil { state.early[id] = .some(nil) }
        return waiter
      }
    }
    for waiter in gone { waiter.resume(returning: nil) }
  }

  /// What was wanted since the last look, for the sharing of seats.
  func demand() -> SeatAllocation.Level {
    state.withLock { state in
      let peak = Double(isExempt ? state.exempt : state.queues.takePeak())
      state.current.peak = peak
      // Falls slowly, rises at once.
      state.current.smooth = max(peak, 0.977 * state.current.smooth + 0.023 * peak)
      return state.current
    }
  }

  /// What the dumps and metrics show.
  struct Picture: Sendable {
    var queues: FairQueues
    var executing: Int
    var dispatched: Int
    var level: SeatAllocation.Level
    var waited: (sum: Double, count: Int)
  }

  var picture: Picture {
    state.withLock {
      Picture(
        queues: $0.queues, executing: isExempt ? $0.exempt : $0.queues.executing,
        dispatched: isExempt ? $0.exemptCount : $0.queues.counts.dispatched, level: $0.current, waited: $0.waited)
    }
  }
}
