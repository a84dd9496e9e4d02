import API
import Client
import Testing

@testable import ControllerManager

@Suite struct EndpointSliceDecisionTests {
  private func decide(
    _ service: Service, _ pods: [Pod], existing: [EndpointSlice] = [], capacity: Int = 100
  ) -> EndpointSliceDecision {
    EndpointSliceDecision.decide(
      service, pods: pods, zones: ["node-1": "z1"], existing: existing, trigger: nil, capacity: capacity)
  }

  /// Carries a decision out on a list of slices.
  private func apply(_ decision: EndpointSliceDecision, to slices: [EndpointSlice]) -> [EndpointSlice] {
    var slices = slices.filter { slice in !decision.delete.contains { $0.metadata.name == slice.metadata.name } }
    for update in decision.update {
      if let index = slices.firstIndex(where: { $0.metadata.name == update.metadata.name }) { slices[index] = update }
    }
    for var slice in decision.create {
      slice.metadata.name = "s\(slices.count)-\(slice.endpoints.first?.targetRef?.name ?? "empty")-\(slice.ports.count)"
      slices.append(slice)
    }
    return slices
  }

  @Test func showsReadyServingAndTerminating() throws {
    var dying = makePod("dying")
    dying.metadata.deletionTimestamp = moment
    let decision = decide(makeService(), [makePod("a"), makePod("b", ready: false), dying])
    let slice = try #require(decision.create.first)
    #expect(slice.metadata.generateName == "web-")
    #expect(slice.metadata.labels["kubernetes.io/service-name"] == "web")
    #expect(slice.metadata.labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io")
    #expect(slice.addressType == "IPv4")
    #expect(slice.ports.first?.port == 8080)
    let by = Dictionary(uniqueKeysWithValues: slice.endpoints.map { ($0.targetRef?.name ?? "", $0) })
    #expect(by["a"]?.conditions.ready == true)
    #expect(by["a"]?.zone == "z1")
    #expect(by["a"]?.nodeName == "node-1")
    #expect(by["b"]?.conditions.ready == false)
    #expect(by["b"]?.conditions.serving == false)
    #expect(by["dying"]?.conditions.ready == false)
    #expect(by["dying"]?.conditions.serving == true)
    #expect(by["dying"]?.conditions.terminating == true)
  }

  @Test(
    arguments: [
      (nil, nil), ("PreferClose", "/z1"), ("PreferSameZone", "/z1"), ("PreferSameNode", "node-1/z1"),
    ] as [(String?, String?)])
  func hintsFollowTheTrafficDistribution(_ distribution: String?, _ expected: String?) throws {
    var service = makeService()
    service.spec.trafficDistribution = distribution
    let decision = EndpointSliceDecision.decide(
      service, pods: [makePod("a"), makePod("b", ready: false)], zones: ["node-1": "z1"], existing: [], trigger: nil,
      capacity: 100)
    let endpoints = try #require(decision.create.first).endpoints
    let hints = endpoints.first { $0.conditions.ready == true }?.hints
    let text = hints.map { ($0.forNodes.map(\.name) + ["/"] + $0.forZones.map(\.name)).joined() }
    #expect(text == expected)
    #expect(endpoints.contains { $0.conditions.ready == false && $0.hints == nil })
  }

  @Test func findsPortsByName() {
    let decision = decide(makeService(port: .string("http")), [makePod("a")])
    #expect(decision.create.first?.ports.first?.port == 8080)
    let missing = decide(makeService(port: .string("nope")), [makePod("a")])
    #expect(missing.create.first?.ports.isEmpty == true)
  }

  @Test func publishesWhatIsNotReadyWhenAsked() {
    var service = makeService()
    service.spec.publishNotReadyAddresses = true
    let decision = decide(service, [makePod("b", ready: false)])
    #expect(decision.create.first?.endpoints.first?.conditions.ready == true)
  }

  @Test func leavesOutFinishedPodsAndThoseWithoutAddress() {
    var finished = makePod("finished")
    finished.status.phase = "Succeeded"
    var young = makePod("young")
    young.status.podIP = ""
    let decision = decide(makeService(), [finished, young])
    #expect(decision.create.count == 1)
    #expect(decision.create.first?.endpoints.isEmpty == true)
  }

  @Test func marksHeadlessServicesAndCopiesLabels() {
    var service = makeService()
    service.spec.clusterIP = "None"
    service.metadata.labels = ["team": "x"]
    let labels = decide(service, [makePod("a")]).create.first?.metadata.labels
    #expect(labels?["service.kubernetes.io/headless"] == "")
    #expect(labels?["team"] == "x")
  }

  @Test(arguments: 0..<30 as Range<UInt64>)
  func convergesWithoutLosingAnyEndpointAndThenRests(seed: UInt64) {
    var random = SplitMix(state: seed)
    let service = makeService()
    var slices: [EndpointSlice] = []
    for _ in 0..<8 {
      var pods: [Pod] = []
      for index in 0..<Int.random(in: 0...35, using: &random) {
        var pod = makePod("p\(index)", ready: .random(using: &random))
        pod.status.podIP = "10.1.0.\(index + 1)"
        pods.append(pod)
      }
      slices = apply(decide(service, pods, existing: slices, capacity: 10), to: slices)
      let shown = slices.flatMap(\.endpoints).compactMap { $0.targetRef?.name }.sorted()
      #expect(shown == pods.map(\.metadata.name).sorted())
      #expect(slices.allSatisfy { $0.endpoints.count <= 10 })
      #expect(!slices.isEmpty)
      let again = decide(service, pods, existing: slices, capacity: 10)
      #expect(again == EndpointSliceDecision())
    }
  }
}

@Suite struct EndpointsDecisionTests {
  @Test func sortsAddressesIntoReadyAndNotReady() throws {
    let endpoints = try #require(
      EndpointsDecision.desired(
        for: makeService(), pods: [makePod("a"), makePod("b", ready: false)], existing: nil, trigger: moment))
    #expect(endpoints.subsets.count == 1)
    #expect(endpoints.subsets[0].addresses.map { $0.targetRef?.name } == ["a"])
    #expect(endpoints.subsets[0].notReadyAddresses.map { $0.targetRef?.name } == ["b"])
    #expect(endpoints.subsets[0].ports.map(\.port) == [8080])
    let trigger = endpoints.metadata.annotations["endpoints.kubernetes.io/last-change-trigger-time"]
    #expect(trigger == "2023-11-14T22:13:20Z")
    #expect(
      EndpointsDecision.desired(
        for: makeService(), pods: [makePod("b", ready: false), makePod("a")], existing: endpoints, trigger: nil) == nil)
  }

  @Test func truncatesAtAThousand() throws {
    let pods = (0..<1200).map { index in
      var pod = makePod("p\(index)", ready: index % 2 == 0)
      pod.status.podIP = "10.1.\(index / 250).\(index % 250 + 1)"
      return pod
    }
    let endpoints = try #require(
      EndpointsDecision.desired(for: makeService(), pods: pods, existing: nil, trigger: nil))
    #expect(endpoints.subsets[0].addresses.count == 600)
    #expect(endpoints.subsets[0].notReadyAddresses.count == 400)
    #expect(endpoints.metadata.annotations["endpoints.kubernetes.io/over-capacity"] == "truncated")
  }
}

@Suite struct EndpointControllerTests {
  @Test func followServicesAndPods() async throws {
    try await withControllers(["endpointslice-controller", "endpoints-controller"]) { api, client in
      try api.seed(makePod("a"))
      try await client.create(makeService())
      #expect(await eventually { api.objects(EndpointSlice.self).first?.endpoints.count == 1 })
      #expect(await eventually { api.objects(Endpoints.self).first?.subsets.first?.addresses.count == 1 })
      try api.seed(makePod("b"))
      #expect(await eventually { api.objects(EndpointSlice.self).first?.endpoints.count == 2 })
      try api.modify(Pod.self, namespace: "default", name: "a") { $0.status.conditions[0].status = "False" }
      #expect(
        await eventually {
          api.objects(EndpointSlice.self).first?.endpoints.filter { $0.conditions.ready == true }.count == 1
        })
      try await client.delete(Service.self, namespace: "default", name: "web")
      #expect(await eventually { api.objects(Endpoints.self).isEmpty })
      #expect(api.objects(EndpointSlice.self).count == 1)
    }
  }
}
