import Testing

@testable import Client

@Suite struct ReflectorMachineTests {
  @Test func listsThenWatchesFromTheListsVersion() {
    var machine = ReflectorMachine()
    #expect(machine.begin == [.list(resourceVersion: "0")])
    #expect(machine.handle(.listed(resourceVersion: "7"), jitter: 0) == [.watch(resourceVersion: "7")])
  }

  @Test func takesAWatchUpAtTheLastVersionSeen() {
    var machine = ReflectorMachine()
    _ = machine.handle(.listed(resourceVersion: "7"), jitter: 0)
    #expect(machine.handle(.changed(resourceVersion: "9"), jitter: 0) == [])
    #expect(machine.handle(.ended(events: 1, seconds: 0), jitter: 0) == [.watch(resourceVersion: "9")])
    #expect(machine.handle(.bookmark(resourceVersion: "12", initialEventsEnd: false), jitter: 0) == [])
    #expect(
      machine.handle(.failed(.other), jitter: 0.5) == [.wait(seconds: 0.8 * 1.5), .watch(resourceVersion: "12")])
  }

  @Test func listsFromTheStoreWhenTheServerForgotTheVersion() {
    var machine = ReflectorMachine()
    _ = machine.handle(.listed(resourceVersion: "7"), jitter: 0)
    #expect(machine.handle(.failed(.expired), jitter: 0) == [.list(resourceVersion: "")])
    #expect(machine.handle(.failed(.expired), jitter: 0) == [.wait(seconds: 0.8), .list(resourceVersion: "")])
  }

  @Test func doesNotSpinOnWatchesThatEndAtOnce() {
    var machine = ReflectorMachine()
    _ = machine.handle(.listed(resourceVersion: "7"), jitter: 0)
    #expect(
      machine.handle(.ended(events: 0, seconds: 0), jitter: 0) == [.wait(seconds: 0.8), .watch(resourceVersion: "7")])
    #expect(
      machine.handle(.ended(events: 0, seconds: 0), jitter: 0) == [.wait(seconds: 1.6), .watch(resourceVersion: "7")])
    #expect(machine.handle(.ended(events: 0, seconds: 300), jitter: 0) == [.watch(resourceVersion: "7")])
  }

  @Test func backsOffUpToThirtySeconds() {
    var machine = ReflectorMachine()
    var last = 0.0
    for _ in 0..<12 {
      guard case .wait(let seconds)? = machine.handle(.failed(.other), jitter: 0).first else {
        Issue.record("no wait")
        return
      }
      #expect(seconds >= last)
      last = seconds
    }
    #expect(last == 30)
  }

  @Test func streamsTheInitialStateAndReplacesAtTheBookmark() {
    var machine = ReflectorMachine(strategy: .stream)
    #expect(machine.begin == [.stream])
    #expect(machine.handle(.changed(resourceVersion: "3"), jitter: 0) == [])
    #expect(machine.handle(.bookmark(resourceVersion: "5", initialEventsEnd: true), jitter: 0) == [.replace])
    #expect(machine.handle(.ended(events: 2, seconds: 4), jitter: 0) == [.watch(resourceVersion: "5")])
  }

  @Test func listsWhenTheServerCannotStream() {
    var machine = ReflectorMachine(strategy: .stream)
    #expect(machine.handle(.failed(.unsupported), jitter: 0) == [.list(resourceVersion: "0")])
  }

  @Test(arguments: [0, 1, 2, 3, 4, 5, 6, 7])
  func alwaysHasSomethingToDoAfterAnInterruption(seed: UInt64) {
    // Whatever happens in whatever order, an interruption is answered with a request.
    var random = SplitMix(state: seed)
    var machine = ReflectorMachine(strategy: seed % 2 == 0 ? .list : .stream)
    for step in 0..<500 {
      let events: [ReflectorMachine.Event] = [
        .listed(resourceVersion: "\(step)"), .changed(resourceVersion: "\(step)"),
        .bookmark(resourceVersion: "\(step)", initialEventsEnd: step % 2 == 0),
        .ended(events: step % 3, seconds: 0), .failed(.expired), .failed(.unsupported), .failed(.other),
      ]
      let event = events[Int(random.next() % UInt64(events.count))]
      let actions = machine.handle(event, jitter: 0)
      switch event {
      case .listed, .ended, .failed:
        #expect(
          actions.contains {
            switch $0 {
            case .list, .stream, .watch: true
            default: false
            }
          })
      default: #expect(actions.isEmpty || actions == [.replace])
      }
    }
  }
}

struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
