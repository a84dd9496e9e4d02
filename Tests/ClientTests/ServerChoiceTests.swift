import Testing

@testable import Client

@Suite struct ServerChoiceTests {
  private let start = ContinuousClock.now

  private func due(_ choice: inout ServerChoice, _ time: ContinuousClock.Instant) -> Bool {
    choice.probeIsDue(at: time)
  }

  @Test func aServerThatFailsIsLeftAndTheNextIsKept() {
    var choice = ServerChoice(count: 3)
    #expect(choice.order == [0, 1, 2])
    choice.failed(0, at: start)
    #expect(choice.order == [1, 2, 0])
    // The second of two requests that failed together changes nothing.
    choice.failed(0, at: start)
    #expect(choice.current == 1)
    choice.failed(1, at: start)
    choice.failed(2, at: start)
    #expect(choice.current == 0)
  }

  @Test func thePreferredServerIsAskedAgainAtGrowingDistances() {
    var choice = ServerChoice(count: 2)
    let answer1 = due(&choice, start + .seconds(1000))
    #expect(!answer1)
    choice.failed(0, at: start)
    let answer2 = due(&choice, start + .seconds(14))
    #expect(!answer2)
    let answer3 = due(&choice, start + .seconds(15))
    #expect(answer3)
    let answer4 = due(&choice, start + .seconds(16))
    #expect(!answer4)
    let answer5 = due(&choice, start + .seconds(45))
    #expect(answer5)
    choice.preferredIsBack()
    #expect(choice.current == 0)
    let answer6 = due(&choice, start + .seconds(1000))
    #expect(!answer6)
  }

  @Test func oneServerIsAlwaysTheChoice() {
    var choice = ServerChoice(count: 1)
    choice.failed(0, at: start)
    #expect(choice.order == [0])
    let answer7 = due(&choice, start + .seconds(1000))
    #expect(!answer7)
  }
}
