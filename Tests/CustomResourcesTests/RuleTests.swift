import APIMachinery
import Testing

@testable import CustomResources

@Suite struct RuleTests {
  private static func validator(_ rules: String, _ fields: String = "") -> RuleValidator? {
    RuleValidator(
      StructuralSchema(
        json(
          #"""
          {"type":"object","properties":{"spec":{"type":"object","x-kubernetes-validations":[\#(rules)],"properties":{
            "min":{"type":"integer"},"max":{"type":"integer"},"name":{"type":"string"},
            "size":{"type":"string","x-kubernetes-validations":[{"rule":"self.size() < 4","message":"too big"}]},
            "list":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{
              "type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer",
              "x-kubernetes-validations":[{"rule":"self >= oldSelf","message":"only up"}]}}}}
            \#(fields)}}}}
          """#)))
  }

  @Test(arguments: [
    (
      #"{"rule":"self.min <= self.max"}"#, #"{"min":2,"max":1}"#,
      ["spec: Invalid value: failed rule: self.min <= self.max"]
    ),
    (#"{"rule":"self.min <= self.max"}"#, #"{"min":1,"max":1}"#, []),
    (
      #"{"rule":"self.min <= self.max","message":"bad order"}"#, #"{"min":2,"max":1}"#,
      ["spec: Invalid value: bad order"]
    ),
    (
      #"{"rule":"self.min <= self.max","messageExpression":"'min ' + string(self.min)","fieldPath":".min"}"#,
      #"{"min":2,"max":1}"#, ["spec.min: Invalid value: min 2"]
    ),
    (
      #"{"rule":"self.min <= self.max","reason":"FieldValueForbidden","message":"no"}"#, #"{"min":2,"max":1}"#,
      ["spec: Forbidden: no"]
    ),
    (
      #"{"rule":"self.min <= self.max"}"#, #"{"max":1}"#,
      [#"spec: Invalid value: "object": no such key: min evaluating rule: self.min <= self.max"#]
    ),
    (#"{"rule":"oldSelf.min == self.min"}"#, #"{"min":2}"#, []),
    (#"{"rule":"true"}"#, #"{"size":"12345"}"#, [#"spec.size: Invalid value: "12345": too big"#]),
  ])
  func says(_ rule: String, _ spec: String, _ errors: [String]) {
    let result = Self.validator(rule)?.validate(json(#"{"spec":\#(spec)}"#), old: nil)
    #expect(result?.errors.map(\.message) == errors)
  }

  @Test func transitionsCompareWithWhatWas() {
    let validator = Self.validator(#"{"rule":"self.name == oldSelf.name","message":"name stays"}"#)
    let old = json(#"{"spec":{"name":"a","list":[{"k":"x","v":5},{"k":"y","v":1}]}}"#)
    let new = json(#"{"spec":{"name":"b","list":[{"k":"y","v":2},{"k":"x","v":4},{"k":"z","v":0}]}}"#)
    #expect(validator?.validate(new, old: nil).errors.isEmpty == true)
    #expect(
      validator?.validate(new, old: old).errors.map(\.message) == [
        "spec: Invalid value: name stays", "spec.list[1].v: Invalid value: 4: only up",
      ])
  }

  @Test func anOptionalOldSelfIsThereAtCreation() {
    let validator = Self.validator(
      #"{"rule":"oldSelf.hasValue() || self.min == 1","optionalOldSelf":true,"message":"starts at one"}"#)
    #expect(
      validator?.validate(json(#"{"spec":{"min":2}}"#), old: nil).errors.map(\.message) == [
        "spec: Invalid value: starts at one"
      ])
    #expect(validator?.validate(json(#"{"spec":{"min":2}}"#), old: json(#"{"spec":{"min":1}}"#)).errors.isEmpty == true)
  }

  @Test func whatWasWrongAndStaysIsOnlyPointedOut() {
    let validator = Self.validator(#"{"rule":"true"}"#)
    let old = json(#"{"spec":{"size":"12345","min":1}}"#)
    let result = validator?.validate(json(#"{"spec":{"size":"12345","min":2}}"#), old: old)
    #expect(result?.errors.isEmpty == true)
    #expect(result?.warnings == [#"spec.size: Invalid value: "12345": too big"#])
  }

  @Test func anObjectHasABudget() {
    let list = JSONValue.array((0..<3000).map { .string("x\($0)") })
    let validator = RuleValidator(
      StructuralSchema(
        json(
          #"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"},"x-kubernetes-validations":[{"rule":"self.all(x, self.all(y, x == y || x != y))"}]}}}"#
        )))
    let errors = validator?.validate(.object(["a": list]), old: nil).errors ?? []
    #expect(
      errors.map(\.detail) == [
        "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost "
          + "exceeds limit for rule: self.all(x, self.all(y, x == y || x != y))"
      ])
  }
}

@Suite struct SchemaCheckTests {
  private static func check(_ schema: String) -> [String] {
    SchemaCheck(json(schema), at: FieldPath("s")).errors.map(\.message)
  }

  @Test(arguments: [
    (#"{"type":"object"}"#, []),
    (#"{"properties":{}}"#, ["s.type: Required value: must not be empty at the root"]),
    (#"{"type":"string"}"#, [#"s.type: Invalid value: "string": must be object at the root"#]),
    (
      #"{"type":"object","properties":{"a":{}}}"#,
      ["s.properties[a].type: Required value: must not be empty for specified object fields"]
    ),
    (
      #"{"type":"object","properties":{"a":{"type":"array"}}}"#,
      ["s.properties[a].items: Required value: must be specified"]
    ),
    (
      #"{"type":"object","properties":{"a":{"type":"array","items":{}}}}"#,
      ["s.properties[a].items.type: Required value: must not be empty for specified array items"]
    ),
    (
      #"{"type":"object","anyOf":[{"properties":{"b":{"minimum":1}}}]}"#,
      ["s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"]
    ),
    (
      #"{"type":"object","properties":{"b":{"type":"integer"}},"allOf":[{"properties":{"b":{"type":"integer"}}}]}"#,
      ["s.allOf[0].properties[b].type: Forbidden: must be empty to be structural"]
    ),
    (
      #"{"type":"object","properties":{"metadata":{"type":"object","properties":{"labels":{"type":"object"}}}}}"#,
      [
        "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is "
          + "implicitly specified"
      ]
    ),
    (
      #"{"type":"object","properties":{"a":{"type":"string","pattern":"("}}}"#,
      [
        "s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing "
          + "regexp: missing closing ): `(`"
      ]
    ),
    (
      #"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"},"uniqueItems":true}}}"#,
      [
        "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes "
          + "quadratic"
      ]
    ),
    (
      #"{"type":"object","properties":{"a":{"type":"integer","default":"x"}}}"#,
      [
        #"s.properties[a].default: Invalid value: "string":  in body must be of type integer: "string""#
      ]
    ),
    (
      #"{"type":"object","properties":{"a":{"type":"array","x-kubernetes-list-type":"map","items":{"type":"object","properties":{"k":{"type":"string"}}},"x-kubernetes-list-map-keys":["k"]}}}"#,
      [
        "s.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so "
          + "it must have a default or be a required property"
      ]
    ),
    (
      #"{"type":"object","x-kubernetes-validations":[{"rule":" "}]}"#,
      ["s.x-kubernetes-validations[0].rule: Required value: rule is not specified"]
    ),
  ])
  func says(_ schema: String, _ errors: [String]) { #expect(Self.check(schema) == errors) }

  @Test func rulesMustCompileAndBeCheap() {
    let bad = Self.check(
      #"{"type":"object","properties":{"a":{"type":"string"}},"x-kubernetes-validations":[{"rule":"self.a + 1 == 2"}]}"#
    )
    #expect(bad.count == 1)
    #expect(bad.first?.contains("compilation failed: ERROR: <input>:1:8: found no matching overload for '_+_'") == true)
    #expect(
      bad.first?.hasPrefix("s.x-kubernetes-validations[0].rule: Invalid value: apiextensions.ValidationRule{Rule:")
        == true)
    let dear = Self.check(
      #"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"},"x-kubernetes-validations":[{"rule":"self.all(x, self.all(y, x == y))"}]}}}"#
    )
    #expect(
      dear.first
        == "s.properties[a].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of "
        + "more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, "
        + "and strings are declared)")
  }
}
