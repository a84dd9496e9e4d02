import API
import APIMachinery
import PKI
import Testing

@testable import APIServer

@Suite struct NodeRestrictionTests {
  private let kubelet = RequestUser(name: "system:node:n1", groups: ["system:nodes", "system:authenticated"])
  private let pods = "/api/v1/namespaces/default/pods"

  private func with(_ body: (RegistryHarness) async throws -> Void) async throws {
    var configuration = RegistryConfiguration()
    configuration.enabledPlugins = ["NodeRestriction"]
    try await RegistryHarness.with(configuration) { harness in
      try await harness.serviceAccount()
      for name in ["n1", "n2"] {
        try await harness.create("/api/v1/nodes", #"{"metadata":{"name":"\#(name)"}}"#)
        try await harness.create(
          pods,
          #"{"metadata":{"name":"on-\#(name)"},"spec":{"nodeName":"\#(name)","containers":[{"name":"c","image":"i"}]}}"#
        )
      }
      try await body(harness)
    }
  }

  private func refused(
    _ harness: RegistryHarness, _ method: String, _ path: String, _ body: String = "", _ message: String,
    type: String = "application/merge-patch+json", location: SourceLocation = #_sourceLocation
  ) async {
    let answer = await harness.call(
      method, path, body, type: method == "PATCH" ? type : "application/json", user: kubelet)
    #expect(answer.status == 403, sourceLocation: location)
    #expect(answer.message.hasSuffix(message), "\(answer.message)", sourceLocation: location)
  }

  @Test func anotherNodeIsNotTouched() async throws {
    try await with { harness in
      await refused(
        harness, "PATCH", "/api/v1/nodes/n2", #"{"metadata":{"annotations":{"a":"b"}}}"#,
        #"nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2""#)
      await refused(
        harness, "PATCH", "/api/v1/nodes/n2/status", #"{"status":{"phase":"x"}}"#,
        #"node "n1" is not allowed to modify node "n2""#)
      let own = await harness.call(
        "PATCH", "/api/v1/nodes/n1", #"{"metadata":{"annotations":{"network.apus.dev/x":"y"}}}"#,
        type: "application/merge-patch+json", user: kubelet)
      #expect(own.status == 200)
    }
  }

  @Test(arguments: [
    "node-restriction.kubernetes.io/a", "x.node-restriction.kubernetes.io/a", "node-role.kubernetes.io/worker",
    "kubernetes.io/other", "some.k8s.io/thing",
  ])
  func labelsThatSteerWorkloadsAreNotForTheNode(_ label: String) async throws {
    try await with { harness in
      await refused(
        harness, "PATCH", "/api/v1/nodes/n1", #"{"metadata":{"labels":{"\#(label)":"x"}}}"#,
        #"nodes "n1" is forbidden: is not allowed to modify labels: \#(label)"#)
    }
  }

  @Test func labelsOfTheKubeletAndOfUsersAreItsOwn() {
    let fine = [
      "kubernetes.io/hostname": "a", "topology.kubernetes.io/zone": "b", "kubelet.kubernetes.io/x": "c",
      "a.node.kubernetes.io/x": "d", "example.com/role": "e", "disk": "ssd",
    ]
    #expect(NodeRestriction.forbiddenLabels(fine, [:]).isEmpty)
    // What does not change may stay.
    let role = ["node-role.kubernetes.io/control-plane": ""]
    #expect(NodeRestriction.forbiddenLabels(role, role).isEmpty)
    #expect(NodeRestriction.forbiddenLabels([:], role) == ["node-role.kubernetes.io/control-plane"])
  }

  @Test func taintsAreNotForTheNode() async throws {
    try await with { harness in
      await refused(
        harness, "PATCH", "/api/v1/nodes/n1", #"{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}"#,
        #"node "n1" is not allowed to modify taints"#)
    }
  }

  @Test func onlyMirrorPodsOfItsOwnAreCreated() async throws {
    try await with { harness in
      let spec = #""spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}"#
      await refused(
        harness, "POST", pods, #"{"metadata":{"name":"a"},\#(spec)}"#,
        #"pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods"#)
      let mirror = #""annotations":{"kubernetes.io/config.mirror":"x"}"#
      await refused(
        harness, "POST", pods, #"{"metadata":{"name":"a",\#(mirror)},\#(spec)}"#,
        #"node "n1" can only create pods with an owner reference set to itself"#)
      let node = await harness.call("GET", "/api/v1/nodes/n1")
      let uid = try node.json()["metadata"]?["uid"]?.stringValue ?? ""
      func owner(_ uid: String) -> String {
        #""ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n1","uid":"\#(uid)","controller":true}]"#
      }
      await refused(
        harness, "POST", pods, #"{"metadata":{"name":"a",\#(mirror),\#(owner("other"))},\#(spec)}"#,
        "node n1 UID mismatch: expected other got \(uid)")
      await refused(
        harness, "POST", pods,
        #"""
        {"metadata":{"name":"a",\#(mirror),\#(owner(uid))},"spec":{"nodeName":"n1",
        "containers":[{"name":"c","image":"i","envFrom":[{"secretRef":{"name":"s"}}]}]}}
        """#, #"node "n1" can not create pods that reference secrets"#)
      let good = await harness.call(
        "POST", pods, #"{"metadata":{"name":"a",\#(mirror),\#(owner(uid))},\#(spec)}"#, user: kubelet)
      #expect(good.status == 201, "\(good.message)")
    }
  }

  @Test func podsOfOtherNodesAreNotTouched() async throws {
    try await with { harness in
      await refused(
        harness, "PATCH", pods + "/on-n2/status", #"{"status":{"phase":"Running"}}"#,
        #"node "n1" can only update pod status for pods with spec.nodeName set to itself"#)
      await refused(
        harness, "PATCH", pods + "/on-n1/status", #"{"metadata":{"labels":{"a":"b"}}}"#,
        #"node "n1" cannot update labels through pod status"#)
      await refused(
        harness, "DELETE", pods + "/on-n2", "",
        #"node "n1" can only delete pods with spec.nodeName set to itself"#)
      await refused(
        harness, "POST", pods + "/on-n2/eviction", #"{"metadata":{"name":"on-n2"}}"#,
        "node n1 can only evict pods with spec.nodeName set to itself")
      await refused(
        harness, "PATCH", pods + "/on-n1", #"{"metadata":{"annotations":{"a":"b"}}}"#,
        #"unexpected operation "UPDATE", node "n1" can only create and delete mirror pods"#)
    }
  }

  @Test func leasesOfOtherNodesAreNotTouched() async throws {
    try await with { harness in
      await refused(
        harness, "POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
        #"{"metadata":{"name":"n2"}}"#, "can only access node lease with the same name as the requesting node")
      await refused(
        harness, "POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        #"{"metadata":{"name":"n1"}}"#, #"can only access leases in the "kube-node-lease" system namespace"#)
    }
  }

  @Test func onlyTheSliceOfItsOwnDNSIsWritten() async throws {
    try await with { harness in
      let path = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
      func slice(_ name: String) -> String {
        #"{"metadata":{"name":"\#(name)"},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}]}"#
      }
      await refused(
        harness, "POST", path, slice("kube-dns-n2"),
        #"node "n1" can only write the EndpointSlice "kube-system/kube-dns-n1""#)
      let own = await harness.call("POST", path, slice("kube-dns-n1"), user: kubelet)
      #expect(own.status == 201, "\(own.message)")
    }
  }

  @Test func tokensAreForItsOwnPodsOnly() async throws {
    try await with { harness in
      let path = "/api/v1/namespaces/default/serviceaccounts/default/token"
      await refused(harness, "POST", path, #"{"spec":{}}"#, "node requested token not bound to a pod")
      func bound(_ name: String, _ uid: String) -> String {
        #"{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"\#(name)","uid":"\#(uid)"}}}"#
      }
      await refused(
        harness, "POST", path, bound("on-n1", ""), "node requested token with a pod binding without a uid")
      func uid(_ name: String) async throws -> String {
        try await harness.call("GET", pods + "/\(name)").json()["metadata"]?["uid"]?.stringValue ?? ""
      }
      await refused(
        harness, "POST", path, bound("on-n2", try await uid("on-n2")),
        "node requested token bound to a pod scheduled on a different node")
      let own = await harness.call("POST", path, bound("on-n1", try await uid("on-n1")), user: kubelet)
      #expect(own.status == 201, "\(own.message)")
    }
  }

  @Test func approvalIsKeptWithItsRequest() async throws {
    try await with { harness in
      let made = try SigningRequest.create(commonName: "system:node:n1", organizations: ["system:nodes"])
      let text = Base64Bytes(Array(made.requestPEM.utf8)).base64
      let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
      try await harness.create(
        path,
        #"""
        {"metadata":{"name":"r"},"spec":{"request":"\#(text)","usages":["client auth","digital signature"],
        "signerName":"kubernetes.io/kube-apiserver-client-kubelet"}}
        """#)
      var request = try await harness.call("GET", path + "/r").json()
      request["status"] = .object([
        "conditions": .array([
          .object([
            "type": .string("Approved"), "status": .string("True"), "reason": .string("x"), "message": .string("y"),
          ])
        ])
      ])
      let answer = await harness.call("PUT", path + "/r/approval", String(decoding: request.encoded(), as: UTF8.self))
      #expect(answer.status == 200, "\(answer.message)")
      let stored = try await harness.call("GET", path + "/r").json()
      #expect(stored["status"]?["conditions"]?.arrayValue?.first?["type"] == "Approved")
    }
  }
}
