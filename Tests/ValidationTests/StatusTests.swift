import API
import Testing
import Validation

/// The messages of what is wrong with a change of status.
private func statusMessages<T: APIObject>(_ old: T, _ change: (inout T) -> Void) -> [String] {
  var new = old
  change(&new)
  return validateUpdate(new, old: old, subresource: "status").map(\.message)
}

@Suite struct StatusTests {
  @Test func counts() throws {
    let controller = try ReplicationController.decode(Array(#"{"metadata":{"name":"r","namespace":"d"}}"#.utf8))
    #expect(
      statusMessages(controller) {
        $0.status.replicas = 1
        $0.status.readyReplicas = 1
        $0.status.availableReplicas = 2
        $0.status.observedGeneration = -1
      } == [
        "status.observedGeneration: Invalid value: -1: must be greater than or equal to 0",
        "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
      ])
    let scaler = try HorizontalPodAutoscaler.decode(Array(#"{"metadata":{"name":"h","namespace":"d"}}"#.utf8))
    #expect(
      statusMessages(scaler) { $0.status.currentReplicas = -1 } == [
        "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0"
      ])
  }

  @Test func conditions() throws {
    let block = try ServiceCIDR.decode(Array(#"{"metadata":{"name":"c"},"spec":{"cidrs":["10.0.0.0/24"]}}"#.utf8))
    // Upstream's own controller gives no reason there.
    #expect(statusMessages(block) { $0.status.conditions = [Condition { $0.type = "Ready" }] }.isEmpty)
    let policy = try ValidatingAdmissionPolicy.decode(Array(#"{"metadata":{"name":"p"}}"#.utf8))
    let found = statusMessages(policy) { $0.status.conditions = [Condition { $0.type = "Ready" }, Condition()] }
    #expect(found.contains("status.conditions[0].lastTransitionTime: Required value"))
    #expect(
      found.contains(
        #"status.conditions[0].status: Unsupported value: "": supported values: "False", "True", "Unknown""#))
    #expect(found.contains("status.conditions[1].reason: Required value"))
    #expect(
      changeMessages(block) { $0.spec.cidrs = ["10.0.1.0/24"] } == [
        #"spec.cidrs: Invalid value: ["10.0.1.0/24"]: field is immutable"#
      ])
    #expect(changeMessages(block) { $0.spec.cidrs.append("fd00::/64") }.isEmpty)
    let schema = try FlowSchema.decode(Array(#"{"metadata":{"name":"f"}}"#.utf8))
    #expect(
      statusMessages(schema) {
        $0.status.conditions = [FlowSchemaCondition { $0.type = "A" }, FlowSchemaCondition { $0.type = "A" }]
      } == [#"status.conditions[1].type: Duplicate value: "A""#])
    #expect(
      statusMessages(policy) {
        $0.status.typeChecking = TypeChecking { $0.expressionWarnings = [ExpressionWarning()] }
      } == [
        "status.typeChecking.expressionWarnings[0].warning: Required value",
        "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
      ])
    let service = try APIService.decode(Array(#"{"metadata":{"name":"v1.x.y"}}"#.utf8))
    #expect(
      statusMessages(service) { $0.status.conditions = [APIServiceCondition { $0.status = "Maybe" }] } == [
        #"status.conditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown""#
      ])
  }

  @Test func storedVersionsOfDefinitions() throws {
    let definition = try CustomResourceDefinition.decode(
      Array(
        #"""
        {"metadata":{"name":"ts.x.io"},"spec":{"versions":[{"name":"v1","storage":true}]},
        "status":{"storedVersions":["v1"]}}
        """#.utf8))
    #expect(statusMessages(definition) { $0.status.observedGeneration = 3 }.isEmpty)
    #expect(
      statusMessages(definition) { $0.status.storedVersions = [] } == [
        "status.storedVersions: Invalid value: []: must have at least one stored version"
      ])
    #expect(
      statusMessages(definition) { $0.status.storedVersions.append("v0") }.first?.hasPrefix(
        #"status.storedVersions[1]: Invalid value: "v0": missing from spec.versions; v0 was previously"#) == true)
  }

  @Test func certificateRequests() throws {
    let request = try defaulted(
      CertificateSigningRequest.self,
      #"""
      {"metadata":{"name":"Any:Name"},"spec":{"request":"eA==","signerName":"example.com/s","usages":["client auth"]}}
      """#)
    #expect(validateCreate(request).isEmpty)
    let approved = CertificateSigningRequestCondition {
      $0.type = "Approved"
      $0.status = "True"
    }
    #expect(
      statusMessages(request) { $0.status.conditions = [approved] } == [
        #"status.conditions: Forbidden: updates may not add a condition of type "Approved""#
      ])
    var agreed = request
    agreed.status.conditions = [approved]
    #expect(validateUpdate(agreed, old: request, subresource: "approval").isEmpty)
    #expect(
      statusMessages(agreed) { $0.status.conditions = [] } == [
        #"status.conditions: Forbidden: updates may not remove a condition of type "Approved""#
      ])
    #expect(
      validateUpdate(
        {
          var both = agreed
          both.status.conditions.append(
            CertificateSigningRequestCondition {
              $0.type = "Denied"
              $0.status = "True"
            })
          return both
        }(), old: agreed, subresource: "approval"
      ).map(\.message) == [
        #"status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive"#
      ])
    #expect(
      statusMessages(agreed) { $0.status.certificate = Base64Bytes(Array("x".utf8)) } == [
        #"status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block"#
      ])
    let block = Base64Bytes(Array("-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n".utf8))
    #expect(statusMessages(agreed) { $0.status.certificate = block }.isEmpty)
    #expect(
      changeMessages(agreed) { $0.status.certificate = block } == [
        "status.certificate: Forbidden: updates may not set certificate content"
      ])
    #expect(
      try messages(
        CertificateSigningRequest.self,
        #"{"metadata":{"name":"c"},"spec":{"request":"eA==","signerName":"a/b/c","usages":["x","x"]}}"#
      ).last
        == #"spec.signerName: Invalid value: "a/b/c": must be a fully qualified domain and path of the form "#
        + "'example.com/signer-name'")
  }
}
