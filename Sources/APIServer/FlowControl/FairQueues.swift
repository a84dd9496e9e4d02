/// The queues of one priority level: who may go on, who waits, who is turned away. A value that reads no clock.
///
/// Requests of one flow go to a few of the queues, the shortest of its hand (shuffle sharding, KEP-1040), so that a flow
/// that floods leaves room for others. The queue whose turn is the earliest in virtual time goes next: a queue is charged
/// for what its requests hold, seats times seconds, and by what they really took once they are done.
struct FairQueues: Sendable {
  struct Configuration: Sendable, Equatable {
    /// Zero: what cannot go on at once is turned away.
    var queues = 0
    var handSize = 1
    var lengthLimit = 0
  }

  enum Answer: Sendable, Equatable {
    /// Go on; give the ticket back when done.
    case dispatched(Ticket)
    /// Wait for this number to be called.
    case waits(UInt64)
    /// For upstream's reason.
    case rejected(String)
  }

  /// What a request holds while it is carried out.
  struct Ticket: Sendable, Equatable {
    /// Which queue it came from; -1: none.
    var queue: Int
    var began: Double
  }

  struct Waiter: Sendable {
    var id: UInt64
    var since: Double
    var label: Label
  }

  /// What the dump of requests says of one.
  struct Label: Sendable, Equatable {
    var schema = ""
    var distinguisher = ""
    var user = ""
    var verb = ""
    var path = ""
    var namespace = ""
    var name = ""
    var apiVersion = ""
    var resource = ""
    var subresource = ""
  }

  struct Queue: Sendable {
    var waiters: [Waiter] = []
    var executing = 0
    /// The virtual time at which its next request starts.
    var nextStart = 0.0
  }

  struct Counts: Sendable, Equatable {
    var dispatched = 0
    var rejected = 0
    var timedOut = 0
    var cancelled = 0
  }

  private(set) var configuration = Configuration()
  /// Seats that may be taken at one time.
  private(set) var limit = 0
  private(set) var queues: [Queue] = []
  private(set) var executing = 0
  private(set) var waiting = 0
  private(set) var counts = Counts()
  /// The most seats that were wanted since this was last asked.
  private(set) var peakDemand = 0
  private var virtualTime = 0.0
  private var updated = 0.0
  private var nextID: UInt64 = 0
  private var robin = 0
  /// Seconds that a request is taken to need until it is known.
  private static let guess = 0.003

  init() {}

  /// Takes another size. Answers who may go on now.
  mutating func configure(_ configuration: Configuration, limit: Int, now: Double) -> [(UInt64, Ticket)] {
    advance(now)
    self.configuration = configuration
    self.limit = limit
    while queues.count < configuration.queues { queues.append(Queue(nextStart: virtualTime)) }
    // Queues that are too many get nothing new and go when they are empty.
    trim()
    return dispatch(now)
  }

  private mutating func trim() {
    while queues.count > configuration.queues, let last = queues.last, last.waiters.isEmpty, last.executing == 0 {
      queues.removeLast()
    }
    if robin >= queues.count { robin = 0 }
  }

  /// A request arrives; `flow` tells flows apart.
  mutating func arrive(flow: UInt64, label: Label, now: Double) -> Answer {
    advance(now)
    if executing < limit, waiting == 0, configuration.queues == 0 || queues.isEmpty {
      return .dispatched(begin(queue: -1, now))
    }
    guard configuration.queues > 0 else {
      counts.rejected += 1
      return .rejected("concurrency-limit")
    }
    let index = hand(flow).min {
      (queues[$0].waiters.count, queues[$0].executing) < (queues[$1].waiters.count, queues[$1].executing)
    }
    guard let index else { return .rejected("queue-full") }
    if executing < limit, waiting == 0 {
      charge(index)
      return .dispatched(begin(queue: index, now))
    }
    guard queues[index].waiters.count < configuration.lengthLimit else {
      counts.rejected += 1
      return .rejected("queue-full")
    }
    nextID += 1
    if queues[index].waiters.isEmpty, queues[index].executing == 0 {
      queues[index].nextStart = max(queues[index].nextStart, virtualTime)
    }
    queues[index].waiters.append(Waiter(id: nextID, since: now, label: label))
    waiting += 1
    peakDemand = max(peakDemand, executing + waiting)
    return .waits(nextID)
  }

  /// A request is done. Answers who may go on now.
  mutating func finish(_ ticket: Ticket, now: Double) -> [(UInt64, Ticket)] {
    advance(now)
    executing -= 1
    if ticket.queue >= 0, ticket.queue < queues.count {
      queues[ticket.queue].executing -= 1
      queues[ticket.queue].nextStart += now - ticket.began - Self.guess
    }
    trim()
    return dispatch(now)
  }

  /// Lets go of those who have waited since before a moment.
  mutating func expire(before moment: Double) -> [UInt64] {
    var gone: [UInt64] = []
    for index in queues.indices {
      while let first = queues[index].waiters.first, first.since < moment {
        queues[index].waiters.removeFirst()
        gone.append(first.id)
      }
    }
    waiting -= gone.count
    counts.timedOut += gone.count
    counts.rejected += gone.count
    return gone
  }

  /// Whoever waited has gone away. False if it was called before.
  mutating func cancel(_ id: UInt64) -> Bool {
    for index in queues.indices {
      guard let place = queues[index].waiters.firstIndex(where: { $0.id == id }) else { continue }
      queues[index].waiters.remove(at: place)
      waiting -= 1
      counts.cancelled += 1
      return true
    }
    return false
  }

  /// The most seats that were wanted since this was last asked.
  mutating func takePeak() -> Int {
    defer { peakDemand = executing + waiting }
    return max(peakDemand, executing + waiting)
  }

  private mutating func begin(queue: Int, _ now: Double) -> Ticket {
    executing += 1
    counts.dispatched += 1
    peakDemand = max(peakDemand, executing + waiting)
    return Ticket(queue: queue, began: now)
  }

  private mutating func charge(_ index: Int) {
    queues[index].nextStart = max(queues[index].nextStart, virtualTime) + Self.guess
    queues[index].executing += 1
  }

  private mutating func dispatch(_ now: Double) -> [(UInt64, Ticket)] {
    var called: [(UInt64, Ticket)] = []
    while executing < limit, waiting > 0 {
      // The earliest in virtual time; among equals they take turns.
      var best: Int?
      for offset in 0..<queues.count {
        let index = (robin + offset) % queues.count
        guard !queues[index].waiters.isEmpty else { continue }
        if best.map({ queues[index].nextStart < queues[$0].nextStart }) ?? true { best = index }
      }
      guard let best else { break }
      robin = (best + 1) % queues.count
      let waiter = queues[best].waiters.removeFirst()
      waiting -= 1
      queues[best].nextStart += Self.guess
      queues[best].executing += 1
      called.append((waiter.id, begin(queue: best, now)))
    }
    return called
  }

  /// Virtual time passes as fast as each busy queue is served.
  private mutating func advance(_ now: Double) {
    let passed = now - updated
    updated = max(updated, now)
    guard passed > 0 else { return }
    let busy = queues.count { !$0.waiters.isEmpty || $0.executing > 0 }
    guard busy > 0 else { return }
    virtualTime += passed * Double(min(executing + waiting, max(limit, 1))) / Double(busy)
  }

  /// The queues that a flow may use, dealt as cards are.
  private func hand(_ flow: UInt64) -> [Int] {
    var rest = flow
    var cards: [Int] = []
    let deck = min(configuration.queues, queues.count)
    for dealt in 0..<min(configuration.handSize, deck) {
      var card = Int(rest % UInt64(deck - dealt))
      rest /= UInt64(deck - dealt)
      for other in cards.sorted() where other <= card { card += 1 }
      cards.append(card)
    }
    return cards
  }
}
