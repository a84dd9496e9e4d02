import API
import APIMachinery
import HTTP
import PKI
import Testing

@testable import APIServer

@Suite struct RegistryWarningTests {
  private let pods = "/api/v1/namespaces/default/pods"
  private let services = "/api/v1/namespaces/default/services"
  private let warned = #"299 - "spec.externalName is ignored when spec.type is not \"ExternalName\"""#

  private func service(_ externalName: String) -> String {
    #"""
    {"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":80}],
    "externalName":"\#(externalName)"}}
    """#
  }

  @Test func everyWriterIsWarned() async throws {
    try await RegistryHarness.with { harness in
      let made = await harness.call("POST", services, service("a"))
      #expect(made.status == 201 && made.headers["warning"] == warned, "\(made.text)")
      let put = await harness.call("PUT", services + "/s", service("b"))
      #expect(put.status == 200 && put.headers["warning"] == warned, "\(put.text)")
      let patched = await harness.call(
        "PATCH", services + "/s", #"{"spec":{"externalName":"c"}}"#, type: "application/merge-patch+json")
      #expect(patched.status == 200 && patched.headers["warning"] == warned, "\(patched.text)")
      let applied = await harness.call(
        "PATCH", services + "/s?fieldManager=m&force=true", service("d"), type: "application/apply-patch+yaml")
      #expect(applied.status == 200 && applied.headers["warning"] == warned, "\(applied.text)")
      let refused = await harness.call("POST", services, #"{"metadata":{"name":"t"},"spec":{"externalName":"x"}}"#)
      #expect(refused.status == 422 && refused.headers["warning"] == nil)
    }
  }

  @Test func applyWarnsOfDuplicateFields() async throws {
    try await RegistryHarness.with { harness in
      let maps = "/api/v1/namespaces/default/configmaps"
      let type = "application/apply-patch+yaml"
      let twice = #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","k":"2"}}"#
      let applied = await harness.call(
        "PATCH", maps + "/a?fieldManager=m&fieldValidation=Warn", twice, type: type)
      #expect(
        applied.status == 201 && applied.headers["warning"] == #"299 - "duplicate field \"data.k\"""#,
        "\(applied.text)")
      // What the schema does not know cannot be owned, whatever the client wants to hear of it.
      let unknown = await harness.call(
        "PATCH", maps + "/b?fieldManager=m&fieldValidation=Warn",
        #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"more":1}"#, type: type)
      #expect(unknown.status == 500 && unknown.message.hasSuffix(".more: field not declared in schema"))
    }
  }

  @Test func patchesMustBeOfTheirForm() async throws {
    try await RegistryHarness.with { harness in
      try await harness.create(services, service("a"))
      let json = await harness.call("PATCH", services + "/s", "{}", type: "application/json-patch+json")
      #expect(json.status == 400)
      #expect(
        json.message
          == "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp")
      let merge = await harness.call("PATCH", services + "/s", "[]", type: "application/merge-patch+json")
      #expect(
        merge.message
          == "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}")
    }
  }

  @Test func statusLeavesMetadataAlone() async throws {
    try await RegistryHarness.with { harness in
      let attachments = "/apis/storage.k8s.io/v1/volumeattachments"
      try await harness.create(
        attachments,
        #"""
        {"metadata":{"name":"a","labels":{"k":"1"}},"spec":{"attacher":"x.io","nodeName":"n",
        "source":{"persistentVolumeName":"v"}}}
        """#)
      let answer = await harness.call(
        "PATCH", attachments + "/a/status",
        #"{"metadata":{"labels":{"k":"2"},"annotations":{"a":"b"}},"spec":{"nodeName":"m"},"status":{"attached":true}}"#,
        type: "application/merge-patch+json")
      #expect(answer.status == 200, "\(answer.text)")
      let stored = try answer.json()
      #expect(stored["status"]?["attached"] == true && stored["spec"]?["nodeName"] == "n")
      #expect(stored["metadata"]?["labels"] == ["k": "1"] && stored["metadata"]?["annotations"] == nil)
      let long = String(repeating: "x", count: 1025)
      let refused = await harness.call(
        "PATCH", attachments + "/a/status", #"{"status":{"attachError":{"message":"\#(long)"}}}"#,
        type: "application/merge-patch+json")
      #expect(refused.status == 422 && refused.message.contains("status.attachError.message: Too long"))
    }
  }

  @Test func resizesAreChecked() async throws {
    try await RegistryHarness.with { harness in
      try await harness.serviceAccount()
      try await harness.create(
        pods,
        #"""
        {"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"1",
        "memory":"1Gi"}}}]}}
        """#)
      try await harness.create(
        pods,
        #"""
        {"metadata":{"name":"q"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"1"}}}],
        "initContainers":[{"name":"i","image":"i"}]}}
        """#)
      func resize(_ body: String, of pod: String = "p") async -> Answer {
        await harness.call("PATCH", pods + "/\(pod)/resize", body, type: "application/strategic-merge-patch+json")
      }
      let fine = await resize(#"{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"2"}}}]}}"#)
      #expect(fine.status == 200, "\(fine.text)")
      let removed = await resize(#"{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":null}}}]}}"#)
      #expect(
        removed.message.contains(
          "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"), "\(removed.text)")
      let promoted = await resize(
        #"{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"2","memory":"1Gi"}}}]}}"#)
      #expect(promoted.message.contains("Pod QOS Class may not change as a result of resizing"), "\(promoted.text)")
      let first = await resize(
        #"{"spec":{"initContainers":[{"name":"i","resources":{"requests":{"cpu":"1"}}}]}}"#, of: "q")
      #expect(
        first.message.contains("spec: Forbidden: resources for non-sidecar init containers are immutable"),
        "\(first.text)")
    }
  }

  @Test func trustAnchorsAreRead() async throws {
    let authority = try CertificateAuthority.create(commonName: "root")
    func bundle(_ text: String) -> DynamicObject {
      DynamicObject(
        apiVersion: "certificates.k8s.io/v1beta1", kind: "ClusterTrustBundle",
        content: ["spec": ["trustBundle": .string(text)]])
    }
    let pem = authority.certificatePEM
    #expect(CertificateChecks.errors(bundle(pem), old: nil).isEmpty)
    #expect(
      CertificateChecks.errors(bundle("nothing"), old: nil).map(\.message) == [
        #"spec.trustBundle: Invalid value: "<value omitted>": at least one trust anchor must be provided"#
      ])
    #expect(CertificateChecks.errors(bundle("nothing"), old: bundle("nothing")).isEmpty)
    #expect(
      CertificateChecks.errors(bundle(pem + "\n" + pem), old: nil).first?.detail
        == "duplicate trust anchor (indices [0 1])")
    #expect(
      CertificateChecks.errors(bundle("-----BEGIN X-----\neA==\n-----END X-----\n"), old: nil).first?.detail
        == "entry 0 has bad block type: X")
  }

  @Test func tablesShowPolicies() async throws {
    try await RegistryHarness.with { harness in
      let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
      try await harness.create(
        policies,
        #"""
        {"metadata":{"name":"p"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],
        "apiVersions":["v1"],"resources":["pods"]}]},"reinvocationPolicy":"Never","mutations":[{"patchType":"JSONPatch",
        "jsonPatch":{"expression":"[JSONPatch{op: \"remove\", path: \"/metadata/labels\"}]"}}]}}
        """#)
      let table = await harness.call(
        "GET", policies, accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
      let cells = try table.json()["rows"]?.arrayValue?.first?["cells"]?.arrayValue
      #expect(cells?.prefix(3) == ["p", 1, "<unset>"], "\(table.text)")
    }
  }

  @Test func deviceSelectorsAreCompiled() async throws {
    func group(_ expression: String) throws -> DeviceClass {
      DeviceClass { $0.spec.selectors = [DeviceSelector { $0.cel = CELDeviceSelector { $0.expression = expression } }] }
    }
    let fine = try group(#"device.driver == "x.io" && device.attributes["x.io"].?size.orValue(0) > 1"#)
    #expect(DeviceExpressions.errors(fine, old: nil).isEmpty)
    let number = try group("1 + 1")
    #expect(
      DeviceExpressions.errors(number, old: nil).map(\.message) == [
        #"spec.selectors[0].cel.expression: Invalid value: "1 + 1": must evaluate to bool"#
      ])
    #expect(DeviceExpressions.errors(number, old: number).isEmpty)
    #expect(
      DeviceExpressions.errors(try group("device.size"), old: nil).first?.detail.hasPrefix(
        "compilation failed: ERROR: <input>:1:7: undefined field 'size'") == true)
  }
}
