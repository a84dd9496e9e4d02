import API
import Testing

@testable import Kubelet

@Suite struct BackOffTests {
  @Test func doublesUpToTheLongestAndForgets() {
    var backOff = BackOff()
    var now = at(1000)
    var waits: [String] = []
    #expect(!backOff.isWaiting("k", since: now, now: now))
    for _ in 0..<7 {
      backOff.next("k", at: now, now: now)
      waits.append(backOff.wait("k").goText)
      #expect(backOff.isWaiting("k", since: now, now: now + .seconds(1)))
      now = now + backOff.wait("k")
      #expect(!backOff.isWaiting("k", since: at(1000), now: now))
    }
    #expect(waits == ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"])
    now = now + .seconds(601 + 300)
    backOff.next("k", at: now, now: now)
    #expect(backOff.wait("k") == .seconds(10))
  }

  @Test func lifecycleOfAPodThatIsDeleted() {
    var life = PodLifecycle(pod: makePod(), now: at(1))
    #expect(life.next(now: at(1)) == .sync)
    life.begin()
    life.synced(terminal: false, again: false, failed: false, retryAt: at(5), resync: .seconds(60), now: at(2))
    #expect(life.next(now: at(2)) == .wait(until: at(5)))
    life.poke(now: at(3))
    #expect(life.next(now: at(3)) == .sync)
    life.begin()
    let deleted = makePod {
      $0.metadata.deletionTimestamp = Time(seconds: 40)
      $0.metadata.deletionGracePeriodSeconds = 30
    }
    let broken = life.update(deleted, now: at(4))
    #expect(broken)
    // What the broken-off sync reports comes too late to matter.
    life.synced(terminal: false, again: true, failed: false, retryAt: nil, resync: .seconds(60), now: at(4))
    #expect(life.next(now: at(4)) == .terminate(grace: 30))
    life.begin()
    var sooner = deleted
    sooner.metadata.deletionGracePeriodSeconds = 0
    let shortened = life.update(sooner, now: at(5))
    let lengthened = life.update(deleted, now: at(5))
    #expect(shortened && !lengthened)
    #expect(life.next(now: at(5)) == .terminate(grace: 0))
    life.begin()
    life.killed(false, now: at(6))
    #expect(life.next(now: at(8)) == .terminate(grace: 0))
    life.begin()
    life.killed(true, now: at(9))
    #expect(life.next(now: at(9)) == .cleanUp)
    life.begin()
    life.cleaned(true, now: at(10))
    #expect(life.next(now: at(10)) == .wait(until: nil))
    let removed = life.remove(now: at(11))
    #expect(!removed)
    #expect(life.next(now: at(11)) == .end)
  }

  @Test func aFinishedPodIsTerminatedOnce() {
    var life = PodLifecycle(pod: makePod { $0.status.phase = "Succeeded" }, now: at(1))
    #expect(life.next(now: at(1)) == .terminate(grace: nil))
    life.begin()
    life.killed(true, now: at(1))
    life.begin()
    life.cleaned(true, now: at(1))
    life.poke(now: at(2))
    #expect(life.next(now: at(2)) == .wait(until: nil))
  }
}
