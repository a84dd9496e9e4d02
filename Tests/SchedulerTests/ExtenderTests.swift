import API
import APIMachinery
import Testing

@testable import Scheduler

@Suite struct ExtenderTests {
  private func core(_ nodes: Int = 3) -> SchedulerCore {
    var core = SchedulerCore(
      profiles: ["default-scheduler": .deciding], random: Seeded(state: 1),
      consults: { $0.metadata.name.hasPrefix("ask") })
    for index in 0..<nodes { core.nodeChanged(makeNode("n\(index)", cpu: 1000), now: 0) }
    return core
  }
  private let knowledge = SchedulerCore.Knowledge(volumes: { _ in .anywhere })

  private func consulted(_ core: inout SchedulerCore) throws -> (Pod, [String]) {
    let decision = core.next(now: 0, knowledge)
    guard case .consult(let pod, let nodes)? = decision else {
      throw ExtenderFailure(description: "nobody was asked")
    }
    return (pod, nodes.sorted())
  }

  @Test func nobodyIsAskedAboutOthers() {
    var core = core()
    core.podChanged(makePod("plain", cpu: 100), now: 0)
    let decision = core.next(now: 0, knowledge)
    guard case .place? = decision else {
      Issue.record("not placed")
      return
    }
  }

  @Test func theirScoresDecide() throws {
    var core = core()
    core.podChanged(makePod("ask", cpu: 100), now: 0)
    let (pod, nodes) = try consulted(&core)
    #expect(nodes == ["n0", "n1", "n2"])
    let opinion = SchedulerCore.Opinion(
      refusals: ["n2": Refusal(plugin: SchedulerExtender.plugin, reasons: ["no"])], scores: ["n1": 1000, "n2": 9000])
    let decision = core.settle(pod, opinion, now: 0, knowledge)
    guard case .place(_, let node)? = decision else {
      Issue.record("not placed")
      return
    }
    #expect(node == "n1")
  }

  @Test func theirRefusalsAreToldAndAskedAgain() throws {
    var core = core(2)
    core.podChanged(makePod("ask", cpu: 100), now: 0)
    let (pod, nodes) = try consulted(&core)
    let refusals = Dictionary(
      uniqueKeysWithValues: nodes.map {
        ($0, Refusal(plugin: SchedulerExtender.plugin, reasons: ["not today"], unresolvable: true))
      })
    let decision = core.settle(pod, .init(refusals: refusals), now: 0, knowledge)
    guard case .refuse(_, let message, _)? = decision else {
      Issue.record("not refused")
      return
    }
    #expect(message.hasPrefix("0/2 nodes are available: 2 not today."))
    // Any event may have changed their mind.
    core.namespaceChanged("x", labels: [:], now: 1)
    _ = core.flush(now: 100)
    let again = try consulted(&core).1
    #expect(again == ["n0", "n1"])
  }

  @Test func whatChangedMeanwhileCounts() throws {
    var core = core(1)
    core.podChanged(makePod("ask", cpu: 600), now: 0)
    let (pod, _) = try consulted(&core)
    var other = makePod("other", cpu: 600)
    other.spec.nodeName = "n0"
    core.podChanged(other, now: 0)
    let decision = core.settle(pod, .init(), now: 0, knowledge)
    guard case .refuse(_, let message, _)? = decision else {
      Issue.record("over-committed")
      return
    }
    #expect(message.contains("1 Insufficient cpu"))
    core.podChanged(makePod("ask-again", cpu: 100), now: 0)
    let (gone, _) = try consulted(&core)
    core.podDeleted(gone.metadata.uid, now: 0)
    let none = core.settle(gone, .init(), now: 0, knowledge)
    if case .some = none { Issue.record("it is placed though it is gone") }
  }

  @Test func configurationsAreChecked() throws {
    func problem(_ text: String) -> String {
      do {
        _ = try SchedulerExtender.extenders(JSONValue(parsing: Array(text.utf8)))
        return ""
      } catch { return "\(error)" }
    }
    #expect(problem(#"[{"urlPrefix":"http://a:1/x","bindVerb":"bind"}]"#) == "")
    #expect(problem(#"[{"urlPrefix":"nonsense"}]"#) == "extenders[0].urlPrefix: Invalid value: \"nonsense\"")
    #expect(
      problem(#"[{"urlPrefix":"http://a","prioritizeVerb":"p","weight":0}]"#)
        == "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it")
    #expect(
      problem(#"[{"urlPrefix":"http://a","bindVerb":"b"},{"urlPrefix":"http://b","bindVerb":"b"}]"#)
        .hasSuffix("found 2 extenders implementing bind, limit is 1"))
  }
}
