import API
import Testing
import Validation

/// An object of a kind without a type.
private func object(_ kind: String, _ json: String) throws -> DynamicObject {
  var object = try DynamicObject.decode(Array(json.utf8))
  object.kind = kind
  return object
}

private func messages(_ kind: String, _ json: String, namespaced: Bool = false) throws -> [String] {
  validateCreate(untyped: try object(kind, json), namespaced: namespaced).map(\.message)
}

@Suite struct UntypedTests {
  @Test func trustBundles() throws {
    #expect(
      try messages("ClusterTrustBundle", #"{"metadata":{"name":"a:b"},"spec":{"signerName":""}}"#) == [
        #"metadata.name: Invalid value: "a:b": ClusterTrustBundle without signer name must not have ":" in its name"#
      ])
    #expect(
      try messages("ClusterTrustBundle", #"{"metadata":{"name":"b"},"spec":{"signerName":"x.io/s"}}"#) == [
        #"metadata.name: Invalid value: "b": ClusterTrustBundle for signerName x.io/s must be named with prefix x.io:s:"#
      ])
    #expect(
      try messages("ClusterTrustBundle", #"{"metadata":{"name":"x.io:s:b"},"spec":{"signerName":"x.io/s"}}"#).isEmpty)
  }

  @Test func podCertificates() throws {
    let spec = #"""
      "spec":{"signerName":"x.io/s","podName":"p","podUID":"1","serviceAccountName":"s","serviceAccountUID":"2",
      "nodeName":"n","nodeUID":"3","maxExpirationSeconds":86400}
      """#
    let meta = #""metadata":{"name":"r","namespace":"d"}"#
    #expect(try messages("PodCertificateRequest", "{\(meta),\(spec)}", namespaced: true).isEmpty)
    #expect(
      try messages(
        "PodCertificateRequest",
        #"""
        {\#(meta),"spec":{"signerName":"kubernetes.io/s","podName":"p","podUID":"1","serviceAccountName":"s",
        "nodeName":"n","nodeUID":"3","maxExpirationSeconds":86401}}
        """#, namespaced: true) == [
          #"spec.serviceAccountUID: Invalid value: "": must not be empty"#,
          "spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]",
        ])
    let old = try object("PodCertificateRequest", "{\(meta),\(spec)}")
    let denied = try object(
      "PodCertificateRequest",
      #"""
      {\#(meta),\#(spec),"status":{"notAfter":"2030-01-01T00:00:00Z","conditions":[{"type":"Denied","status":"True",
      "reason":"No","lastTransitionTime":"2030-01-01T00:00:00Z"}]}}
      """#)
    #expect(
      validateUpdate(untyped: denied, old: old, subresource: "status").first?.message.hasSuffix(
        "non-condition status fields must be empty when denying or failing the PodCertificateRequest") == true)
    #expect(
      validateUpdate(untyped: old, old: denied, subresource: "status").first?.message.hasSuffix(
        "immutable after PodCertificateRequest is issued, denied, or failed") == true)
  }

  @Test func candidates() throws {
    #expect(
      try messages(
        "LeaseCandidate",
        #"""
        {"metadata":{"name":"c","namespace":"d"},"spec":{"leaseName":"l","binaryVersion":"1.35.0",
        "emulationVersion":"1.36.0","strategy":"OldestEmulationVersion"}}
        """#, namespaced: true) == [
          #"spec.binaryVersion: Invalid value: "1.35.0": must be greater than or equal to `emulationVersion`"#
        ])
    #expect(
      try messages(
        "LeaseCandidate",
        #"{"metadata":{"name":"c","namespace":"d"},"spec":{"binaryVersion":"1.36","strategy":"OldestEmulationVersion"}}"#,
        namespaced: true) == [
          "spec.leaseName: Required value",
          #"spec.binaryVersion: Invalid value: "1.36": must be a valid semantic version"#,
          "spec.emulationVersion: Required value: must be specified when `strategy` is 'OldestEmulationVersion'",
        ])
  }

  @Test func taintRulesAndMigrations() throws {
    #expect(
      try messages(
        "DeviceTaintRule",
        #"{"metadata":{"name":"r"},"spec":{"deviceSelector":{"pool":""},"taint":{"key":"k"}}}"#) == [
          "spec.deviceSelector.pool: Required value", "spec.taint.effect: Required value",
        ])
    let first = try object(
      "StorageVersionMigration",
      #"""
      {"metadata":{"name":"m"},"spec":{"resource":{"group":"apps","resource":"deployments"}},
      "status":{"resourceVersion":"5"}}
      """#)
    var second = first
    second.content = try JSONValue(
      parsing: Array(
        #"""
        {"spec":{"resource":{"group":"apps","resource":"daemonsets"}},"status":{"resourceVersion":"6","conditions":[
        {"type":"Succeeded","status":"True","reason":"R","lastTransitionTime":"2030-01-01T00:00:00Z"},
        {"type":"Failed","status":"True","reason":"R","lastTransitionTime":"2030-01-01T00:00:00Z"}]}}
        """#.utf8))
    #expect(
      validateUpdate(untyped: second, old: first, subresource: "").map(\.message) == [
        #"resource: Invalid value: "daemonsets": field is immutable"#
      ])
    let found = validateUpdate(untyped: second, old: first, subresource: "status").map(\.message)
    #expect(found.first == #"status.resourceVersion: Invalid value: "6": cannot be updated"#)
    #expect(found.last?.hasSuffix("Both success and failed conditions cannot be true at the same time") == true)
  }
}
