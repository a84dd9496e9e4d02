import APIMachinery
import Testing

@testable import CustomResources

func json(_ text: String) -> JSONValue {
  // Literals of the tests themselves.
  (try? JSONValue(parsing: Array(text.utf8))) ?? .string("not JSON: \(text)")
}

let cronTab = StructuralSchema(
  json(
    #"""
    {"type":"object","properties":{
      "spec":{"type":"object","required":["image"],"properties":{
        "image":{"type":"string","minLength":2,"maxLength":8,"pattern":"^[a-z]+$"},
        "replicas":{"type":"integer","minimum":1,"maximum":10,"default":1},
        "mode":{"type":"string","enum":["a","b"]},
        "port":{"x-kubernetes-int-or-string":true},
        "when":{"type":"string","format":"date-time"},
        "note":{"type":"string","nullable":true},
        "odd":{"type":"integer","multipleOf":3,"minimum":0,"exclusiveMinimum":true},
        "tags":{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set","maxItems":2},
        "ports":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],
          "items":{"type":"object","required":["name"],"properties":{
            "name":{"type":"string"},"protocol":{"type":"string","default":"TCP"}}}},
        "limits":{"type":"object","additionalProperties":{"type":"integer","maximum":5},"minProperties":1},
        "any":{"type":"object","x-kubernetes-preserve-unknown-fields":true,
          "properties":{"known":{"type":"object","properties":{"a":{"type":"string"}}}}},
        "one":{"type":"object","properties":{"x":{"type":"string"},"y":{"type":"string"}},
          "oneOf":[{"required":["x"]},{"required":["y"]}]},
        "some":{"type":"object","properties":{"x":{"type":"string"},"y":{"type":"string"}},
          "anyOf":[{"required":["x"]},{"required":["y"]}],"not":{"required":["x","y"]}},
        "template":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}
      }}}}
    """#))

@Suite struct StructuralTests {
  @Test(arguments: [
    (#"{}"#, []),
    (#"{"spec":{}}"#, ["spec.image: Required value"]),
    (
      #"{"spec":{"image":"x"}}"#,
      [#"spec.image: Invalid value: "x": spec.image in body should be at least 2 chars long"#]
    ),
    (#"{"spec":{"image":"abcdefghi"}}"#, ["spec.image: Too long: may not be more than 8 bytes"]),
    (#"{"spec":{"image":"A1"}}"#, [#"spec.image: Invalid value: "A1": spec.image in body should match '^[a-z]+$'"#]),
    (
      #"{"spec":{"image":7}}"#,
      [#"spec.image: Invalid value: "integer": spec.image in body must be of type string: "integer""#]
    ),
    (
      #"{"spec":{"image":"ab","replicas":11}}"#,
      ["spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10"]
    ),
    (
      #"{"spec":{"image":"ab","replicas":0}}"#,
      ["spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1"]
    ),
    (
      #"{"spec":{"image":"ab","odd":0}}"#, ["spec.odd: Invalid value: 0: spec.odd in body should be greater than 0"]
    ),
    (#"{"spec":{"image":"ab","odd":4}}"#, ["spec.odd: Invalid value: 4: spec.odd in body should be a multiple of 3"]),
    (#"{"spec":{"image":"ab","mode":"c"}}"#, [#"spec.mode: Unsupported value: "c": supported values: "a", "b""#]),
    (#"{"spec":{"image":"ab","port":"http"}}"#, []),
    (#"{"spec":{"image":"ab","port":80}}"#, []),
    (
      #"{"spec":{"image":"ab","port":true}}"#,
      [#"spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean""#]
    ),
    (
      #"{"spec":{"image":"ab","when":"soon"}}"#,
      [#"spec.when: Invalid value: "soon": spec.when in body must be of type date-time: "soon""#]
    ),
    (#"{"spec":{"image":"ab","when":"2026-01-02T03:04:05Z","note":null}}"#, []),
    (
      #"{"spec":{"image":"ab","mode":null}}"#,
      [#"spec.mode: Invalid value: "null": spec.mode in body must be of type string: "null""#]
    ),
    (#"{"spec":{"image":"ab","tags":["a","b","c"]}}"#, ["spec.tags: Too many: 3: must have at most 2 items"]),
    (
      #"{"spec":{"image":"ab","limits":{}}}"#,
      ["spec.limits: Invalid value: 0: spec.limits in body should have at least 1 properties"]
    ),
    (
      #"{"spec":{"image":"ab","limits":{"cpu":6}}}"#,
      ["spec.limits.cpu: Invalid value: 6: spec.limits.cpu in body should be less than or equal to 5"]
    ),
    (
      #"{"spec":{"image":"ab","one":{"x":"","y":""}}}"#,
      [
        #"<nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
      ]
    ),
    (
      #"{"spec":{"image":"ab","some":{}}}"#,
      [
        #"<nil>: Invalid value: "": "spec.some" must validate at least one schema (anyOf)"#,
        "spec.some.x: Required value",
      ]
    ),
    (
      #"{"spec":{"image":"ab","some":{"x":"","y":""}}}"#,
      [#"<nil>: Invalid value: "": "spec.some" must not validate the schema (not)"#]
    ),
  ])
  func says(_ object: String, _ errors: [String]) {
    #expect(cronTab.validate(json(object)).map(\.message) == errors)
  }

  @Test func whatIsUnknownGoes() {
    var object = json(
      #"{"apiVersion":"a/v1","kind":"K","metadata":{"name":"x","odd":1},"extra":1,"spec":{"image":"ab","bad":1,"any":{"z":{"q":1},"known":{"a":"","b":""}},"ports":[{"name":"x","no":1}],"template":{"kind":"Pod","metadata":{"name":"n"},"spec":{"x":1}}}}"#
    )
    cronTab.prune(&object)
    #expect(
      object
        == json(
          #"{"apiVersion":"a/v1","kind":"K","metadata":{"name":"x","odd":1},"spec":{"image":"ab","any":{"z":{"q":1},"known":{"a":""}},"ports":[{"name":"x"}],"template":{"kind":"Pod","metadata":{"name":"n"},"spec":{"x":1}}}}"#
        ))
  }

  @Test func defaultsFillGapsAndNulls() {
    var object = json(#"{"spec":{"replicas":null,"note":null,"ports":[{"name":"x"},{"name":"y","protocol":"UDP"}]}}"#)
    cronTab.applyDefaults(&object)
    #expect(
      object
        == json(
          #"{"spec":{"replicas":1,"note":null,"ports":[{"name":"x","protocol":"TCP"},{"name":"y","protocol":"UDP"}]}}"#)
    )
  }

  @Test func whatWasWrongAndStaysIsLeft() {
    let old = json(#"{"spec":{"image":"x","replicas":0,"ports":[{"name":7},{"name":"b"}]}}"#)
    let new = json(#"{"spec":{"image":"x","replicas":11,"ports":[{"name":7},{"name":"c"}]}}"#)
    #expect(
      cronTab.validate(new, old: old).map(\.message) == [
        "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10"
      ])
    #expect(cronTab.validate(new).count == 3)
  }

  @Test func setsAndMapsHoldNothingTwice() {
    let object = json(#"{"spec":{"tags":["a","b","a","a"],"ports":[{"name":"x"},{"name":"y"},{"name":"x"}]}}"#)
    #expect(
      cronTab.validateLists(object).map(\.message) == [
        #"spec.ports[2]: Duplicate value: {"name":"x"}"#, #"spec.tags[2]: Duplicate value: "a""#,
      ])
  }

  @Test func applySeesListsAndMaps() {
    let kind = GroupVersionKind(group: "a.b", version: "v1", kind: "K")
    let metadata = Schema(name: "Meta", fields: [SchemaField(name: "name", type: .string)])
    let table = cronTab.applyTable(kind, name: "a.b.v1.K", metadata: "Meta", shared: [metadata])
    let root = table.schema(for: kind)
    let spec = root?.field("spec")?.objectType
    #expect(spec?.field("ports")?.listMapKeys == ["name"])
    #expect(spec?.field("ports")?.objectType?.field("protocol")?.defaultJSON == "\"TCP\"")
    #expect(spec?.field("limits")?.type == .map(.int64))
    #expect(root?.field("metadata")?.objectType === metadata)
    let strict = strictErrors(
      Array(#"{"metadata":{"name":"a"},"spec":{"any":{"x":1},"imag":"a","ports":[{"q":1}]},"x":1}"#.utf8),
      root ?? metadata)
    #expect(
      strict == [#"unknown field "spec.imag""#, #"unknown field "spec.ports[0].q""#, #"unknown field "x""#])
  }
}

@Suite struct FormatTests {
  @Test(arguments: [
    ("date-time", "2026-02-28T10:00:00+02:00", true), ("date-time", "2026-02-30T10:00:00Z", false),
    ("date", "2026-02-28", true), ("date", "28.2.2026", false), ("ipv4", "10.0.0.1", true), ("ipv4", "10.0.0", false),
    ("ipv4", "10.0.0.256", false), ("ipv6", "fe80::1", true), ("ipv6", "1:2:3", false),
    ("ipv6", "::ffff:1.2.3.4", true),
    ("cidr", "10.0.0.0/8", true), ("cidr", "10.0.0.0/33", false), ("mac", "01:23:45:67:89:ab", true),
    ("mac", "x", false),
    ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", true), ("uuid4", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", false),
    ("email", "a@b.c", true), ("email", "a", false), ("hostname", "a.b-c.d", true), ("hostname", "-a", false),
    ("uri", "https://x/y", true), ("uri", "x y", false), ("byte", "YWJj", true), ("byte", "%", false),
    ("duration", "1h30m", true), ("duration", "3 days", true), ("duration", "x", false),
    ("hexcolor", "#FFF", true), ("hexcolor", "#FFFF", false), ("rgbcolor", "rgb(1, 2, 3)", true),
    ("ssn", "123-45-6789", true), ("creditcard", "4111111111111111", true), ("isbn10", "0-306-40615-2", true),
    ("isbn13", "978-0-306-40615-7", true), ("bsonobjectid", "507f1f77bcf86cd799439011", true),
    ("uuid3", "6ba7b810-9dad-31d1-80b4-00c04fd430c8", true), ("uuid5", "6ba7b810-9dad-51d1-80b4-00c04fd430c8", true),
  ])
  func checks(_ format: String, _ text: String, _ holds: Bool) { #expect(StringFormat.check(text, format) == holds) }

  @Test func othersAreNotChecked() { #expect(StringFormat.check("x", "my-own") == nil) }
}

@Suite struct JSONPathTests {
  private static let pod = json(
    #"{"metadata":{"name":"p","annotations":{"a.b/c":"yes"}},"spec":{"containers":[{"name":"x","port":1},{"name":"y","port":2}]},"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Other","status":"False"}]}}"#
  )

  @Test(arguments: [
    (".metadata.name", #"["p"]"#), (".spec.containers[0].name", #"["x"]"#), (".spec.containers[-1].name", #"["y"]"#),
    (".spec.containers[*].name", #"["x","y"]"#), (".spec.containers[0:1].port", "[1]"),
    (#".status.conditions[?(@.type=="Ready")].status"#, #"["True"]"#),
    (#".status.conditions[?(@.type!='Ready')].status"#, #"["False"]"#),
    (".spec.containers[?(@.port>1)].name", #"["y"]"#), (".spec.containers[?(@.missing)].name", "[]"),
    (#".metadata.annotations.a\.b/c"#, #"["yes"]"#), (".metadata.annotations['a.b/c']", #"["yes"]"#),
    (".nothing.here", "[]"), ("..name", #"["p","x","y"]"#),
  ])
  func finds(_ path: String, _ values: String) throws {
    #expect(JSONValue.array(try JSONPath(path).find(in: Self.pod)) == json(values))
  }

  @Test(arguments: [".a[", ".a[x", ".", ".a[?(x)]", ".a[?(@.x=3)]"])
  func refuses(_ path: String) { #expect(throws: JSONPath.SyntaxError.self) { try JSONPath(path) } }
}
