import API
import APIMachinery
import Testing

@testable import APIServer

@Suite struct RegistryPodTests {
  private let pods = "/api/v1/namespaces/default/pods"
  private let plain = #"{"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#

  private func bound(_ harness: RegistryHarness) async throws {
    try await harness.serviceAccount()
    try await harness.create(pods, plain)
    let answer = await harness.call("POST", pods + "/p/binding", #"{"target":{"kind":"Node","name":"n1"}}"#)
    #expect(answer.status == 201)
  }

  @Test func admissionCompletesAPod() async throws {
    try await RegistryHarness.with { harness in
      try await harness.serviceAccount()
      let pod = try await harness.create(pods, plain)
      #expect(pod["spec"]?["serviceAccountName"] == "default")
      #expect(pod["spec"]?["priority"] == 0)
      #expect(pod["spec"]?["tolerations"]?.arrayValue?.count == 2)
      let volume = try #require(pod["spec"]?["volumes"]?.arrayValue?.first)
      let volumeName = try #require(volume["name"]?.stringValue)
      #expect(volumeName.hasPrefix("kube-api-access-") && volumeName.count == 21)
      let mount = pod["spec"]?["containers"]?.arrayValue?.first?["volumeMounts"]?.arrayValue?.first
      #expect(mount?["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount")
      #expect(mount?["readOnly"] == true)
      #expect(pod["status"]?["phase"] == "Pending")
      #expect(pod["status"]?["qosClass"] == "BestEffort")
    }
  }

  @Test func missingAccountsAndClassesAreRefused() async throws {
    try await RegistryHarness.with { harness in
      let none = await harness.call(
        "POST", pods,
        #"{"metadata":{"name":"p"},"spec":{"serviceAccountName":"ghost","containers":[{"name":"c","image":"i"}]}}"#)
      #expect(none.status == 403)
      #expect(
        none.message == "pods \"p\" is forbidden: error looking up service account default/ghost: "
          + "serviceaccount \"ghost\" not found")
    }
  }

  @Test func bindingAssignsOnce() async throws {
    try await RegistryHarness.with { harness in
      try await bound(harness)
      let pod = try await harness.call("GET", pods + "/p").json()
      #expect(pod["spec"]?["nodeName"] == "n1")
      #expect(pod["status"]?["conditions"]?.arrayValue?.first?["type"] == "PodScheduled")
      let again = await harness.call("POST", pods + "/p/binding", #"{"target":{"kind":"Node","name":"n2"}}"#)
      #expect(again.status == 409)
      #expect(
        again.message
          == #"Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1""#)
      let mine = try await harness.call("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").json()
      #expect(names(mine) == ["p"])
      let others = try await harness.call("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2").json()
      #expect(names(others) == [])
    }
  }

  @Test func deletionIsGraceful() async throws {
    try await RegistryHarness.with { harness in
      try await bound(harness)
      let marked = try await harness.call("DELETE", pods + "/p").json()
      #expect(marked["metadata"]?["deletionGracePeriodSeconds"] == 30)
      let shorter = try await harness.call("DELETE", pods + "/p", #"{"gracePeriodSeconds":5}"#).json()
      #expect(shorter["metadata"]?["deletionGracePeriodSeconds"] == 5)
      let longer = try await harness.call("DELETE", pods + "/p", #"{"gracePeriodSeconds":60}"#).json()
      #expect(longer["metadata"]?["deletionGracePeriodSeconds"] == 5)
      let gone = await harness.call("DELETE", pods + "/p", #"{"gracePeriodSeconds":0}"#)
      #expect(gone.status == 200)
      #expect(await harness.call("GET", pods + "/p").status == 404)
    }
  }

  @Test func evictionHonoursBudgets() async throws {
    try await RegistryHarness.with { harness in
      try await bound(harness)
      let running = await harness.call(
        "PUT", pods + "/p/status",
        #"{"metadata":{"name":"p","labels":{"a":"b"}},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#
      )
      #expect(running.status == 200, "\(running.text)")
      let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
      let budget = try await harness.create(
        budgets, #"{"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"a":"b"}}}}"#)
      var status = budget
      status["status"] = .object([
        "observedGeneration": 1, "disruptionsAllowed": 0, "desiredHealthy": 1, "currentHealthy": 1, "expectedPods": 1,
      ])
      let written = await harness.call("PUT", budgets + "/b/status", String(decoding: status.encoded(), as: UTF8.self))
      #expect(written.status == 200, "\(written.text)")
      let refused = await harness.call("POST", pods + "/p/eviction", #"{"metadata":{"name":"p"}}"#)
      #expect(refused.status == 429)
      #expect(refused.message == "Cannot evict pod as it would violate the pod's disruption budget.")
      #expect(await harness.call("DELETE", budgets + "/b").status == 200)
      #expect(await harness.call("POST", pods + "/p/eviction", #"{"metadata":{"name":"p"}}"#).status == 201)
      let pod = try await harness.call("GET", pods + "/p").json()
      #expect(pod["metadata"]?["deletionTimestamp"] != nil)
    }
  }

  @Test func tokensAreIssued() async throws {
    try await RegistryHarness.with { harness in
      try await harness.serviceAccount()
      let path = "/api/v1/namespaces/default/serviceaccounts/default/token"
      let token = await harness.call("POST", path, #"{"spec":{"audiences":["a"],"expirationSeconds":3600}}"#)
      #expect(token.status == 201)
      #expect(try token.json()["status"]?["token"] == "token-for-default-default-")
      #expect(await harness.call("POST", path, #"{"spec":{"expirationSeconds":60}}"#).status == 422)
    }
  }

  @Test func podTablesSumUpAPod() async throws {
    try await RegistryHarness.with { harness in
      try await bound(harness)
      _ = await harness.call(
        "PUT", pods + "/p/status",
        #"""
        {"metadata":{"name":"p"},"status":{"phase":"Running","podIP":"10.1.1.1","containerStatuses":[{"name":"c",
        "image":"i","imageID":"","restartCount":3,"ready":false,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}
        """#)
      let table = try await harness.call(
        "GET", pods, accept: "application/json;as=Table;v=v1;g=meta.k8s.io"
      ).json()
      let cells = try #require(table["rows"]?.arrayValue?.first?["cells"]?.arrayValue)
      #expect(cells.prefix(4) == ["p", "0/1", "CrashLoopBackOff", "3"])
      #expect(cells[5...] == ["10.1.1.1", "n1", "<none>", "<none>"])
    }
  }
}
