import API
import APIMachinery
import StorageSQLite
import Testing

@testable import APIServer

@Suite struct RegistryVersionTests {
  @Test func autoscalersAreServedInBothVersions() async throws {
    try await RegistryHarness.with { harness in
      let path = "/namespaces/default/horizontalpodautoscalers"
      try await harness.create(
        "/apis/autoscaling/v1" + path,
        #"{"metadata":{"name":"h"},"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"web","apiVersion":"apps/v1"},"targetCPUUtilizationPercentage":60}}"#
      )
      let new = try await harness.call("GET", "/apis/autoscaling/v2" + path + "/h").json()
      let metric = new["spec"]?["metrics"]?.arrayValue?.first
      #expect(metric?["resource"]?["name"] == "cpu")
      #expect(metric?["resource"]?["target"]?["averageUtilization"] == 60)
      let old = try await harness.call("GET", "/apis/autoscaling/v1" + path + "/h").json()
      #expect(old["apiVersion"] == "autoscaling/v1")
      #expect(old["spec"]?["targetCPUUtilizationPercentage"] == 60)
      #expect(old["spec"]?["metrics"] == nil)
      let list = try await harness.call("GET", "/apis/autoscaling/v1" + path).json()
      #expect(list["items"]?.arrayValue?.first?["spec"]?["targetCPUUtilizationPercentage"] == 60)
    }
  }

  /// A printer that shifts or forgets a cell shows under another column's title.
  @Test func everyKindHasACellForEachColumn() async throws {
    try await RegistryHarness.with { harness in
      var kinds = 0
      for info in builtInResources {
        guard let resource = harness.registry.resource(info.group, info.version, info.resource),
          resource.cache != nil, let type = resource.type
        else { continue }
        var object = type.init()
        object.metadata.name = "x"
        let cached = CachedObject(key: "x", bytes: object.encoded(), revision: 1, index: nil)
        let request = RegistryHarness.request(
          "GET", "/api/v1/pods", "", type: "", accept: "", user: .apiServer)
        let bytes = try harness.registry.table(resource, [cached], version: "1", request)
        let table = try JSONValue(parsing: bytes)
        let columns = table["columnDefinitions"]?.arrayValue ?? []
        let cells = table["rows"]?.arrayValue?.first?["cells"]?.arrayValue ?? []
        #expect(cells.count == columns.count, "\(info.kind)")
        let nameAt = columns.firstIndex { $0["name"] == "Name" }
        #expect(nameAt.map { cells[$0] } == "x", "\(info.kind)")
        if let ageAt = columns.firstIndex(where: { $0["name"] == "Age" }) {
          #expect(cells[ageAt] == "<unknown>", "\(info.kind)")
        }
        kinds += 1
      }
      #expect(kinds > 50)
    }
  }

  @Test func whatBelongsToEveryClusterIsThere() async throws {
    try await RegistryHarness.with { harness in
      let namespaces = names(try await harness.call("GET", "/api/v1/namespaces").json())
      #expect(namespaces == ["default", "kube-node-lease", "kube-public", "kube-system"])
      let classes = names(try await harness.call("GET", "/apis/scheduling.k8s.io/v1/priorityclasses").json())
      #expect(classes == ["system-cluster-critical", "system-node-critical"])
      let reconciler = EndpointReconciler(registry: harness.registry)
      try await reconciler.reconcile()
      let slice = try await harness.call(
        "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
      ).json()
      #expect(slice["endpoints"]?.arrayValue?.first?["addresses"] == ["192.0.2.1"])
      // A second start finds it all in place and writes nothing.
      let before = harness.storage.currentRevision
      let again = try Registry(
        storage: harness.storage, configuration: harness.registry.configuration, logger: harness.registry.logger)
      try await again.start()
      again.stop()
      #expect(harness.storage.currentRevision == before)
      // A second server appears beside the first, and takes itself out again.
      var other = harness.registry.configuration
      other.advertiseAddress = "192.0.2.2"
      let second = try Registry(storage: harness.storage, configuration: other, logger: harness.registry.logger)
      try await second.start()
      func addresses() -> [String] {
        harness.registry.list(EndpointSlice.self, namespace: "default").first { $0.metadata.name == "kubernetes" }?
          .endpoints.flatMap(\.addresses) ?? []
      }
      try await EndpointReconciler(registry: second).reconcile()
      #expect(addresses() == ["192.0.2.1", "192.0.2.2"])
      await EndpointReconciler(registry: second).withdraw()
      #expect(addresses() == ["192.0.2.1"])
      // The last one leaves the endpoints as they are.
      await reconciler.withdraw()
      #expect(addresses() == ["192.0.2.1"])
      second.stop()
    }
  }
}
