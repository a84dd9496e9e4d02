import API
import APIMachinery
import Testing

@testable import Scheduler

@Suite struct ProfileTests {
  private func profile(_ text: String) throws -> SchedulerProfile {
    try SchedulerProfile(JSONValue.decode(Array(text.utf8)))
  }

  private func placed(_ profile: SchedulerProfile, _ nodes: [Node], _ pods: [Pod]) -> [String: String] {
    var core = SchedulerCore(
      framework: profile.framework(), schedulerName: profile.schedulerName, random: Seeded(state: 1))
    for node in nodes { core.nodeChanged(node, now: 0) }
    var found: [String: String] = [:]
    for pod in pods {
      core.podChanged(pod, now: 0)
      if let (name, node) = core.place() { found[name] = node }
    }
    return found
  }

  @Test func mostAllocatedFillsOneNodeFirst() throws {
    let packing = try profile(
      #"{"pluginConfig":[{"name":"NodeResourcesFit","args":{"scoringStrategy":{"type":"MostAllocated"}}}]}"#)
    let nodes = [makeNode("a"), makeNode("b"), makeNode("c")]
    let found = placed(packing, nodes, (0..<6).map { makePod("p\($0)", cpu: 200, memory: 400 << 20) })
    #expect(Set(found.values).count == 1 && found.count == 6)
  }

  @Test func theCurveIsReadBetweenItsPoints() throws {
    let curved = try profile(
      #"""
      {"pluginConfig":[{"name":"NodeResourcesFit","args":{"scoringStrategy":{"type":"RequestedToCapacityRatio",
       "resources":[{"name":"cpu","weight":1}],
       "requestedToCapacityRatio":{"shape":[{"utilization":0,"score":0},{"utilization":50,"score":10},
       {"utilization":100,"score":0}]}}}}]}
      """#)
    let node = NodeInfo(makeNode("a", cpu: 1000))
    #expect(curved.fit.score(PodInfo(makePod("p", cpu: 250)), node) == 50)
    #expect(curved.fit.score(PodInfo(makePod("p", cpu: 500)), node) == 100)
    #expect(curved.fit.score(PodInfo(makePod("p", cpu: 900)), node) == 20)
  }

  @Test func pluginsAreSwitchedOff() throws {
    var tainted = makeNode("a")
    var taint = Taint()
    taint.key = "k"
    taint.effect = "NoSchedule"
    tainted.spec.taints = [taint]
    #expect(placed(try profile("{}"), [tainted], [makePod("p")]).isEmpty)
    let blind = try profile(#"{"plugins":{"multiPoint":{"disabled":[{"name":"TaintToleration"}]}}}"#)
    #expect(placed(blind, [tainted], [makePod("p")]) == ["p": "a"])
    let filterless = try profile(#"{"plugins":{"filter":{"disabled":[{"name":"*"}],"enabled":[{"name":"NodeName"}]}}}"#)
    #expect(placed(filterless, [tainted], [makePod("p", cpu: 90_000)]) == ["p": "a"])
    #expect(throws: SchedulerConfigurationError.self) {
      try profile(#"{"plugins":{"score":{"enabled":[{"name":"NoSuchPlugin"}]}}}"#)
    }
  }

  @Test func affinityIsAddedToEveryPod() throws {
    let bound = try profile(
      #"""
      {"pluginConfig":[{"name":"NodeAffinity","args":{"addedAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
       {"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["b"]}]}]}}}}]}
      """#)
    #expect(placed(bound, [makeNode("a"), makeNode("b"), makeNode("c")], [makePod("p")]) == ["p": "b"])
  }

  @Test func eachPodGoesByItsOwnProfile() throws {
    let other = try profile(#"{"schedulerName":"other","plugins":{"filter":{"disabled":[{"name":"*"}]}}}"#)
    var core = SchedulerCore(
      profiles: ["default-scheduler": SchedulerProfile().framework(), "other": other.framework()],
      random: Seeded(state: 1))
    core.nodeChanged(makeNode("a", cpu: 100), now: 0)
    core.podChanged(makePod("p", cpu: 1000), now: 0)
    #expect(core.refusal() == "0/1 nodes are available: 1 Insufficient cpu.")
    var pod = makePod("q", cpu: 1000)
    pod.spec.schedulerName = "other"
    core.podChanged(pod, now: 0)
    #expect(core.place()?.pod == "q")
    pod.metadata.uid = "r"
    pod.spec.schedulerName = "third"
    core.podChanged(pod, now: 0)
    #expect(core.place() == nil)
  }

  @Test func aFileMayHaveSeveral() throws {
    let two = try SchedulerProfile.profiles(
      JSONValue(parsing: Array(#"[{"schedulerName":"a"},{"schedulerName":"b","plugins":{}}]"#.utf8)))
    #expect(two.map(\.schedulerName) == ["a", "b"])
    #expect(try SchedulerProfile.profiles(nil).map(\.schedulerName) == ["default-scheduler"])
    for (text, problem) in [
      (#"[{"schedulerName":"a"},{}]"#, "profiles[1].schedulerName: Required value"),
      (#"[{"schedulerName":"a"},{"schedulerName":"a"}]"#, "profiles[1].schedulerName: Duplicate value: \"a\""),
    ] {
      do {
        _ = try SchedulerProfile.profiles(JSONValue(parsing: Array(text.utf8)))
        Issue.record("\(text) was taken")
      } catch { #expect("\(error)" == problem) }
    }
  }
}
