import APIMachinery
import Testing

@Suite struct StatusTests {
  @Test func notFoundOnTheWire() {
    let error = StatusError.notFound(GroupResource(group: "apps", resource: "deployments"), "web")
    #expect(
      String(decoding: error.encoded(), as: UTF8.self)
        == #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"web\" not found","reason":"NotFound","details":{"name":"web","group":"apps","kind":"deployments"},"code":404}"#
    )
  }

  @Test func invalidListsItsCauses() {
    let path = FieldPath("spec").child("containers").index(0)
    let errors: [FieldError] = [
      .required(path.child("name")),
      .invalid(FieldPath("spec").child("replicas"), -1, "must be greater than or equal to 0"),
      .notSupported(path.child("imagePullPolicy"), "x", ["IfNotPresent", "Always"]),
      .duplicate(FieldPath("metadata").child("labels").key("a"), "b"), .tooLong(FieldPath("x"), max: 63),
    ]
    #expect(
      errors.map(\.message) == [
        "spec.containers[0].name: Required value",
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        #"spec.containers[0].imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent""#,
        #"metadata.labels[a]: Duplicate value: "b""#, "x: Too long: may not be more than 63 bytes",
      ])
    let one = StatusError.invalid(GroupKind(group: "apps", kind: "Deployment"), "web", [errors[0]])
    #expect(one.message == #"Deployment.apps "web" is invalid: spec.containers[0].name: Required value"#)
    let two = StatusError.invalid(GroupKind(group: "", kind: "Pod"), "p", Array(errors[0...1]))
    #expect(two.message.hasPrefix(#"Pod "p" is invalid: [spec.containers[0].name: Required value, spec.replicas"#))
    #expect(two.details?.causes[0].reason == "FieldValueRequired")
    #expect(two.details?.causes[0].message == "Required value")
  }

  @Test func decodesWhatItEncodes() {
    let error = StatusError.tooLargeResourceVersion(9, current: 5)
    #expect(StatusError(decoding: error.encoded(), httpCode: 504) == error)
    #expect(error.retryAfterSeconds == 1)
    let foreign = StatusError(decoding: Array("oops".utf8), httpCode: 503)
    #expect(foreign.reason == "ServiceUnavailable")
    #expect(foreign.code == 503)
  }
}

@Suite struct SelectorTests {
  @Test(arguments: [
    ("a=b", true), ("a==b", true), ("a!=b", false), ("a in (b, c)", true), ("a notin (b,c)", false), ("a", true),
    ("!a", false), ("!z", true), ("z!=q", true), ("n>4", true), ("n<4", false), ("a=b,n=5", true), ("a=b,n=6", false),
    ("", true), ("e=", true), ("in=x", false), ("z in (,q)", false),
  ])
  func labelsMatch(_ text: String, _ expected: Bool) throws {
    #expect(try Labels.Selector.parse(text).matches(["a": "b", "n": "5", "e": ""]) == expected)
  }

  @Test(arguments: ["a=b=c", "a in b", "a in (b", "=x", "a,,b", "a=b c", "-a=b", "a>x", "a,"])
  func badLabelSelectors(_ text: String) { #expect(throws: SelectorError.self) { try Labels.Selector.parse(text) } }

  @Test func labelsPrintSorted() throws {
    #expect(try Labels.Selector.parse("c,b notin (y,x), a=1").description == "a=1,b notin (x,y),c")
    #expect(Labels.Selector.nothing.matches([:]) == false)
    #expect(try Labels.Selector.parse("app in (x)").exactValue(of: "app") == "x")
  }

  @Test func fieldsMatch() throws {
    let fields = ["metadata.name": "x", "status.phase": "Running", "odd": "a,b"]
    for (text, expected) in [
      ("metadata.name=x", true), ("metadata.name==x,status.phase!=Running", false), ("", true), (#"odd=a\,b"#, true),
      ("none=", true),
    ] {
      #expect(try Fields.Selector.parse(text).matches { fields[$0] } == expected)
    }
    #expect(throws: SelectorError.self) { try Fields.Selector.parse("abc") }
    #expect(try Fields.Selector.parse(#"a=x\=y"#).description == #"a=x\=y"#)
  }

  @Test func names() {
    #expect(Names.isDNS1123Label("my-name").isEmpty)
    #expect(
      Names.isDNS1123Label("My") == [
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
      ])
    #expect(Names.isDNS1123Label("a.b") == ["must not contain dots"])
    #expect(Names.isDNS1035Label("1a").count == 1)
    #expect(Names.isQualifiedName("example.com/Name_1.x").isEmpty)
    #expect(Names.isQualifiedName("/x") == ["prefix part must be non-empty"])
    #expect(Names.isQualifiedName("a/b/c").count == 1)
    #expect(Names.isLabelValue("").isEmpty)
    #expect(Names.isLabelValue("-x").count == 1)
  }
}
