import Synchronization
import Testing

import struct APIGroups.PriorityLevelConfiguration
import struct APIMeta.ObjectMeta

@testable import APIServer

@Suite struct FlowControlTests {
  private func user(_ name: String, _ groups: String...) -> UserInfo {
    var user = UserInfo(name: name)
    user.groups = groups + ["system:authenticated"]
    return user
  }

  private func info(_ method: String, _ path: String) -> RequestInfo {
    RequestInfo(method: method, path: path, query: [])
  }

  @Test func defaultsSortRequests() {
    let levels = Dictionary(
      uniqueKeysWithValues: FlowControlDefaults.levels.map {
        ($0.metadata.name, PriorityLevel(name: $0.metadata.name, uid: "", isExempt: false, clock: { 0 }))
      })
    let classifier = FlowClassifier(FlowControlDefaults.schemas) { levels[$0] }
    func flow(_ user: UserInfo, _ method: String, _ path: String) -> String {
      let flow = classifier.flow(user, info(method, path))
      return "\(flow?.schema.name ?? "none") \(flow?.level.name ?? "") \(flow?.distinguisher ?? "")"
    }
    let account = user("system:serviceaccount:kube-system:x", "system:serviceaccounts")
    let lease = "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
    #expect(flow(user("root", "system:masters"), "DELETE", "/api/v1/nodes/n") == "exempt exempt ")
    #expect(flow(user("jane"), "GET", "/livez") == "probes exempt ")
    #expect(flow(user("jane"), "GET", "/livez/ping") == "global-default global-default jane")
    #expect(flow(user("jane"), "GET", "/api/v1/pods") == "global-default global-default jane")
    #expect(flow(account, "PUT", lease) == "system-leader-election leader-election \(account.name)")
    #expect(flow(account, "DELETE", lease) == "kube-system-service-accounts workload-high n")
    #expect(
      flow(user("system:serviceaccount:a:b", "system:serviceaccounts"), "GET", lease)
        == "service-accounts workload-low system:serviceaccount:a:b")
    let node = user("system:node:a", "system:nodes")
    #expect(flow(node, "PATCH", "/api/v1/nodes/a/status") == "system-node-high node-high system:node:a")
    #expect(flow(node, "GET", "/api/v1/namespaces/n/pods/p") == "system-nodes system system:node:a")
    #expect(flow(user("system:kube-scheduler"), "GET", "/api/v1/nodes") == "kube-scheduler workload-high ")
    // A level that is gone takes its schemas with it.
    let poorer = FlowClassifier(FlowControlDefaults.schemas) { $0 == "global-default" ? nil : levels[$0] }
    #expect(poorer.flow(user("jane"), info("GET", "/api"))?.schema.name == "catch-all")
  }

  @Test func aLevelWithoutQueuesTurnsAway() {
    var queues = FairQueues()
    _ = queues.configure(.init(), limit: 1, now: 0)
    guard case .dispatched(let ticket) = queues.arrive(flow: 1, label: .init(), now: 0) else {
      Issue.record("not dispatched")
      return
    }
    let second = queues.arrive(flow: 1, label: .init(), now: 0)
    #expect(second == .rejected("concurrency-limit"))
    let called = queues.finish(ticket, now: 1)
    #expect(called.isEmpty)
    #expect(queues.executing == 0)
  }

  /// One flow floods; another asks now and then and is not made to wait for the flood to pass.
  @Test func aFloodLeavesRoomForOthers() {
    var queues = FairQueues()
    _ = queues.configure(.init(queues: 64, handSize: 6, lengthLimit: 50), limit: 2, now: 0)
    var running: [FairQueues.Ticket] = []
    var rejected = 0
    for _ in 0..<1000 {
      switch queues.arrive(flow: 12345, label: .init(), now: 0) {
      case .dispatched(let ticket): running.append(ticket)
      case .waits: break
      case .rejected(let reason):
        #expect(reason == "queue-full")
        rejected += 1
      }
    }
    #expect(running.count == 2 && queues.waiting == 300 && rejected == 698)
    guard case .waits(let other) = queues.arrive(flow: 987_654_321, label: .init(), now: 0) else {
      Issue.record("the other does not wait")
      return
    }
    var now = 0.0
    var rounds = 0
    while rounds < 300 {
      rounds += 1
      now += 0.01
      let called = queues.finish(running.removeFirst(), now: now)
      running += called.map(\.1)
      if called.contains(where: { $0.0 == other }) { break }
    }
    // Six queues of the flood take turns with it.
    #expect(rounds <= 8, "called after \(rounds)")
  }

  @Test func whoWaitsTooLongGoes() {
    var queues = FairQueues()
    _ = queues.configure(.init(queues: 2, handSize: 1, lengthLimit: 5), limit: 1, now: 0)
    guard case .dispatched(let ticket) = queues.arrive(flow: 0, label: .init(), now: 0),
      case .waits(let first) = queues.arrive(flow: 0, label: .init(), now: 1),
      case .waits(let second) = queues.arrive(flow: 1, label: .init(), now: 10),
      case .waits(let third) = queues.arrive(flow: 1, label: .init(), now: 11)
    else {
      Issue.record("wrong answers")
      return
    }
    let expired = queues.expire(before: 5)
    #expect(expired == [first])
    let cancelled = [queues.cancel(second), queues.cancel(second)]
    #expect(cancelled == [true, false])
    let called = queues.finish(ticket, now: 12).map(\.0)
    #expect(called == [third])
    #expect(queues.waiting == 0 && queues.counts == .init(dispatched: 2, rejected: 1, timedOut: 1, cancelled: 1))
    // More seats let those who wait go on at once.
    guard case .waits(let fourth) = queues.arrive(flow: 1, label: .init(), now: 13) else { return }
    let more = queues.configure(.init(queues: 1, handSize: 1, lengthLimit: 5), limit: 2, now: 14).map(\.0)
    #expect(more == [fourth])
  }

  @Test func seatsAreLentAndBorrowed() {
    let levels = SeatAllocation.levels(total: 100, [(30, 50, nil), (70, 0, nil), (0, 0, nil)])
    #expect(levels.map(\.nominal) == [30, 70, 0] && levels.map(\.least) == [15, 70, 0])
    var wanted = levels
    // Nobody wants anything: who cannot lend keeps what it has.
    #expect(SeatAllocation.current(total: 100, wanted)[1] >= 70)
    (wanted[0].peak, wanted[0].smooth) = (200, 200)
    let current = SeatAllocation.current(total: 100, wanted)
    #expect(current[0] >= 29 && current[1] >= 70 && current.reduce(0, +) <= 102)
    // The one that lends is idle: the other has its half.
    wanted = levels
    (wanted[1].peak, wanted[1].smooth) = (200, 200)
    #expect(SeatAllocation.current(total: 100, wanted)[1] >= 83)
    // A level that lends all it has keeps one seat, however much the others want.
    var generous = SeatAllocation.levels(total: 10, [(5, 100, nil), (5, 0, nil), (5, 0, nil)])
    for index in 1...2 { (generous[index].peak, generous[index].smooth) = (50, 50) }
    #expect(SeatAllocation.current(total: 8, generous)[0] == 1)
    let bounded = SeatAllocation.levels(total: 100, [(50, 100, nil), (50, 0, 10)])
    #expect(bounded[1].most == 55)
  }

  @Test func seatsPassFromOneToTheNext() async {
    let level = PriorityLevel(name: "l", uid: "", isExempt: false, clock: { 0 })
    level.configure(
      .init(queues: 4, handSize: 2, lengthLimit: 1000), .init(nominal: 3, least: 3, most: 3), seats: 3)
    let running = Running()
    await withTaskGroup(of: Bool.self) { group in
      for flow in 0..<200 {
        group.addTask {
          guard case .seat(let seat) = await level.enter(flow: UInt64(flow), .init()) else { return false }
          running.change(1)
          await Task.yield()
          running.change(-1)
          level.leave(seat)
          return true
        }
      }
      for await isDone in group { #expect(isDone) }
    }
    #expect(running.most <= 3)
    #expect(level.picture.executing == 0 && level.picture.dispatched == 200)
  }
}

private final class Running: Sendable {
  private let state = Mutex((now: 0, most: 0))
  func change(_ by: Int) { state.withLock { $0 = ($0.now + by, max($0.most, $0.now + by)) } }
  var most: Int { state.withLock { $0.most } }
}
