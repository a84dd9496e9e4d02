import API
import Client
import Synchronization
import Testing

@testable import ControllerManager

@Suite struct PaceTests {
  @Test func neverMoreThanAFewAtATime() async {
    let flight = Mutex((now: 0, most: 0, done: 0))
    let errors = await inParallel(count: 100, limit: 7) { index in
      flight.withLock { flight in
        flight.now += 1
        flight.most = max(flight.most, flight.now)
      }
      await Task.yield()
      flight.withLock { flight in
        flight.now -= 1
        flight.done += 1
      }
      if index % 10 == 0 { throw CancellationError() }
    }
    #expect(errors.count == 10)
    #expect(flight.withLock { $0.done } == 100)
    #expect((1...7).contains(flight.withLock { $0.most }))
    #expect(await inParallel(count: 0) { _ in }.isEmpty)
  }

  @Test func onlyWhatOwnersCountIsLookedAt() {
    let pod = makePod("a")
    func differs(_ change: (inout Pod) -> Void) -> Bool {
      var changed = pod
      change(&changed)
      return OwnersView.differs(pod, changed)
    }
    #expect(!differs { $0.status.podIP = "10.0.0.9" })
    #expect(!differs { $0.metadata.annotations["a"] = "b" })
    #expect(!differs { $0.spec.nodeName = "other" })
    #expect(differs { $0.status.phase = "Failed" })
    #expect(differs { $0.status.conditions[0].status = "False" })
    #expect(differs { $0.status.conditions[0].lastTransitionTime = moment })
    #expect(differs { $0.metadata.labels["app"] = "other" })
    #expect(differs { $0.metadata.deletionTimestamp = moment })
    #expect(differs { $0.metadata.ownerReferences = [.controller(of: makeReplicaSet())] })
  }

  @Test func largeSetsWaitForMoreUnlessItIsUrgent() {
    let queue = WorkQueue<String>("test")
    queue.add("small", size: 249, urgent: false)
    queue.add("large", size: 5000, urgent: false)
    #expect(queue.count == 1)
    queue.add("large", size: 5000, urgent: true)
    #expect(queue.count == 2)
  }

  @Test func theLastOfWhatWasAskedForIsToldOnce() {
    let expectations = Expectations()
    let key = ObjectKey(namespace: "n", name: "a")
    #expect(!expectations.isDone(key))
    expectations.expect(key, creations: 2, deletions: ["x"])
    expectations.created(key, count: 2)
    #expect(!expectations.isDone(key) && !expectations.satisfied(key))
    expectations.deleted(key, "x")
    #expect(expectations.isDone(key))
    #expect(!expectations.isDone(key) && expectations.satisfied(key))
  }
}
