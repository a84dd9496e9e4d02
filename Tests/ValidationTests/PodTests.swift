import API
import Testing
import Validation

@Suite struct PodTests {
  private func problems(_ spec: String) throws -> [String] {
    try messages(Pod.self, #"{"metadata":{"name":"p","namespace":"d"},"spec":{\#(spec)}}"#)
  }

  private func container(_ text: String) throws -> [String] {
    try problems(#""containers":[{"name":"c","image":"i"\#(text)}]"#)
  }

  @Test func aPlainPodIsFine() throws { #expect(validateCreate(try pod()).isEmpty) }

  @Test func containersAreNamedAndHaveImages() throws {
    #expect(try problems("") == ["spec.containers: Required value"])
    #expect(
      try problems(#""containers":[{"name":"","image":""}]"#) == [
        "spec.containers[0].name: Required value", "spec.containers[0].image: Required value",
      ])
    #expect(
      try problems(#""containers":[{"name":"a","image":"i"},{"name":"a","image":" i"}]"#) == [
        #"spec.containers[1].image: Invalid value: " i": must not have leading or trailing whitespace"#,
        #"spec.containers[1].name: Duplicate value: "a""#,
      ])
  }

  @Test func ports() throws {
    #expect(
      try container(#","ports":[{"containerPort":70000},{"containerPort":1,"name":"A--"},{"protocol":"X"}]"#) == [
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        "spec.containers[0].ports[1].name: Invalid value: \"A--\": must contain only alpha-numeric characters (a-z, "
          + "0-9), and hyphens (-)",
        "spec.containers[0].ports[1].name: Invalid value: \"A--\": must contain at least one letter (a-z)",
        "spec.containers[0].ports[1].name: Invalid value: \"A--\": must not contain consecutive hyphens",
        "spec.containers[0].ports[1].name: Invalid value: \"A--\": must not begin or end with a hyphen",
        "spec.containers[0].ports[2].containerPort: Required value",
        #"spec.containers[0].ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP""#,
      ])
  }

  @Test func resources() throws {
    #expect(
      try container(#","resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1"}}"#) == [
        #"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#
      ])
    #expect(
      try container(#","resources":{"requests":{"a.io/b":"1"}}"#) == [
        "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"
      ])
    #expect(
      try container(#","resources":{"limits":{"memory":"-1"}}"#).first
        == #"spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0"#)
    #expect(
      try container(#","resources":{"limits":{"foo":"1"}}"#).prefix(2) == [
        #"spec.containers[0].resources.limits[foo]: Invalid value: "foo": must be a standard resource type or fully "#
          + "qualified",
        #"spec.containers[0].resources.limits[foo]: Invalid value: "foo": must be a standard resource for containers"#,
      ])
  }

  @Test func volumesAndMounts() throws {
    #expect(
      try container(#","volumeMounts":[{"name":"v","mountPath":"/a"},{"name":"v","mountPath":"/a"}]"#) == [
        #"spec.containers[0].volumeMounts[0].name: Not found: "v""#,
        #"spec.containers[0].volumeMounts[1].name: Not found: "v""#,
        #"spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique"#,
      ])
    #expect(
      try container(
        #"}],"volumes":[{"name":"v","emptyDir":{},"hostPath":{"path":"/x"}},{"name":"v","secret":{}}],"#
          + #""x":[{"#) == [
          "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
          #"spec.volumes[1].name: Duplicate value: "v""#, "spec.volumes[1].secret.secretName: Required value",
        ])
  }

  @Test func probes() throws {
    #expect(
      try container(#","livenessProbe":{"successThreshold":2,"httpGet":{"port":0},"exec":{"command":["a"]}}"#) == [
        "spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
      ])
    #expect(
      try container(#","readinessProbe":{}"#) == [
        "spec.containers[0].readinessProbe: Required value: must specify a handler type"
      ])
  }

  @Test func environment() throws {
    #expect(
      try container(#","env":[{"name":"a=b"},{"name":"c","valueFrom":{}}]"#) == [
        #"spec.containers[0].env[0].name: Invalid value: "a=b": a valid environment variable name must consist only "#
          + "of printable ASCII characters other than '='",
        #"spec.containers[0].env[1].valueFrom: Invalid value: "": must specify one of: `fieldRef`, "#
          + "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
      ])
  }

  @Test func scheduling() throws {
    #expect(
      try container(#"}],"tolerations":[{"value":"a"}],"x":[{"#) == [
        #"spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "#
          + #""match all values and all keys""#
      ])
    #expect(
      try container(
        #"}],"topologySpreadConstraints":[{"maxSkew":0,"whenUnsatisfiable":"DoNotSchedule"}],"x":[{"#) == [
          "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
          "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
        ])
    #expect(
      try container(#"}],"restartPolicy":"Maybe","x":[{"#) == [
        #"spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure""#
      ])
  }

  @Test func updatesAreFew() throws {
    let old = try pod()
    #expect(changeMessages(old) { $0.spec.containers[0].image = "j" } == [])
    let got = changeMessages(old) { $0.spec.hostname = "h" }
    #expect(got.count == 1)
    #expect(
      got[0].hasPrefix(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
          + "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
          + "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
      ))
    #expect(
      changeMessages(old) { $0.spec.containers.append(Container()) } == [
        "spec.containers: Forbidden: pod updates may not add or remove containers",
        "spec.containers[1].image: Required value",
      ])
    var tolerant = old
    tolerant.spec.tolerations = [
      Toleration {
        $0.key = "a"; $0.`operator` = "Exists"
      }
    ]
    #expect(
      changeMessages(tolerant) { $0.spec.tolerations = [] } == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
      ])
    #expect(changeMessages(old) { $0.spec.tolerations = tolerant.spec.tolerations } == [])
  }

  @Test func subresourcesChangeTheirPart() throws {
    let old = try pod()
    var bound = old
    bound.spec.nodeName = "n"
    #expect(validateUpdate(bound, old: old, subresource: "binding").isEmpty)
    #expect(validateUpdate(bound, old: old).isEmpty)
    #expect(validateUpdate(bound, old: old, subresource: "").count == 1)
    var moved = bound
    moved.spec.nodeName = "m"
    #expect(validateUpdate(moved, old: bound).count == 1)

    var debugged = old
    debugged.spec.ephemeralContainers = [EphemeralContainer { $0.name = "c" }]
    applyContainerDefaults(&debugged)
    #expect(
      validateUpdate(debugged, old: old, subresource: "ephemeralcontainers").map(\.message) == [
        #"spec.ephemeralContainers[0].name: Duplicate value: "c""#, "spec.ephemeralContainers[0].image: Required value",
      ])
    debugged.spec.ephemeralContainers[0].name = "d"
    debugged.spec.ephemeralContainers[0].image = "i"
    #expect(validateUpdate(debugged, old: old, subresource: "ephemeralcontainers").isEmpty)
    #expect(
      validateUpdate(old, old: debugged, subresource: "ephemeralcontainers").map(\.message) == [
        "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n"
      ])

    var resized = old
    resized.spec.containers[0].resources.requests = ["cpu": 1, "a.io/b": 1]
    #expect(
      validateUpdate(resized, old: old, subresource: "resize").map(\.message) == [
        #"spec: Invalid value: "": Pod QOS Class may not change as a result of resizing"#,
        "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        "spec: Forbidden: only cpu and memory resources are mutable",
      ])
  }

  private func applyContainerDefaults(_ pod: inout Pod) {
    var object: any APIObject = pod
    applyDefaults(to: &object)
    if let typed = object as? Pod { pod = typed }
  }
}
