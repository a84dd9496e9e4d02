import API
import Testing
import Validation

private let labelMessage =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
  + "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
  + #"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#

@Suite struct MetadataTests {
  @Test func namesAndNamespaces() throws {
    #expect(
      try messages(ConfigMap.self, #"{"metadata":{}}"#) == [
        "metadata.name: Required value: name or generateName is required", "metadata.namespace: Required value",
      ])
    #expect(
      try messages(ConfigMap.self, #"{"metadata":{"name":"A","namespace":"d"}}"#) == [
        "metadata.name: Invalid value: \"A\": " + labelMessage
      ])
    #expect(try messages(ConfigMap.self, #"{"metadata":{"name":"a-1","generateName":"a-","namespace":"d"}}"#) == [])
    #expect(
      try messages(PriorityClass.self, #"{"metadata":{"name":"a","namespace":"d"}}"#) == [
        "metadata.namespace: Forbidden: not allowed on this type"
      ])
    #expect(try messages(ClusterRole.self, #"{"metadata":{"name":"system:Role"}}"#) == [])
    #expect(
      try messages(ClusterRole.self, #"{"metadata":{"name":"a/b"}}"#) == [
        #"metadata.name: Invalid value: "a/b": may not contain '/'"#
      ])
  }

  @Test func ownersAndFinalizers() throws {
    let text = #"""
      {"metadata":{"name":"a","namespace":"d","finalizers":["orphan","foregroundDeletion"],"ownerReferences":[
       {"apiVersion":"v1","kind":"A","name":"x","uid":"1","controller":true},
       {"apiVersion":"v1","kind":"B","name":"y","uid":"","controller":true}]}}
      """#
    let got = try messages(ConfigMap.self, text)
    #expect(got.contains(#"metadata.ownerReferences.uid: Invalid value: "": must not be empty"#))
    #expect(
      got.contains {
        $0.hasSuffix(
          "Only one reference can have Controller set to true. Found \"true\" in references for A/x and B/y")
      })
    #expect(
      got.contains {
        $0.hasSuffix("finalizer orphan and foregroundDeletion cannot be both set")
      })
  }

  @Test func annotationsAreLimited() throws {
    var map = ConfigMap()
    map.metadata.name = "a"
    map.metadata.namespace = "d"
    map.metadata.annotations["k"] = String(repeating: "x", count: 262_144)
    #expect(validateCreate(map).map(\.message) == ["metadata.annotations: Too long: may not be more than 262144 bytes"])
    map.metadata.annotations = [:]
    map.metadata.labels["k"] = "-"
    #expect(validateCreate(map).first?.field == "metadata.labels")
  }

  @Test func metadataIsMostlyFixed() {
    var old = ConfigMap()
    old.metadata.name = "a"
    old.metadata.namespace = "d"
    old.metadata.uid = "1"
    #expect(
      changeMessages(old) { $0.metadata.uid = "2" } == [#"metadata.uid: Invalid value: "2": field is immutable"#])
    old.metadata.deletionTimestamp = Time(seconds: 5)
    #expect(
      changeMessages(old) { $0.metadata.finalizers = ["x.io/b", "x.io/a"] } == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
          + #"finalizers []string{"x.io/a", "x.io/b"}"#
      ])
  }
}
