import API
import Testing
import Validation

@Suite struct DeviceTests {
  private let meta = #""metadata":{"name":"n","namespace":"d"}"#

  @Test func claims() throws {
    let good = #"""
      {\#(meta),"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c","allocationMode":"ExactCount",
      "count":1}}],"constraints":[{"requests":["r"],"matchAttribute":"x.io/numa"}],
      "config":[{"requests":["r"],"opaque":{"driver":"x.io","parameters":{"a":1}}}]}}}
      """#
    let claim = try defaulted(ResourceResourceClaim.self, good)
    #expect(validateCreate(claim).map(\.message) == [])
    #expect(changeMessages(claim) { $0.spec.devices.requests[0].name = "q" }.first?.hasPrefix("spec: Invalid") == true)
    #expect(
      try messages(
        ResourceResourceClaim.self,
        #"""
        {\#(meta),"spec":{"devices":{"requests":[{"name":"r"},{"name":"r","exactly":{"allocationMode":"All","count":2}}],
        "constraints":[{"requests":["q"]}],"config":[{"opaque":{"driver":"x.io","parameters":1}}]}}}
        """#) == [
          "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
          "spec.devices.requests[1].exactly.deviceClassName: Required value",
          "spec.devices.requests[1].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
          #"spec.devices.requests[1]: Duplicate value: "r""#,
          #"spec.devices.constraints[0].requests[0]: Invalid value: "q": must be the name of a request in the claim or "#
            + "the name of a request and a subrequest separated by '/'",
          "spec.devices.constraints[0]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is "
            + "required, but multiple fields are set",
          "spec.devices.config[0].opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object",
        ])
    var many = claim
    many.spec.devices.requests = (0..<33).map { i in
      DeviceRequest {
        $0.name = "r\(i)"
        $0.exactly = claim.spec.devices.requests[0].exactly
      }
    }
    #expect(
      validateCreate(many).map(\.message).first
        == "spec.devices.requests: Too many: 33: must have at most 32 items")
    var template = try defaulted(ResourceClaimTemplate.self, "{\(meta)}")
    template.spec.spec = many.spec
    #expect(
      validateCreate(template).map(\.field).first == "spec.spec.devices.requests")
  }

  @Test func claimStatus() throws {
    let claim = try defaulted(
      ResourceResourceClaim.self,
      #"{\#(meta),"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}"#)
    var used = claim
    used.status.reservedFor = [ResourceClaimConsumerReference { $0.uid = "u" }]
    #expect(
      validateUpdate(used, old: claim, subresource: "status").map(\.message) == [
        "status.reservedFor[0].resource: Required value", "status.reservedFor[0].name: Required value",
        "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
      ])
    var given = claim
    given.status.allocation = AllocationResult {
      $0.devices.results = [
        DeviceRequestAllocationResult {
          $0.request = "r"
          $0.driver = "x.io"
          $0.pool = "p"
          $0.device = "d0"
        }
      ]
    }
    #expect(validateUpdate(given, old: claim, subresource: "status").isEmpty)
    var told = given
    told.status.devices = [
      AllocatedDeviceStatus {
        $0.driver = "x.io"
        $0.pool = "p"
        $0.device = "d1"
      }
    ]
    #expect(
      validateUpdate(told, old: given, subresource: "status").map(\.message) == [
        #"status.devices[0]: Invalid value: "x.io/p/d1": must be an allocated device in the claim"#
      ])
    var changed = given
    changed.status.allocation?.devices.results[0].device = "d2"
    #expect(
      validateUpdate(changed, old: given, subresource: "status").first?.message.hasSuffix("field is immutable") == true)
  }

  @Test func slices() throws {
    #expect(
      try messages(
        ResourceSlice.self,
        #"""
        {"metadata":{"name":"s"},"spec":{"driver":"x.io","pool":{"name":"p","resourceSliceCount":0},"nodeName":"a",
        "allNodes":true,"devices":[{"name":"D","attributes":{"a/b/c":{"string":"x"},"v":{"version":"1.0"},"e":{}},
        "capacity":{"m":{"value":"1Gi","requestPolicy":{}}},"taints":[{"key":"k","effect":"Evict"}],
        "bindingConditions":["a"]}]}}
        """#
      ).map { String($0.prefix { $0 != "(" }) } == [
        "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
        #"spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, "#
          + "`perDeviceNodeSelection` is required, but multiple fields are set",
        #"spec.devices[0].name: Invalid value: "D": a lowercase RFC 1123 label must consist of lower case alphanumeric "#
          + "characters or '-', and must start and end with an alphanumeric character ",
        #"spec.devices[0].attributes: Invalid value: "a/b/c": must not contain more than one slash"#,
        #"spec.devices[0].attributes[e]: Invalid value: "": exactly one value must be specified"#,
        #"spec.devices[0].attributes[v].version: Invalid value: "1.0": must be a string compatible with semver.org spec "#
          + "2.0.0",
        "spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true",
        #"spec.devices[0].taints[0].effect: Unsupported value: "Evict": supported values: "NoExecute", "NoSchedule", "#
          + #""None""#,
        "spec.devices[0].bindingFailureConditions: Invalid value: []: bindingFailureConditions are required to use "
          + "bindingConditions",
      ])
    #expect(
      try messages(
        ResourceSlice.self,
        #"""
        {"metadata":{"name":"s"},"spec":{"driver":"x.io","pool":{"name":"p","resourceSliceCount":1},"allNodes":true,
        "devices":[{"name":"d","allowMultipleAllocations":true,"capacity":{"m":{"value":"10","requestPolicy":
        {"default":"3","validRange":{"min":"2","max":"12","step":"2"}}}}}]}}
        """#) == [
          #"spec.devices[0].capacity[m].requestPolicy.validRange.max: Invalid value: "12": max is larger than capacity "#
            + "value: 10",
          #"spec.devices[0].capacity[m].requestPolicy.validRange.step: Invalid value: "3": value is not a multiple of a "#
            + "given step (2) from (2)",
        ])
    let slice = try defaulted(
      ResourceSlice.self,
      #"""
      {"metadata":{"name":"s"},"spec":{"driver":"x.io","pool":{"name":"p","resourceSliceCount":1},"nodeName":"a"}}
      """#)
    #expect(
      changeMessages(slice) { $0.spec.nodeName = "b" } == [#"spec.nodeName: Invalid value: "b": field is immutable"#])
  }

  @Test func classes() throws {
    #expect(
      try messages(
        DeviceClass.self, #"{"metadata":{"name":"c"},"spec":{"selectors":[{}],"extendedResourceName":"cpu"}}"#) == [
          "spec.selectors[0].cel: Required value",
          #"spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name"#,
        ])
  }

  @Test func policies() throws {
    #expect(
      try messages(
        MutatingAdmissionPolicy.self,
        #"""
        {"metadata":{"name":"p"},"spec":{"paramKind":{"apiVersion":"a/b/c"},"matchConstraints":{"resourceRules":
        [{"operations":["*","CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]},
        "matchConditions":[{"expression":"true"}],"variables":[{"name":"in","expression":"1"}],
        "mutations":[{"patchType":"JSONPatch","applyConfiguration":{"expression":"x"}},{"patchType":"Other"}]}}
        """#) == [
          #"spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#,
          "spec.paramKind.kind: Required value",
          #"spec.matchConstraints.resourceRules[0].operations: Invalid value: ["*","CREATE"]: if '*' is present, must "#
            + "not specify other operations",
          "spec.matchConditions[0].name: Required value",
          #"spec.variables[0].name: Invalid value: "in": name is not a valid CEL identifier"#,
          "spec.mutations[0].applyConfiguration: Forbidden: must not be specified when patchType is JSONPatch",
          "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
          #"spec.mutations[1].patchType: Unsupported value: "Other": supported values: "ApplyConfiguration", "JSONPatch""#,
        ])
    #expect(
      try messages(
        MutatingAdmissionPolicyBinding.self,
        #"{"metadata":{"name":"b"},"spec":{"paramRef":{"name":"x","selector":{}}}}"#) == [
          "spec.policyName: Required value",
          "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
          "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
          "spec.paramRef.parameterNotFoundAction: Required value",
        ])
  }
}
