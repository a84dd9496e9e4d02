import API
import Testing

@testable import Client

@Suite struct EventTests {
  private func seen(
    _ message: String, reason: String = "Reason", object: String = "web"
  ) -> EventCorrelator.Observation {
    var reference = ObjectReference()
    reference.kind = "Pod"
    reference.namespace = "default"
    reference.name = object
    return EventCorrelator.Observation(
      type: "Normal", reason: reason, message: message, object: reference, component: "test", host: "")
  }

  @Test func theSameEventIsCounted() {
    var correlator = EventCorrelator()
    let start = Time(seconds: 1_000_000)
    guard case (_, .create(let first)) = correlator.observe(seen("a"), at: start, suffix: "1") else {
      Issue.record("not created")
      return
    }
    #expect(first.name == "web.1")
    guard case (_, .patch(let second)) = correlator.observe(seen("a"), at: start.adding(seconds: 5), suffix: "2") else {
      Issue.record("not patched")
      return
    }
    #expect(second.name == "web.1")
    #expect(second.count == 2)
    #expect(second.first == start)
    #expect(second.last == start.adding(seconds: 5))
  }

  @Test func similarEventsAreCombinedFromTheTenthOn() {
    var correlator = EventCorrelator()
    let now = Time(seconds: 1_000_000)
    var combined = 0
    for index in 0..<12 {
      switch correlator.observe(seen("message \(index)"), at: now, suffix: "\(index)").1 {
      case .create(let record), .patch(let record):
        if record.message.hasPrefix("(combined from similar events): ") { combined += 1 }
      case .drop: Issue.record("dropped")
      }
    }
    #expect(combined == 3)
  }

  @Test func spamIsDroppedAndRecovers() {
    var correlator = EventCorrelator()
    let now = Time(seconds: 1_000_000)
    var written = 0
    for _ in 0..<40 where correlator.observe(seen("a"), at: now, suffix: "1").1 != .drop { written += 1 }
    #expect(written == 25)
    #expect(correlator.observe(seen("a"), at: now.adding(seconds: 301), suffix: "1").1 != .drop)
    #expect(correlator.observe(seen("a", object: "other"), at: now, suffix: "1").1 != .drop)
  }

  @Test func recorderWritesAndCountsEvents() async throws {
    let api = MemoryAPI()
    let recorder = EventRecorder(client: api.client(), component: "tester", host: "node")
    var pod = Pod()
    pod.metadata.name = "web"
    pod.metadata.namespace = "default"
    pod.metadata.uid = "u"
    for _ in 0..<3 { recorder.event(pod, type: "Warning", reason: "Failed", message: "no") }
    await recorder.flush()
    let events = api.objects(Event.self)
    #expect(events.count == 1)
    #expect(events.first?.count == 3)
    #expect(events.first?.involvedObject.name == "web")
    #expect(events.first?.source.component == "tester")
    #expect(events.first?.type == "Warning")
  }
}

@Suite struct LeaderElectionTests {
  @Test func waitsWhileAnotherRenews() {
    var machine = LeaderElectionMachine(identity: "me", leaseDuration: .seconds(15))
    let start = ContinuousClock.now
    var spec = LeaseSpec()
    spec.holderIdentity = "other"
    spec.renewTime = MicroTime(seconds: 1)
    spec.leaseTransitions = 4
    machine.saw(spec, at: start)
    #expect(machine.decide(at: start + .seconds(14), wall: .now) == .wait)
    spec.renewTime = MicroTime(seconds: 2)
    machine.saw(spec, at: start + .seconds(14))
    #expect(machine.decide(at: start + .seconds(20), wall: .now) == .wait)
    guard case .write(let mine) = machine.decide(at: start + .seconds(30), wall: MicroTime(seconds: 9)) else {
      Issue.record("did not take the lease")
      return
    }
    #expect(mine.holderIdentity == "me")
    #expect(mine.leaseTransitions == 5)
    #expect(mine.acquireTime == MicroTime(seconds: 9))
  }

  @Test func aRenewalKeepsTheAcquireTime() {
    var machine = LeaderElectionMachine(identity: "me", leaseDuration: .seconds(15))
    machine.saw(machine.fresh(wall: MicroTime(seconds: 1)), at: .now)
    guard case .write(let renewed) = machine.decide(at: .now, wall: MicroTime(seconds: 5)) else {
      Issue.record("did not renew")
      return
    }
    #expect(renewed.acquireTime == MicroTime(seconds: 1))
    #expect(renewed.renewTime == MicroTime(seconds: 5))
    #expect(renewed.leaseTransitions == 0)
  }

  @Test func leadsAndGivesTheLeaseBack() async throws {
    let api = MemoryAPI()
    let led = Locked(0)
    for _ in 0..<2 {
      let elector = LeaderElector(client: api.client(), name: "test", identity: "me")
      try await elector.run { led.withLock { $0 += 1 } }
    }
    #expect(led.withLock { $0 } == 2)
    let lease = api.object(Lease.self, namespace: "kube-system", name: "test")
    #expect(lease?.spec.holderIdentity == "")
  }
}
