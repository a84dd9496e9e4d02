import API
import Testing

@testable import ControllerManager

@Suite struct TopologyAllocationTests {
  private func endpoint(_ zone: String?, _ index: Int, ready: Bool = true) -> Endpoint {
    Endpoint {
      $0.addresses = ["10.0.\(index / 250).\(index % 250)"]
      $0.zone = zone
      $0.conditions.ready = ready
    }
  }

  private func zones(_ endpoints: [Endpoint]) -> [String: Int] {
    Dictionary(grouping: endpoints.compactMap { $0.hints?.forZones.first?.name }) { $0 }.mapValues(\.count)
  }

  private func node(_ name: String, zone: String, cpu: Int64 = 4, ready: Bool = true) -> Node {
    Node {
      $0.metadata.name = name
      if !zone.isEmpty { $0.metadata.labels["topology.kubernetes.io/zone"] = zone }
      $0.status.allocatable["cpu"] = Quantity(cpu)
      $0.status.conditions = [
        NodeCondition {
          $0.type = "Ready"
          $0.status = ready ? "True" : "False"
        }
      ]
    }
  }

  @Test func capacityIsThatOfReadyNodes() {
    var capacity = ZoneCapacity()
    func changes(_ node: Node) -> Bool { capacity.note(node) }
    #expect(capacity.shares == nil)
    #expect(changes(node("a", zone: "z1", cpu: 6)) == true)
    #expect(capacity.shares == [:])
    #expect(changes(node("b", zone: "z2", cpu: 2)) == true)
    #expect(capacity.shares == ["z1": 0.75, "z2": 0.25])
    #expect(changes(node("b", zone: "z2", cpu: 2)) == false)
    #expect(changes(node("c", zone: "")) == true)
    #expect(capacity.shares == nil)
    #expect(changes(node("c", zone: "", ready: false)) == true)
    #expect(capacity.shares != nil)
    var control = node("d", zone: "")
    control.metadata.labels["node-role.kubernetes.io/control-plane"] = ""
    #expect(changes(control) == false)
  }

  private func hint(
    _ endpoints: [Endpoint], _ shares: [String: Double]?, before: [String: String] = [:]
  ) -> ([Endpoint], String?) {
    let (hinted, notice) = TopologyAllocation.hint(
      endpoints, before: { before[$0.addresses[0]] }, shares: shares, family: "IPv4")
    return (hinted, notice?.message)
  }

  @Test func endpointsStayInTheirZoneWhereThatIsFair() {
    let even = ["a": 1.0 / 3, "b": 1.0 / 3, "c": 1.0 / 3]
    let endpoints = (0..<9).map { endpoint(["a", "b", "c"][$0 % 3], $0) }
    let (hinted, notice) = hint(endpoints, even)
    #expect(notice == nil)
    #expect(hinted.allSatisfy { $0.hints?.forZones.first?.name == $0.zone })
  }

  @Test func richZonesGiveToPoorOnes() {
    let even = ["a": 0.5, "b": 0.5]
    let (hinted, _) = hint((0..<8).map { endpoint($0 < 6 ? "a" : "b", $0) }, even)
    #expect(zones(hinted) == ["a": 4, "b": 4])
    // A zone that has no part at all gives all that it has.
    let (moved, _) = hint((0..<8).map { endpoint($0 < 2 ? "x" : ($0 < 5 ? "a" : "b"), $0) }, even)
    #expect(zones(moved) == ["a": 4, "b": 4])
  }

  @Test func withoutEnoughThereAreNoHints() {
    let even = ["a": 0.5, "b": 0.5]
    #expect(
      hint([endpoint("a", 0)], even).1
        == "Insufficient number of endpoints (1 endpoints, 2 zones), addressType: IPv4")
    #expect(hint([endpoint("a", 0)], nil).1?.hasPrefix("Insufficient Node information") == true)
    #expect(hint([endpoint("a", 0)], [:]).1 == "Nodes only ready in one zone, addressType: IPv4")
    #expect(
      hint([endpoint("a", 0), endpoint(nil, 1)], even).1
        == "One or more endpoints do not have a zone specified, addressType: IPv4")
    let uneven = ["a": 0.34, "b": 0.33, "c": 0.33]
    let (plain, notice) = hint((0..<4).map { endpoint(["a", "b", "c", "a"][$0], $0) }, uneven)
    #expect(notice?.hasPrefix("Unable to allocate minimum required endpoints") == true)
    #expect(plain.allSatisfy { $0.hints == nil })
    // One that is not ready has no say, and no hint.
    #expect(hint([endpoint("a", 0), endpoint("b", 1, ready: false)], even).1?.contains("(1 endpoints") == true)
  }

  /// Hints, once given, are left alone; and no zone has more or less than it may.
  @Test(arguments: 0..<40)
  func hintsRest(seed: UInt64) {
    var random = SplitMix(state: seed)
    let names = ["a", "b", "c"].prefix(Int.random(in: 2...3, using: &random))
    let weights = names.map { _ in Double.random(in: 1...3, using: &random) }
    let total = weights.reduce(0, +)
    let shares = Dictionary(uniqueKeysWithValues: zip(names, weights.map { $0 / total }))
    var endpoints = (0..<Int.random(in: 3...40, using: &random)).map {
      endpoint(names.randomElement(using: &random), $0, ready: Int.random(in: 0..<6, using: &random) > 0)
    }
    var before: [String: String] = [:]
    for round in 0..<3 {
      let (hinted, notice) = hint(endpoints, shares, before: before)
      before = [:]
      for endpoint in hinted { before[endpoint.addresses[0]] = endpoint.hints?.forZones.first?.name }
      let (again, _) = hint(hinted, shares, before: before)
      #expect(again == hinted)
      if notice == nil {
        let ready = hinted.filter { $0.conditions.ready ?? true }
        for (zone, share) in shares {
          let desired = share * Double(ready.count)
          #expect(Double(zones(hinted)[zone] ?? 0) >= (desired / 1.2).rounded(.down))
        }
      }
      endpoints = hinted.filter { _ in Int.random(in: 0..<5, using: &random) > 0 }
      endpoints.append(endpoint(names.first, 100 + round))
    }
  }

  @Test func aServiceThatAsksForItGetsIt() throws {
    var service = makeService()
    service.metadata.annotations["service.kubernetes.io/topology-mode"] = "Auto"
    service.spec.trafficDistribution = "PreferSameNode"
    let pods = (0..<4).map { makePod("p\($0)", node: $0 < 3 ? "n1" : "n2") }
    func decide(_ existing: [EndpointSlice]) -> EndpointSliceDecision {
      EndpointSliceDecision.decide(
        service, pods: pods, zones: ["n1": "a", "n2": "b"], existing: existing, trigger: nil, capacity: 100,
        shares: ["a": 0.5, "b": 0.5])
    }
    var slice = try #require(decide([]).create.first)
    #expect(zones(slice.endpoints) == ["a": 2, "b": 2])
    #expect(slice.endpoints.allSatisfy { $0.hints?.forNodes.isEmpty == true })
    slice.metadata.name = "s"
    #expect(decide([slice]) == EndpointSliceDecision())
    service.metadata.annotations = [:]
    #expect(decide([slice]).update.first?.endpoints.allSatisfy { $0.hints?.forNodes.count == 1 } == true)
  }
}
