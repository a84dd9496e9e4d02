import APIMachinery
import Testing

@Suite struct SchemaTests {
  private func strict(_ text: String) -> [String] { strictErrors(Array(text.utf8), Sample.schema) }

  @Test func unknownAndDuplicateFieldsAreNamedInOrder() {
    let found = strict(
      #"{"kind":"Deployment","foo":1,"metadata":{"labels":{"a":"1","a":"2"},"name":"x","name":"y"},"spec":{"template":{"spec":{"containers":[{"name":"a"},{"foo":{"x":1},"image":"i","foo":2}]}}}}"#
    )
    #expect(
      found == [
        #"unknown field "foo""#, #"duplicate field "metadata.labels.a""#, #"duplicate field "metadata.name""#,
        #"unknown field "spec.template.spec.containers[1].foo""#,
      ])
    #expect(
      strictDecodingMessage(Array(found.prefix(2)))
        == #"strict decoding error: unknown field "foo", duplicate field "metadata.labels.a""#)
  }

  @Test func cleanDocumentHasNoErrors() {
    #expect(strict(#"{"spec":{"replicas":1,"selector":{"matchLabels":{"any":"thing"}}}}"#).isEmpty)
    #expect(strict(#"{"spec":"oops","metadata":[1]}"#).isEmpty)
  }

  @Test func typeErrorsNameStructPathAndType() {
    func explain(_ text: String, found: String, wanted: String, at marker: Character) -> String {
      let offset = text.utf8.distance(from: text.startIndex, to: text.firstIndex(of: marker) ?? text.startIndex)
      let bytes = Array(text.replacing(String(marker), with: "").utf8)
      return goDecodeMessage(JSONError(found: found, wanted: wanted, offset: offset), in: bytes, schema: Sample.schema)
    }
    #expect(
      explain(#"{"spec":{"replicas": §"x"}}"#, found: "string", wanted: "int32", at: "§")
        == "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32")
    #expect(
      explain(
        #"{"spec":{"template":{"spec":{"containers":[{"name":§1}]}}}}"#, found: "number", wanted: "string", at: "§")
        == "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.name of type string"
    )
    #expect(
      explain(#"{"spec":{"template":{"spec":{"containers":§{}}}}}"#, found: "object", wanted: "array", at: "§")
        == "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
    )
  }

  @Test func everyFieldIsFoundByItsBytes() throws {
    for type in Sample.table.types {
      for field in type.fields { #expect(strictErrors(Array("{\"\(field.name)\":1}".utf8), type).isEmpty) }
      #expect(strictErrors(Array(#"{"nope":1}"#.utf8), type) == [#"unknown field "nope""#])
    }
  }

  @Test func pruningDropsUnknownFieldsEverywhere() throws {
    let value = try Sample.json(
      #"{"x":1,"metadata":{"labels":{"x":"1"},"y":2},"spec":{"template":{"spec":{"containers":[{"name":"a","z":1}]}}}}"#
    )
    #expect(
      Sample.text(pruned(value, by: Sample.schema))
        == #"{"metadata":{"labels":{"x":"1"}},"spec":{"template":{"spec":{"containers":[{"name":"a"}]}}}}"#)
  }

  @Test func scanReadsMetadataOnly() throws {
    let text =
      #"{"metadata":{"name":"web","namespace":"default","uid":"u","labels":{"app":"x"},"finalizers":["f"],"deletionTimestamp":"2024-01-01T00:00:00Z","generation":3},"spec":{"nodeName":"n1","n":5},"status":{"phase":"Running"}}"#
    let scan = try ObjectScan(Array(text.utf8))
    #expect(scan.name == "web" && scan.namespace == "default" && scan.uid == "u" && scan.generation == 3)
    #expect(scan.labels == ["app": "x"])
    #expect(scan.hasDeletionTimestamp && scan.hasFinalizers && !scan.hasOwnerReferences)
    #expect(String(decoding: scan.bytes[scan.metadataRange], as: UTF8.self).hasPrefix(#"{"name":"web""#))
    #expect(scan.field(path: ["spec", "nodeName"]) == "n1")
    #expect(scan.field(path: ["spec", "n"]) == "5")
    #expect(scan.field(path: ["status", "phase"]) == "Running")
    #expect(scan.field(path: ["spec", "none"]) == nil)
    #expect(throws: JSONError.self) { try ObjectScan(Array(#"{"metadata":{"name":1}}"#.utf8)) }
  }

  @Test func generatedNames() {
    var random = SystemRandomNumberGenerator()
    let name = Names.generate(base: String(repeating: "a", count: 80), using: &random)
    #expect(name.utf8.count == 63)
    #expect(Names.isDNS1123Label(Names.generate(base: "web-", using: &random)).isEmpty)
    #expect(Names.safeEncode("0") == Names.safeEncode("0") && Names.safeEncode("01").utf8.count == 2)
    #expect(Names.isValidPortName("http").isEmpty && Names.isValidPortName("--1").count == 3)
    #expect(Names.isConfigMapKey("..x") == ["must not start with '..'"])
    #expect(Names.isPathSegmentName("a/b") == ["may not contain '/'"])
  }
}
