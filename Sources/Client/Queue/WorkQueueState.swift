/// The work queue's rules, without waiting or time of its own.
///
/// An item is worked on by one worker at a time: added while it is being processed, it is queued again when that
/// is done, once, however often it was added.
struct WorkQueueState<Item: Hashable & Sendable>: Sendable {
  private var queue: [Item] = []
  private var head = 0
  private var dirty: Set<Item> = []
  private var processing: Set<Item> = []
  private var delayed: [Item: ContinuousClock.Instant] = [:]
  private var earliest: ContinuousClock.Instant?
  private var failures: [Item: Int] = [:]
  private(set) var isShutDown = false
  let baseDelay: Duration
  let maxDelay: Duration

  init(baseDelay: Duration, maxDelay: Duration) {
    self.baseDelay = baseDelay
    self.maxDelay = maxDelay
  }

  var count: Int { queue.count - head }
  var isIdle: Bool { count == 0 && processing.isEmpty }
  var delayedCount: Int { delayed.count }

  mutating func add(_ item: Item) {
    guard !isShutDown, dirty.insert(item).inserted else { return }
    if !processing.contains(item) { queue.append(item) }
  }

  mutating func take() -> Item? {
    guard head < queue.count else { return nil }
    let item = queue[head]
    head += 1
    if head > 64, head * 2 > queue.count {
      queue.removeFirst(head)
      head = 0
    }
    processing.insert(item)
    dirty.remove(item)
    return item
  }

  mutating func done(_ item: Item) {
    processing.remove(item)
    if dirty.contains(item) { queue.append(item) }
  }

  /// Files an item for later; the earlier of two times wins.
  mutating func add(_ item: Item, at time: ContinuousClock.Instant) {
    guard !isShutDown else { return }
    if let known = delayed[item], known <= time { return }
    delayed[item] = time
    earliest = min(earliest ?? time, time)
  }

  /// Queues what is due and says when the next item will be.
  mutating func advance(to now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
    guard let first = earliest, first <= now else { return earliest }
    for (item, _) in delayed.filter({ $0.value <= now }).sorted(by: { $0.value < $1.value }) {
      delayed[item] = nil
      add(item)
    }
    earliest = delayed.values.min()
    return earliest
  }

  /// The delay of an item that failed once more.
  mutating func nextDelay(_ item: Item) -> Duration {
    let count = failures[item, default: 0]
    failures[item] = count + 1
    guard count < 40 else { return maxDelay }
    return min(baseDelay * (1 << count), maxDelay)
  }

  func numRequeues(_ item: Item) -> Int { failures[item] ?? 0 }

  mutating func forget(_ item: Item) { failures[item] = nil }

  mutating func shutDown() {
    isShutDown = true
    delayed = [:]
    earliest = nil
  }
}
