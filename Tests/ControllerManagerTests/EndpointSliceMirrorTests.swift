import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

@Suite struct EndpointSliceMirrorTests {
  private func endpoints(_ addresses: [String], notReady: [String] = [], port: Int32 = 80) -> Endpoints {
    Endpoints {
      $0.metadata.name = "custom"
      $0.metadata.namespace = "default"
      $0.metadata.labels = ["own": "label"]
      $0.subsets = [
        EndpointSubset { subset in
          subset.addresses = addresses.map { text in EndpointAddress { $0.ip = text } }
          subset.notReadyAddresses = notReady.map { text in EndpointAddress { $0.ip = text } }
          subset.ports = [
            EndpointPort {
              $0.name = "web"
              $0.port = port
              $0.protocol = "TCP"
            }
          ]
        }
      ]
    }
  }

  private func service(_ selector: [String: String] = [:]) -> Service {
    Service {
      $0.metadata.name = "custom"
      $0.metadata.namespace = "default"
      $0.spec.selector = selector
    }
  }

  @Test func onlyWhatSomebodyWroteIsMirrored() {
    #expect(EndpointSliceMirror.isWanted(endpoints(["10.0.0.1"]), service()))
    #expect(!EndpointSliceMirror.isWanted(endpoints(["10.0.0.1"]), service(["a": "b"])))
    #expect(!EndpointSliceMirror.isWanted(endpoints(["10.0.0.1"]), nil))
    var skipped = endpoints(["10.0.0.1"])
    skipped.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true"
    #expect(!EndpointSliceMirror.isWanted(skipped, service()))
  }

  @Test func familiesAndReadinessAreKept() throws {
    let mirror = EndpointSliceMirror.decide(endpoints(["10.0.0.1", "fd00::1"], notReady: ["10.0.0.2"]), slices: [])
    #expect(mirror.create.map(\.addressType) == ["IPv4", "IPv6"])
    let first = try #require(mirror.create.first)
    #expect(first.endpoints.map(\.addresses) == [["10.0.0.1"], ["10.0.0.2"]])
    #expect(first.endpoints.map(\.conditions.ready) == [true, false])
    #expect(first.metadata.labels["kubernetes.io/service-name"] == "custom")
    #expect(first.metadata.labels["own"] == "label")
    // What is right is left alone; what is not is changed, not made anew.
    let same = EndpointSliceMirror.decide(
      endpoints(["10.0.0.1", "fd00::1"], notReady: ["10.0.0.2"]), slices: mirror.create)
    #expect(same.create.isEmpty && same.update.isEmpty && same.delete.isEmpty)
    let other = EndpointSliceMirror.decide(endpoints(["10.0.0.9"], port: 81), slices: mirror.create)
    #expect(other.create.isEmpty)
    #expect(other.update.map(\.endpoints.count) == [1])
    #expect(other.delete.map(\.addressType) == ["IPv6"])
  }

  @Test func slicesFollowTheEndpoints() async throws {
    try await withControllers(["endpointslice-mirroring-controller"]) { api, client in
      try api.seed(service())
      try api.seed(endpoints(["10.0.0.1"]))
      #expect(await eventually { api.objects(EndpointSlice.self).map(\.endpoints.count) == [1] })
      _ = try api.modify(Endpoints.self, namespace: "default", name: "custom") {
        $0.subsets = endpoints(["10.0.0.1", "10.0.0.2"]).subsets
      }
      #expect(await eventually { api.objects(EndpointSlice.self).map(\.endpoints.count) == [2] })
      try await client.delete(Endpoints.self, namespace: "default", name: "custom")
      #expect(await eventually { api.objects(EndpointSlice.self).isEmpty })
    }
  }
}
