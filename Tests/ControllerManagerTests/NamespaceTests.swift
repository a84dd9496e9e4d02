import API
import Client
import Testing

@testable import ControllerManager

@Suite struct NamespaceTests {
  private func namespace(_ name: String) -> Namespace {
    Namespace { $0.metadata.name = name }
  }

  @Test func everyNamespaceGetsAnAccountAndTheRootCA() async throws {
    try await withControllers(
      ["serviceaccount-controller", "root-ca-certificate-publisher-controller"], configure: { $0.rootCA = "CA" }
    ) { api, client in
      try await client.create(namespace("work"))
      #expect(await eventually { api.object(ServiceAccount.self, namespace: "work", name: "default") != nil })
      #expect(
        await eventually {
          api.object(ConfigMap.self, namespace: "work", name: "kube-root-ca.crt")?.data == ["ca.crt": "CA"]
        })
      try await client.delete(ServiceAccount.self, namespace: "work", name: "default")
      #expect(await eventually { api.object(ServiceAccount.self, namespace: "work", name: "default") != nil })
      var map = try await client.get(ConfigMap.self, namespace: "work", name: "kube-root-ca.crt")
      map.data = ["ca.crt": "forged"]
      try await client.update(map)
      #expect(
        await eventually {
          api.object(ConfigMap.self, namespace: "work", name: "kube-root-ca.crt")?.data == ["ca.crt": "CA"]
        })
    }
  }

  @Test func aDyingNamespaceIsEmptiedAndGoes() async throws {
    try await withControllers(["namespace-controller"]) { api, client in
      try await client.create(namespace("work"))
      for index in 0..<3 {
        try await client.create(
          ConfigMap {
            $0.metadata.name = "m\(index)"
            $0.metadata.namespace = "work"
          })
      }
      try await client.create(
        ConfigMap {
          $0.metadata.name = "elsewhere"
          $0.metadata.namespace = "default"
        })
      try await client.delete(Namespace.self, name: "work")
      #expect(await eventually { api.object(Namespace.self, name: "work") == nil })
      #expect(api.objects(ConfigMap.self).map(\.metadata.name) == ["elsewhere"])
    }
  }

  @Test func saysWhatStillHoldsIt() async throws {
    try await withControllers(["namespace-controller"]) { api, client in
      try await client.create(namespace("work"))
      try await client.create(
        ConfigMap {
          $0.metadata.name = "held"
          $0.metadata.namespace = "work"
          $0.metadata.finalizers = ["example.com/hold"]
        })
      try await client.delete(Namespace.self, name: "work")
      #expect(
        await eventually {
          api.object(Namespace.self, name: "work")?.status.conditions
            .condition("NamespaceFinalizersRemaining")?.status == "True"
        })
      let conditions = api.object(Namespace.self, name: "work")?.status.conditions ?? []
      #expect(
        conditions.condition("NamespaceFinalizersRemaining")?.message
          == "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
      #expect(
        conditions.condition("NamespaceContentRemaining")?.message
          == "Some resources are remaining: configmaps. has 1 resource instances")
      #expect(conditions.condition("NamespaceDeletionDiscoveryFailure")?.reason == "ResourcesDiscovered")
    }
  }
}
