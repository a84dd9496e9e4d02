import API
import APIMachinery
import Testing

@testable import APIServer

@Suite struct AdmissionPluginTests {
  @Test func pluginsComeAndGoByName() {
    func names(_ chain: AdmissionChain) -> Set<String> { Set(chain.plugins.map { "\(type(of: $0))" }) }
    let standard = names(AdmissionChain())
    #expect(standard.contains("PodSecurityAdmission"))
    #expect(!standard.contains("NodeRestriction"))
    let other = names(AdmissionChain(enabled: ["NodeRestriction", "AlwaysDeny"], disabled: ["PodSecurity"]))
    #expect(other.contains("NodeRestriction"))
    #expect(other.contains("AlwaysDeny"))
    #expect(!other.contains("PodSecurityAdmission"))
  }

  @Test func claimsGrowWhereTheirClassLetsThem() async throws {
    try await RegistryHarness.with { harness in
      for (name, grows) in [("fixed", "false"), ("elastic", "true")] {
        let made = await harness.call(
          "POST", "/apis/storage.k8s.io/v1/storageclasses",
          #"{"metadata":{"name":"\#(name)"},"provisioner":"p","allowVolumeExpansion":\#(grows)}"#)
        #expect(made.status == 201)
        _ = await harness.call(
          "POST", "/api/v1/namespaces/default/persistentvolumeclaims",
          #"{"metadata":{"name":"\#(name)"},"spec":{"storageClassName":"\#(name)","accessModes":["ReadWriteOnce"],"volumeName":"v","resources":{"requests":{"storage":"1Gi"}}}}"#
        )
      }
      func grow(_ name: String) async -> Answer {
        await harness.call(
          "PATCH", "/api/v1/namespaces/default/persistentvolumeclaims/\(name)",
          #"{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#, type: "application/merge-patch+json")
      }
      #expect(await grow("elastic").status == 422)
      for name in ["fixed", "elastic"] {
        let bound = await harness.call(
          "PATCH", "/api/v1/namespaces/default/persistentvolumeclaims/\(name)/status",
          #"{"status":{"phase":"Bound"}}"#, type: "application/merge-patch+json")
        #expect(bound.status == 200)
      }
      #expect(await grow("elastic").status == 200)
      let refused = await grow("fixed")
      #expect(refused.status == 403)
      #expect(refused.message.contains("only dynamically provisioned pvc can be resized"))
    }
  }

  @Test func boundPodsCarryTheirZone() async throws {
    try await RegistryHarness.with { harness in
      _ = await harness.call(
        "POST", "/api/v1/nodes",
        #"{"metadata":{"name":"n","labels":{"topology.kubernetes.io/zone":"z1","other":"x"}}}"#)
      _ = await harness.call("POST", "/api/v1/namespaces/default/serviceaccounts", #"{"metadata":{"name":"default"}}"#)
      _ = await harness.call(
        "POST", "/api/v1/namespaces/default/pods",
        #"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#)
      let bound = await harness.call(
        "POST", "/api/v1/namespaces/default/pods/p/binding",
        #"{"metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}}"#)
      #expect(bound.status == 201)
      let pod = try await harness.call("GET", "/api/v1/namespaces/default/pods/p").json()
      #expect(pod["metadata"]?["labels"] == ["topology.kubernetes.io/zone": "z1"])
    }
  }
}
