import API
import Testing
import Validation

@Suite struct CoreTests {
  private let meta = #""metadata":{"name":"n","namespace":"d"}"#

  @Test func services() throws {
    #expect(try messages(Service.self, #"{\#(meta),"spec":{}}"#) == ["spec.ports: Required value"])
    #expect(
      try messages(Service.self, #"{\#(meta),"spec":{"ports":[{"port":0},{"port":80,"name":"a","nodePort":30000}]}}"#)
        == [
          "spec.ports[0].name: Required value",
          "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
          "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
          "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ])
    var good = try defaulted(Service.self, #"{\#(meta),"spec":{"ports":[{"port":80}]}}"#)
    good.spec.clusterIP = "10.0.0.1"
    good.spec.clusterIPs = ["10.0.0.1"]
    #expect(validateCreate(good).isEmpty)
    #expect(
      changeMessages(good) {
        $0.spec.clusterIP = "10.0.0.2"
        $0.spec.clusterIPs = ["10.0.0.2"]
      } == [#"spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set"#])
    #expect(
      try messages(Service.self, #"{"metadata":{"name":"1a","namespace":"d"},"spec":{"clusterIP":"None"}}"#).first?
        .hasPrefix(#"metadata.name: Invalid value: "1a": a DNS-1035 label must consist of"#) == true)
  }

  @Test func configMapsAndSecrets() throws {
    #expect(
      try messages(ConfigMap.self, #"{\#(meta),"data":{"a b":"x",".":"y"}}"#) == [
        "data[.]: Invalid value: \".\": must not be '.'",
        "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
          + "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      ])
    var big = try defaulted(ConfigMap.self, "{\(meta)}")
    big.data["a"] = String(repeating: "x", count: 1 << 20)
    #expect(validateCreate(big).isEmpty)
    big.data["a"]?.append("x")
    #expect(validateCreate(big).map(\.message) == [": Too long: may not be more than 1048576 bytes"])
    let fixed = try defaulted(ConfigMap.self, #"{\#(meta),"immutable":true,"data":{"a":"b"}}"#)
    #expect(
      changeMessages(fixed) { $0.data = [:] } == [
        "data: Forbidden: field is immutable when `immutable` is set"
      ])
    #expect(
      try messages(Secret.self, #"{\#(meta),"type":"kubernetes.io/tls","data":{"tls.crt":""}}"#) == [
        "data[tls.key]: Required value"
      ])
    let secret = try defaulted(Secret.self, "{\(meta)}")
    #expect(
      changeMessages(secret) { $0.type = "x" } == [#"type: Invalid value: "x": field is immutable"#])
  }

  @Test func volumes() throws {
    #expect(
      try messages(PersistentVolumeClaim.self, #"{\#(meta),"spec":{}}"#) == [
        "spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value",
      ])
    let claim = try defaulted(
      PersistentVolumeClaim.self,
      #"{\#(meta),"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#)
    #expect(validateCreate(claim).isEmpty)
    #expect(changeMessages(claim) { $0.spec.volumeName = "v" } == [])
    #expect(
      changeMessages(claim) { $0.spec.accessModes = ["ReadOnlyMany"] } == [
        "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for "
          + "bound claims"
      ])
    #expect(
      try messages(PersistentVolume.self, #"{"metadata":{"name":"v"},"spec":{"capacity":{"storage":"0"}}}"#) == [
        "spec.accessModes: Required value",
        #"spec.capacity[storage]: Invalid value: "0": must be greater than zero"#,
        "spec: Required value: must specify a volume type",
      ])
  }

  @Test func nodesAndNamespaces() throws {
    let node = try defaulted(Node.self, #"{"metadata":{"name":"n"},"spec":{"podCIDRs":["10.0.0.0/24"]}}"#)
    #expect(
      changeMessages(node) { $0.spec.podCIDRs = ["10.0.1.0/24"] } == [
        "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"
      ])
    #expect(
      try messages(Node.self, #"{"metadata":{"name":"n"},"spec":{"taints":[{"key":"a","effect":"No"}]}}"#) == [
        #"spec.taints[0].effect: Unsupported value: "No": supported values: "NoExecute", "NoSchedule", "#
          + #""PreferNoSchedule""#
      ])
    var space = try defaulted(Namespace.self, #"{"metadata":{"name":"n"}}"#)
    space.status.phase = "Terminating"
    #expect(
      validateStatusUpdate(space, old: space).map(\.message) == [
        #"status.Phase: Invalid value: "Terminating": may only be 'Active' if `deletionTimestamp` is empty"#
      ])
  }

  @Test func endpoints() throws {
    #expect(
      try messages(
        EndpointSlice.self, #"{\#(meta),"addressType":"IPv4","endpoints":[{"addresses":["127.0.0.1"]},{}]}"#) == [
          #"endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, "#
            + "::1/128)",
          "endpoints[1].addresses: Required value: must contain at least 1 address",
        ])
    let own =
      #"{"metadata":{"name":"kubernetes","namespace":"default"},"subsets":[{"addresses":[{"ip":"127.0.0.1"}]}]}"#
    #expect(try messages(Endpoints.self, own) == [])
    #expect(try messages(Endpoints.self, own.replacing("127.0.0.1", with: "0.0.0.0")).count == 1)
  }

  @Test func otherKinds() throws {
    #expect(
      try messages(Role.self, #"{\#(meta),"rules":[{"nonResourceURLs":["/x"]}]}"#) == [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        #"rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs"#,
      ])
    #expect(
      try messages(PriorityClass.self, #"{"metadata":{"name":"p"},"value":2000000000}"#) == [
        "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
      ])
    #expect(
      try messages(NetworkPolicy.self, #"{\#(meta),"spec":{"podSelector":{},"ingress":[{"from":[{}]}]}}"#) == [
        "spec.ingress[0].from[0]: Required value: must specify a peer"
      ])
    #expect(
      try messages(
        Ingress.self,
        #"{\#(meta),"spec":{"rules":[{"http":{"paths":[{"path":"x","pathType":"Prefix","backend":{}}]}}]}}"#)
        == [
          #"spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path"#,
          "spec.rules[0].http.paths[0].backend: Required value: resource or service backend is required",
        ])
    #expect(
      try messages(
        CustomResourceDefinition.self,
        #"{"metadata":{"name":"x.a.io"},"spec":{"group":"a.io","scope":"Namespaced","names":{"plural":"ys","kind":"Y"}}}"#
      ) == [
        #"metadata.name: Invalid value: "x.a.io": must be spec.names.plural+"."+spec.group"#,
        "spec.versions: Invalid value: null: must have exactly one version marked as storage version",
      ])
  }

  @Test func everyStoredKindHasRules() throws {
    // Without a name every stored kind complains; a kind without rules would not.
    for info in builtInResources where info.preferred && info.stage == "ga" && info.verbs.contains("create") {
      let gvk = GroupVersionKind(group: info.group, version: info.version, kind: info.kind)
      let type = try #require(Kinds.type(for: gvk))
      if !info.verbs.contains("get") { continue }
      #expect(validateCreate(type.init()).contains { $0.field == "metadata.name" }, "\(gvk)")
    }
  }
}
