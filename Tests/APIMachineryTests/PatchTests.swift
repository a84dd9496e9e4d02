import APIMachinery
import Testing

@Suite struct JSONPatchTests {
  private func run(_ doc: String, _ patch: String) throws -> String {
    Sample.text(try applyJSONPatch(Sample.json(doc), Sample.json(patch)))
  }
  private func failure(_ doc: String, _ patch: String) -> String {
    do { return try run(doc, patch) } catch { return "\(error)" }
  }

  @Test(arguments: [
    (
      #"{"a":1}"#, #"[{"op":"add","path":"/b","value":[1]},{"op":"add","path":"/b/-","value":2}]"#,
      #"{"a":1,"b":[1,2]}"#
    ),
    (#"{"a":[1,3]}"#, #"[{"op":"add","path":"/a/1","value":2}]"#, #"{"a":[1,2,3]}"#),
    (#"{"a":[1,2]}"#, #"[{"op":"remove","path":"/a/-1"}]"#, #"{"a":[1]}"#),
    (#"{"a":{"b":1}}"#, #"[{"op":"replace","path":"/a/b","value":{"c":2}}]"#, #"{"a":{"b":{"c":2}}}"#),
    (#"{"a/b":{"c~d":1}}"#, #"[{"op":"remove","path":"/a~1b/c~0d"}]"#, #"{"a/b":{}}"#),
    (#"{"a":{"x":1}}"#, #"[{"op":"move","from":"/a/x","path":"/b"}]"#, #"{"a":{},"b":1}"#),
    (
      #"{"a":{"x":[1]}}"#, #"[{"op":"copy","from":"/a","path":"/b"},{"op":"test","path":"/b/x/0","value":1.0}]"#,
      #"{"a":{"x":[1]},"b":{"x":[1]}}"#
    ),
    (#"{"a":[{"n":"x","v":1}]}"#, #"[{"op":"replace","path":"/a/0/v","value":2}]"#, #"{"a":[{"n":"x","v":2}]}"#),
    (#"{}"#, #"[{"op":"test","path":"/none","value":null}]"#, "{}"),
  ])
  func applies(_ doc: String, _ patch: String, _ expected: String) throws {
    #expect(try run(doc, patch) == expected)
  }

  @Test(arguments: [
    (
      #"[{"op":"add","path":"/x/y","value":1}]"#,
      #"add operation does not apply: doc is missing path: "/x/y": missing value"#
    ),
    (
      #"[{"op":"remove","path":"/x"}]"#,
      "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value"
    ),
    (
      #"[{"op":"replace","path":"/x","value":1}]"#,
      "replace operation does not apply: doc is missing key: /x: missing value"
    ),
    (#"[{"op":"test","path":"/a","value":2}]"#, "testing value /a failed: test failed"),
    (
      #"[{"op":"add","path":"/l/9","value":2}]"#,
      "error in add for path: '/l/9': Unable to access invalid index: 9: invalid index referenced"
    ),
    (#"[{"op":"bogus","path":"/a"}]"#, "Unexpected kind: bogus"),
  ])
  func complains(_ patch: String, _ expected: String) {
    #expect(failure(#"{"a":1,"l":[1]}"#, patch) == expected)
  }

  @Test func tooManyOperations() {
    let many = JSONValue.array(Array(repeating: ["op": "test", "path": "/a", "value": 1], count: 10_001))
    #expect(throws: PatchError("The allowed maximum operations in a JSON patch is 10000, got 10001", code: 413)) {
      try applyJSONPatch(["a": 1], many)
    }
  }

  @Test func mergePatch() throws {
    let doc = try Sample.json(#"{"a":{"b":1,"c":2},"d":[1,2],"e":1}"#)
    let patch = try Sample.json(#"{"a":{"b":null,"x":{"y":null,"z":1}},"d":[3],"e":{"f":1}}"#)
    #expect(Sample.text(applyMergePatch(doc, patch)) == #"{"a":{"c":2,"x":{"z":1}},"d":[3],"e":{"f":1}}"#)
  }
}

@Suite struct StrategicMergePatchTests {
  private func pod(_ spec: String) -> String { #"{"spec":{"template":{"spec":"# + spec + "}}}" }
  private func run(_ doc: String, _ patch: String) throws -> String {
    Sample.text(try applyStrategicMergePatch(Sample.json(doc), Sample.json(patch), Sample.schema))
  }
  private func runPod(_ doc: String, _ patch: String) throws -> String { try run(pod(doc), pod(patch)) }

  @Test func mergesListsByKey() throws {
    #expect(
      try runPod(
        #"{"containers":[{"name":"a","image":"1","args":["x"]},{"name":"b"}]}"#,
        #"{"containers":[{"name":"a","image":"2","args":["y"]},{"name":"c"}]}"#)
        == pod(#"{"containers":[{"args":["y"],"image":"2","name":"a"},{"name":"c"},{"name":"b"}]}"#))
  }

  @Test func deletesAndReplacesByDirective() throws {
    #expect(
      try runPod(
        #"{"containers":[{"name":"a"},{"name":"b"}]}"#, #"{"containers":[{"name":"a","$patch":"delete"}]}"#)
        == pod(#"{"containers":[{"name":"b"}]}"#))
    #expect(
      try runPod(
        #"{"containers":[{"name":"a"},{"name":"b"}]}"#, #"{"containers":[{"name":"c"},{"$patch":"replace"}]}"#)
        == pod(#"{"containers":[{"name":"c"}]}"#))
    #expect(
      try runPod(#"{"nodeSelector":{"a":"b"}}"#, #"{"nodeSelector":{"$patch":"replace","c":"d"}}"#)
        == pod(#"{"nodeSelector":{"c":"d"}}"#))
    #expect(
      try runPod(#"{"nodeSelector":{"a":"b"}}"#, #"{"nodeSelector":{"$patch":"delete"}}"#)
        == pod(#"{"nodeSelector":{}}"#))
    #expect(throws: PatchError.self) {
      try runPod(#"{"nodeSelector":{"a":"b"}}"#, #"{"nodeSelector":{"$patch":"odd"}}"#)
    }
  }

  @Test func retainKeysClearsTheRest() throws {
    #expect(
      try run(
        #"{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}}"#,
        #"{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}"#)
        == #"{"spec":{"strategy":{"type":"Recreate"}}}"#)
    #expect(
      try runPod(
        #"{"volumes":[{"name":"v","emptyDir":{}}]}"#,
        #"{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}]}"#)
        == pod(#"{"volumes":[{"hostPath":{"path":"/x"},"name":"v"}]}"#))
    #expect(throws: PatchError("invalid patch format of retainKeys", code: 400)) {
      try run(#"{"spec":{"strategy":{}}}"#, #"{"spec":{"strategy":{"$retainKeys":[],"type":"x"}}}"#)
    }
  }

  @Test func ordersElements() throws {
    #expect(
      try runPod(
        #"{"containers":[{"name":"server"},{"name":"a"},{"name":"b"}]}"#,
        #"{"$setElementOrder/containers":[{"name":"b"},{"name":"a"},{"name":"n"}],"containers":[{"name":"n","image":"i"}]}"#
      )
        == pod(#"{"containers":[{"name":"server"},{"name":"b"},{"name":"a"},{"image":"i","name":"n"}]}"#))
    #expect(throws: PatchError.self) {
      try runPod(
        #"{"containers":[]}"#,
        #"{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a"},{"name":"b"}]}"#)
    }
  }

  @Test func primitiveListsMergeAndShrink() throws {
    #expect(
      try run(#"{"metadata":{"finalizers":["a","b"]}}"#, #"{"metadata":{"finalizers":["c","a"]}}"#)
        == #"{"metadata":{"finalizers":["c","a","b"]}}"#)
    #expect(
      try run(
        #"{"metadata":{"finalizers":["a","b","c"]}}"#,
        #"{"metadata":{"$deleteFromPrimitiveList/finalizers":["b"],"$setElementOrder/finalizers":["a","c"]}}"#)
        == #"{"metadata":{"finalizers":["a","c"]}}"#)
  }

  @Test func nullsRemoveAndNewValuesEnterClean() throws {
    #expect(
      try run(
        #"{"metadata":{"labels":{"a":"1","b":"2"}}}"#,
        #"{"metadata":{"labels":{"a":null,"c":"3"},"annotations":{"x":null,"y":"1"}}}"#)
        == #"{"metadata":{"annotations":{"y":"1"},"labels":{"b":"2","c":"3"}}}"#)
  }

  @Test func missingMergeKeyIsAnError() {
    #expect(
      throws: PatchError(#"map: {"image":"x"} does not contain declared merge key: name"#, code: 500)
    ) { try runPod(#"{"containers":[{"name":"a"}]}"#, #"{"containers":[{"image":"x"}]}"#) }
  }
}
