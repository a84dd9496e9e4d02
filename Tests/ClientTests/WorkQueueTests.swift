import Testing

@testable import Client

@Suite struct WorkQueueTests {
  private func state() -> WorkQueueState<String> {
    WorkQueueState(baseDelay: .milliseconds(5), maxDelay: .seconds(1000))
  }

  @Test func handsOutAnItemOnceHoweverOftenItWasAdded() {
    var queue = state()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    #expect(queue.take() == "a")
    #expect(queue.take() == "b")
    #expect(queue.take() == nil)
  }

  @Test func neverGivesAnItemToTwoWorkers() {
    var queue = state()
    queue.add("a")
    #expect(queue.take() == "a")
    queue.add("a")
    queue.add("a")
    #expect(queue.take() == nil)
    queue.done("a")
    #expect(queue.take() == "a")
    queue.done("a")
    #expect(queue.take() == nil)
    #expect(queue.isIdle)
  }

  @Test func backsOffExponentiallyUntilForgotten() {
    var queue = state()
    #expect(queue.nextDelay("a") == .milliseconds(5))
    #expect(queue.nextDelay("a") == .milliseconds(10))
    #expect(queue.nextDelay("a") == .milliseconds(20))
    #expect(queue.nextDelay("b") == .milliseconds(5))
    for _ in 0..<60 { _ = queue.nextDelay("a") }
    #expect(queue.nextDelay("a") == .seconds(1000))
    queue.forget("a")
    #expect(queue.numRequeues("a") == 0)
    #expect(queue.nextDelay("a") == .milliseconds(5))
  }

  @Test func queuesDelayedItemsWhenTheyAreDue() {
    var queue = state()
    let start = ContinuousClock.now
    queue.add("late", at: start + .seconds(10))
    queue.add("soon", at: start + .seconds(5))
    queue.add("late", at: start + .seconds(20))
    #expect(queue.advance(to: start) == start + .seconds(5))
    #expect(queue.take() == nil)
    #expect(queue.advance(to: start + .seconds(6)) == start + .seconds(10))
    #expect(queue.take() == "soon")
    #expect(queue.advance(to: start + .seconds(10)) == nil)
    #expect(queue.take() == "late")
  }

  @Test func deliversToWaitingWorkersAndEndsThemAtShutDown() async {
    let queue = WorkQueue<Int>("test")
    let sum = Locked(0)
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await runWorkers(queue, count: 3) { item in
          sum.withLock { $0 += item }
          return .done
        }
      }
      for item in 1...100 { queue.add(item) }
      queue.add(1000, after: .milliseconds(5))
      while sum.withLock({ $0 }) < 6050 { await Task.yield() }
      queue.shutDown()
    }
    #expect(sum.withLock { $0 } == 6050)
    #expect(await queue.get() == nil)
  }

  @Test func bringsAFailedItemBack() async {
    struct Broken: Error {}
    let queue = WorkQueue<String>("test", baseDelay: .microseconds(10))
    let attempts = Locked(0)
    queue.add("a")
    await runWorkers(queue, count: 1) { _ in
      let count = attempts.withLock {
        $0 += 1; return $0
      }
      if count < 4 { throw Broken() }
      queue.shutDown()
      return .done
    }
    #expect(attempts.withLock { $0 } == 4)
    #expect(queue.numRequeues("a") == 0)
  }

  @Test func cancellationEndsAWaitingWorker() async {
    let queue = WorkQueue<Int>("test")
    let task = Task { await queue.get() }
    task.cancel()
    #expect(await task.value == nil)
  }
}
