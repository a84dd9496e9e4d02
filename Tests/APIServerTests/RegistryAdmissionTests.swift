import API
import APIMachinery
import Testing

@testable import APIServer

@Suite struct RegistryAdmissionTests {
  private let kubelet = RequestUser(name: "system:node:n1", groups: ["system:nodes", "system:authenticated"])
  private let pods = "/api/v1/namespaces/default/pods"

  @Test func kubeletsKeepToTheirNode() async throws {
    var configuration = RegistryConfiguration()
    configuration.enabledPlugins = ["NodeRestriction"]
    try await RegistryHarness.with(configuration) { harness in
      let other = await harness.call("POST", "/api/v1/nodes", #"{"metadata":{"name":"n2"}}"#, user: kubelet)
      #expect(other.status == 403)
      #expect(
        other.message == #"nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2""#)
      let role = await harness.call(
        "POST", "/api/v1/nodes",
        #"{"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/control-plane":""}}}"#, user: kubelet)
      #expect(role.status == 403)
      let own = await harness.call(
        "POST", "/api/v1/nodes", #"{"metadata":{"name":"n1","labels":{"kubernetes.io/hostname":"n1"}}}"#,
        user: kubelet)
      #expect(own.status == 201)
      let taints = try own.json()["spec"]?["taints"]?.arrayValue
      #expect(taints?.first?["key"] == "node.kubernetes.io/not-ready")
      try await harness.serviceAccount()
      try await harness.create(pods, #"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#)
      let status = await harness.call(
        "PATCH", pods + "/p/status", #"{"status":{"phase":"Running"}}"#,
        type: "application/strategic-merge-patch+json", user: kubelet)
      #expect(status.status == 403)
      #expect(
        status.message == "pods \"p\" is forbidden: node \"n1\" can only update pod status for pods with "
          + "spec.nodeName set to itself")
    }
  }

  @Test func limitRangesFillAndHold() async throws {
    try await RegistryHarness.with { harness in
      try await harness.serviceAccount()
      try await harness.create(
        "/api/v1/namespaces/default/limitranges",
        #"{"metadata":{"name":"l"},"spec":{"limits":[{"type":"Container","default":{"cpu":"500m"},"defaultRequest":{"cpu":"100m"},"max":{"cpu":"1"}}]}}"#
      )
      let pod = try await harness.create(
        pods, #"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#)
      let resources = pod["spec"]?["containers"]?.arrayValue?.first?["resources"]
      #expect(resources?["limits"]?["cpu"] == "500m")
      #expect(resources?["requests"]?["cpu"] == "100m")
      #expect(pod["status"]?["qosClass"] == "Burstable")
      let large = await harness.call(
        "POST", pods,
        #"{"metadata":{"name":"q"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"2"}}}]}}"#
      )
      #expect(large.status == 403)
      #expect(
        large.message == "pods \"q\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")
    }
  }

  @Test func defaultClassesAreTaken() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        #"{"metadata":{"name":"fast","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"example.com/p"}"#
      )
      let claim = try await harness.create(
        "/api/v1/namespaces/default/persistentvolumeclaims",
        #"{"metadata":{"name":"c"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#
      )
      #expect(claim["spec"]?["storageClassName"] == "fast")
      #expect(claim["metadata"]?["finalizers"] == ["kubernetes.io/pvc-protection"])
      #expect(claim["status"]?["phase"] == "Pending")
    }
  }

  @Test func prioritiesAreResolved() async throws {
    try await RegistryHarness.with { harness in
      try await harness.serviceAccount()
      let pod = try await harness.create(
        pods,
        #"{"metadata":{"name":"p"},"spec":{"priorityClassName":"system-node-critical","containers":[{"name":"c","image":"i"}]}}"#
      )
      #expect(pod["spec"]?["priority"] == 2_000_001_000)
      let none = await harness.call(
        "POST", pods,
        #"{"metadata":{"name":"q"},"spec":{"priorityClassName":"ghost","containers":[{"name":"c","image":"i"}]}}"#)
      #expect(none.message == "pods \"q\" is forbidden: no PriorityClass with name ghost was found")
    }
  }

  @Test func dryRunUpdatesShowWhatWouldBe() async throws {
    try await RegistryHarness.with { harness in
      let maps = "/api/v1/namespaces/default/configmaps"
      let made = try await harness.create(maps, #"{"metadata":{"name":"a"},"data":{"k":"1"}}"#)
      let dry = try await harness.call(
        "PUT", maps + "/a?dryRun=All", #"{"metadata":{"name":"a"},"data":{"k":"2"}}"#
      ).json()
      #expect(dry["data"]?["k"] == "2")
      #expect(version(dry) == version(made))
      #expect(try await harness.call("GET", maps + "/a").json()["data"]?["k"] == "1")
      let new = try await harness.call("POST", maps + "?dryRun=All", #"{"metadata":{"name":"b"}}"#).json()
      #expect(new["metadata"]?["resourceVersion"] == nil)
      let namespace = try await harness.call("GET", "/api/v1/namespaces/default").json()
      #expect(namespace["status"]?["phase"] == "Active")
    }
  }
}
