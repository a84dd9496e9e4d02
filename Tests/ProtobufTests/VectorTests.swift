import APIMachinery
import Testing

@testable import Protobuf

/// Bytes as the reference implementation writes them, derived from its wire rules by hand.
@Suite struct VectorTests {
  private func encoded(_ json: String) throws -> [UInt8] {
    try #require(try KubernetesProtobuf.envelope(Array(json.utf8)))
  }

  private func decoded(_ bytes: [UInt8]) throws -> JSONValue {
    try JSONValue(parsing: KubernetesProtobuf.json(bytes))
  }

  private func tree(_ json: String) throws -> JSONValue { try JSONValue(parsing: Array(json.utf8)) }

  @Test func configMapIsWrittenByteForByte() throws {
    let json =
      #"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"b"},"data":{"y":"2","x":"\u003cé\n"}}"#
    let expected: [UInt8] =
      [0x6B, 0x38, 0x73, 0x00, 0x0A, 0x0F, 0x0A, 0x02] + Array("v1".utf8) + [0x12, 0x09] + Array("ConfigMap".utf8)
      + [0x12, 0x27, 0x0A, 0x12]
      + [0x0A, 0x01, 0x61, 0x12, 0x00, 0x1A, 0x01, 0x62, 0x22, 0x00, 0x2A, 0x00, 0x32, 0x00, 0x38, 0x00, 0x42, 0x00]
      + [0x12, 0x09, 0x0A, 0x01, 0x78, 0x12, 0x04, 0x3C, 0xC3, 0xA9, 0x0A]
      + [0x12, 0x06, 0x0A, 0x01, 0x79, 0x12, 0x01, 0x32, 0x1A, 0x00, 0x22, 0x00]
    // The entry of x holds 9 bytes: a key of 3 and a value of 6.
    #expect(try encoded(json) == expected)
    #expect(try decoded(expected) == tree(json))
  }

  @Test func podIsWrittenInTheOrderOfNumbersWithItsZeroes() throws {
    let json = #"""
      {"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"default","uid":"u","generation":1,
      "creationTimestamp":"2023-11-14T22:13:20Z","labels":{"app":"x"}},"spec":{"containers":[{"image":"i","name":"c",
      "ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{"limits":{"cpu":"100m"}},
      "livenessProbe":{"httpGet":{"port":"web"},"timeoutSeconds":5}}],"hostNetwork":true,
      "terminationGracePeriodSeconds":0,"volumes":[{"name":"v","secret":{"secretName":"s","defaultMode":420}}]},
      "status":{"phase":"Pending","startTime":"2023-11-14T22:13:20Z"}}
      """#
    let time = Wire().with(1, 1_700_000_000).with(2, 0)
    let metadata = Wire().with(1, "p").with(2, "").with(3, "default").with(4, "").with(5, "u").with(6, "").with(7, 1)
      .with(8, time).with(11, Wire().with(1, "app").with(2, "x"))
    let probe = Wire()
      .with(
        1,
        Wire().with(
          2,
          Wire().with(1, "").with(2, Wire().with(1, 1).with(2, 0).with(3, "web")).with(3, "").with(4, ""))
      )
      .with(2, 0).with(3, 5).with(4, 0).with(5, 0).with(6, 0)
    let container = Wire().with(1, "c").with(2, "i").with(5, "")
      .with(6, Wire().with(1, "").with(2, 0).with(3, 80).with(4, "TCP").with(5, ""))
      .with(8, Wire().with(1, Wire().with(1, "cpu").with(2, Wire().with(1, "100m"))))
      .with(10, probe).with(13, "").with(14, "").with(16, 0).with(17, 0).with(18, 0).with(20, "")
    let spec = Wire()
      .with(1, Wire().with(1, "v").with(2, Wire().with(6, Wire().with(1, "s").with(3, 420))))
      .with(2, container).with(3, "").with(4, 0).with(6, "").with(8, "").with(9, "").with(10, "").with(11, 1)
      .with(12, 0).with(13, 0).with(16, "").with(17, "").with(19, "").with(24, "")
    let status = Wire().with(1, "Pending").with(3, "").with(4, "").with(5, "").with(6, "").with(7, time).with(9, "")
      .with(11, "").with(14, "").with(17, 0)
    let expected = Wire.envelope("v1", "Pod", Wire().with(1, metadata).with(2, spec).with(3, status))
    #expect(try encoded(json) == expected)
    let back = try decoded(expected)
    #expect(back["spec"]?["volumes"] == (try tree(json))["spec"]?["volumes"])
    #expect(back["metadata"] == (try tree(json))["metadata"])
    let first = back["spec"]?["containers"]?.arrayValue?.first
    #expect(first?["livenessProbe"]?["httpGet"]?["port"]?.stringValue == "web")
    // A pointer to zero is not nothing.
    #expect(back["spec"]?["terminationGracePeriodSeconds"]?.intValue == 0)
  }

  @Test func serviceNodeSecretAndEventUseTheirSpecialTypes() throws {
    let port = Wire().with(1, "").with(2, "TCP").with(3, 80).with(4, Wire().with(1, 0).with(2, 8080).with(3, ""))
      .with(5, 0)
    let service = try encoded(
      #"{"kind":"Service","apiVersion":"v1","spec":{"ports":[{"port":80,"protocol":"TCP","targetPort":8080}]}}"#)
    #expect(contains(service, Wire().with(1, port).bytes))

    let node = try encoded(
      #"{"kind":"Node","apiVersion":"v1","status":{"capacity":{"memory":"1Gi","cpu":"2"},"images":[{"sizeBytes":-1}]}}"#
    )
    let capacity = Wire().with(1, Wire().with(1, "cpu").with(2, Wire().with(1, "2")))
      .with(1, Wire().with(1, "memory").with(2, Wire().with(1, "1Gi")))
    #expect(contains(node, capacity.bytes))
    // Negative numbers take all ten bytes.
    #expect(contains(node, Wire().with(8, Wire().with(2, -1)).bytes))
    #expect(try decoded(node)["status"]?["images"]?.arrayValue?.first?["sizeBytes"]?.intValue == -1)

    let secret = try encoded(#"{"kind":"Secret","apiVersion":"v1","data":{"k":"AAEC"}}"#)
    #expect(contains(secret, Wire().with(2, Wire().with(1, "k").with(2, [0, 1, 2])).bytes))
    #expect(try decoded(secret)["data"]?["k"]?.stringValue == "AAEC")

    let event = try encoded(
      #"{"kind":"Event","apiVersion":"events.k8s.io/v1","eventTime":"2023-11-14T22:13:20.000001Z"}"#)
    #expect(contains(event, Wire().with(2, Wire().with(1, 1_700_000_000).with(2, 1000)).bytes))
    #expect(try decoded(event)["eventTime"]?.stringValue == "2023-11-14T22:13:20.000001Z")
  }

  @Test func statusAndOptionsOfEveryVersion() throws {
    let json = #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"m","code":404}"#
    let status = Wire().with(1, Wire().with(1, "").with(2, "").with(3, "")).with(2, "Failure").with(3, "m").with(4, "")
      .with(6, 404)
    #expect(try encoded(json) == Wire.envelope("v1", "Status", status))
    let options = try decoded(Wire.envelope("apps/v1", "DeleteOptions", Wire().with(1, 0).with(4, "Foreground")))
    #expect(options["gracePeriodSeconds"]?.intValue == 0 && options["propagationPolicy"]?.stringValue == "Foreground")
  }

  @Test func verbsExtraValuesAndSchemasHaveMessagesOfTheirOwn() throws {
    let list = try encoded(
      #"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":[{"name":"pods","verbs":["get"]}]}"#
    )
    #expect(contains(list, Wire().with(4, Wire().with(1, "get")).bytes))
    #expect(try decoded(list)["resources"]?.arrayValue?.first?["verbs"]?.arrayValue?.first?.stringValue == "get")

    let review =
      #"{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"extra":{"k":["a","b"]}}}"#
    let bytes = try encoded(review)
    #expect(contains(bytes, Wire().with(5, Wire().with(1, "k").with(2, Wire().with(1, "a").with(1, "b"))).bytes))
    #expect(try decoded(bytes)["spec"]?["extra"] == (try tree(review))["spec"]?["extra"])

    let crd = #"""
      {"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v1","spec":{"versions":[{"name":"v1",
      "schema":{"openAPIV3Schema":{"items":{"type":"a"},"additionalProperties":true,"additionalItems":{"type":"b"},
      "dependencies":{"x":["p","q"],"y":{"type":"c"}},"default":{"a":[1,2]},"enum":["e",1],"maximum":1.5}}}]}}
      """#
    let schema = try decoded(encoded(crd))["spec"]?["versions"]?.arrayValue?.first?["schema"]
    #expect(schema == (try tree(crd))["spec"]?["versions"]?.arrayValue?.first?["schema"])
  }

  @Test func embeddedRulesNestTwice() throws {
    let json = #"""
      {"kind":"ValidatingAdmissionPolicy","apiVersion":"admissionregistration.k8s.io/v1","spec":{"matchConstraints":
      {"resourceRules":[{"resourceNames":["n"],"operations":["CREATE"],"apiGroups":["apps"],"resources":["r"]}]}}}
      """#
    let bytes = try encoded(json)
    let rule = Wire().with(1, "n").with(
      2, Wire().with(1, "CREATE").with(2, Wire().with(1, "apps").with(3, "r")))
    #expect(contains(bytes, Wire().with(3, rule).bytes))
    let back = try decoded(bytes)["spec"]?["matchConstraints"]?["resourceRules"]
    #expect(back == (try tree(json))["spec"]?["matchConstraints"]?["resourceRules"])
  }

  @Test func storedObjectsGetTheirVersionAndListsAndEventsTheirFrames() throws {
    let kind = try #require(ProtobufKind.of(GroupVersionKind(group: "", version: "v1", kind: "ConfigMap")))
    let stored = Array(#"{"metadata":{"name":"a"}}"#.utf8)
    let object = Wire().with(
      1, Wire().with(1, "a").with(2, "").with(3, "").with(4, "").with(5, "").with(6, "77").with(7, 0).with(8, Wire()))
    let envelope = try kind.envelope(stored[...], resourceVersion: "77")
    #expect(envelope == Wire.envelope("v1", "ConfigMap", object))
    var items = ProtobufEncoder()
    try kind.appendItem(stored[...], resourceVersion: "77", to: &items)
    #expect(items.bytes == Wire().with(2, object).bytes)
    let frame = ProtobufKind.watchFrame(type: "ADDED", envelope: envelope)
    let event = Wire().with(1, "ADDED").with(2, Wire().with(1, envelope)).bytes
    #expect(frame == [0, 0, 0, UInt8(event.count)] + event)
  }

  @Test func tablesHaveNoProtobuf() throws {
    #expect(try KubernetesProtobuf.envelope(Array(#"{"kind":"Table","apiVersion":"meta.k8s.io/v1"}"#.utf8)) == nil)
    #expect(try KubernetesProtobuf.envelope(Array(#"{"kind":"Nothing","apiVersion":"v1"}"#.utf8)) == nil)
  }

  @Test func readsPackedNumbersPiecesAndUnknownFields() throws {
    // values: [1, 300] packed, twice the message that contains them, a group and an unknown field around.
    let values = Wire().with(3, [1, 0xAC, 0x02])
    let rule = Wire().with(2, Wire().with(2, "In")).with(2, values).raw([0xA3, 0x06, 0x08, 0x01, 0xA4, 0x06])
      .with(99, "x")
    let job = Wire().with(2, Wire().with(11, Wire().with(1, rule)))
    let tree = try decoded(Wire.envelope("batch/v1", "Job", job))
    let exits = tree["spec"]?["podFailurePolicy"]?["rules"]?.arrayValue?.first?["onExitCodes"]
    #expect(exits?["operator"]?.stringValue == "In")
    #expect(exits?["values"]?.arrayValue?.map(\.intValue) == [1, 300])
  }

  @Test func refusesWhatItCannotRead() throws {
    #expect(throws: ProtobufError.self) { try KubernetesProtobuf.json(Array("{}".utf8)) }
    #expect(throws: ProtobufError.self) { try KubernetesProtobuf.json(Wire.envelope("v1", "Nothing", Wire())) }
    let wrong = Wire.envelope("v1", "Pod", Wire().with(2, Wire().with(11, "x")))
    let error = #expect(throws: ProtobufError.self) { try KubernetesProtobuf.json(wrong) }
    #expect(error?.kind == "Pod" && error?.description == "proto: wrong wireType = 2 for field HostNetwork")
    let raw = Wire().with(2, Wire().with(1, Array("{\"a\":".utf8)))
    #expect(throws: ProtobufError.self) {
      try KubernetesProtobuf.json(Wire.envelope("apps/v1", "ControllerRevision", raw))
    }
    // A schema that contains itself a thousand times.
    var deep = Wire()
    for _ in 0..<1000 { deep = Wire().with(28, deep) }
    let crd = Wire().with(2, Wire().with(7, Wire().with(4, Wire().with(1, deep))))
    let problem = #expect(throws: ProtobufError.self) {
      try KubernetesProtobuf.json(Wire.envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd))
    }
    #expect(problem?.description == "proto: exceeded maximum recursion depth")
  }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard bytes.count >= part.count else { return false }
    return (0...(bytes.count - part.count)).contains { bytes[$0..<$0 + part.count].elementsEqual(part) }
  }
}
