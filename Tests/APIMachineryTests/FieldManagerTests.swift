import Testing

@testable import APIMachinery

private let t1 = Time(seconds: 1_704_067_200)
private let t2 = Time(seconds: 1_704_067_260)
private let manager = FieldManager(
  schema: Sample.schema, apiVersion: "apps/v1", ignored: FieldSet(paths: [["status"]]))

private let web =
  #"{"metadata":{"name":"web","namespace":"default","labels":{"app":"web"}},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"resources":{}}]}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%"}}},"status":{"replicas":1}}"#
private let webFields =
  #"{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}},"f:resources":{}}}}}}}"#

private func fields(_ object: JSONValue, _ name: String, _ operation: String = "Update") -> String? {
  for (id, entry) in ManagedFields(object["metadata"]?["managedFields"])?.sorted ?? []
  where id.name == name && id.operation == operation {
    return String(decoding: entry.fields.set.encoded(), as: UTF8.self)
  }
  return nil
}
private func time(_ object: JSONValue, _ name: String) -> Time? {
  ManagedFields(object["metadata"]?["managedFields"])?.sorted.first { $0.0.name == name }?.1.time
}

@Suite struct UpdateTrackingTests {
  @Test func createOwnsWhatDiffersFromAnEmptyObject() throws {
    let created = manager.create(try Sample.json(web), manager: "kubectl-create", now: t1)
    #expect(fields(created, "kubectl-create") == webFields)
    #expect(time(created, "kubectl-create") == t1)
  }

  @Test func bytesPathAgreesWithTheTree() throws {
    let bytes = try manager.create(Array(web.utf8), manager: "m", now: t1)
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains(webFields.replacing("\\\"", with: "\\\"")))
    #expect(
      text.contains(
        #""managedFields":[{"manager":"m","operation":"Update","apiVersion":"apps/v1","time":"2024-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"#
      ))
    #expect(text.hasPrefix(#"{"metadata":{"name":"web""#))
    #expect(try JSONValue(parsing: bytes) == manager.create(Sample.json(web), manager: "m", now: t1))
    for odd in [
      #"[{"containerPort":1.5},{"containerPort":2e3},{"containerPort":7,"protocol":"a\"<é"}]"#,
      #"[{"containerPort":1},{"containerPort":1},{"name":"x"},{"protocol":null,"containerPort":3}]"#, "null", "[]",
    ] {
      let text = #"{"metadata":{},"spec":{"template":{"spec":{"containers":[{"name":"c","ports":"# + odd + "}]}}}}"
      let bytes = try manager.create(Array(text.utf8), manager: "m", now: t1)
      #expect(try JSONValue(parsing: bytes) == manager.create(Sample.json(text), manager: "m", now: t1))
    }
    let empty = try manager.create(Array(#"{"metadata":{}}"#.utf8), manager: "m", now: t1)
    #expect(empty == Array(#"{"metadata":{}}"#.utf8))
  }

  @Test func changedFieldsMoveToTheWriter() throws {
    var live = manager.create(try Sample.json(web), manager: "a", now: t1)
    var new = live
    new["spec"]?["replicas"] = 3
    new["metadata"]?["labels"]?["extra"] = "x"
    new = manager.update(live: live, new: new, manager: "b", now: t2)
    #expect(fields(new, "b") == #"{"f:metadata":{"f:labels":{"f:extra":{}}},"f:spec":{"f:replicas":{}}}"#)
    #expect(fields(new, "a")?.contains("f:replicas") == false)
    #expect(time(new, "a") == t1)
    #expect(time(new, "b") == t2)
    live = new
    new["metadata"]?["labels"]?["extra"] = nil
    new["spec"]?["replicas"] = nil
    new = manager.update(live: live, new: new, manager: "c", now: t2)
    #expect(fields(new, "b") == nil)
    #expect(fields(new, "c") == nil)
  }

  @Test func writesThatChangeNothingKeepEverything() throws {
    let live = manager.create(try Sample.json(web), manager: "a", now: t1)
    #expect(manager.update(live: live, new: live, manager: "a", now: t2) == live)
    #expect(manager.update(live: live, new: live, manager: "b", now: t2) == live)
    var bare = live
    bare["metadata"]?["managedFields"] = nil  // clients that do not know the list do not erase it
    #expect(manager.update(live: live, new: bare, manager: "b", now: t2) == live)
  }

  @Test func sameWriterKeepsItsFieldsAndGetsANewTime() throws {
    let live = manager.create(try Sample.json(web), manager: "a", now: t1)
    var new = live
    new["spec"]?["replicas"] = 2
    new = manager.update(live: live, new: new, manager: "a", now: t2)
    #expect(fields(new, "a") == webFields)
    #expect(time(new, "a") == t2)
  }

  /// Edits of every kind; the path over bytes must record what the path over trees records.
  @Test(arguments: [
    #"{"spec":{"replicas":2}}"#, #"{"spec":{"replicas":null},"metadata":{"labels":{"x":"y","app":null}}}"#,
    #"{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"j"},{"name":"d"}]}}}}"#,
    #"{"spec":{"strategy":null,"template":{"spec":{"nodeSelector":{"a":"b"}}}}}"#, #"{"status":{"replicas":7}}"#,
    #"{"metadata":{"labels":null,"finalizers":["x","y"]},"unknown":{"a":[1]}}"#, "{}",
    #"{"spec":{"selector":{"matchLabels":{"z":"z"}},"template":{"spec":{"containers":[]}}}}"#,
  ])
  func bytesAgreeWithTreesOnUpdate(_ edit: String) throws {
    let live = manager.create(try Sample.json(web), manager: "a", now: t1)
    for writer in ["a", "b"] {
      let edited = applyMergePatch(live, try Sample.json(edit))
      let expected = manager.update(live: live, new: edited, manager: writer, now: t2)
      let bytes = try manager.update(live: live.encoded(), new: edited.encoded(), manager: writer, now: t2)
      #expect(try JSONValue(parsing: bytes) == expected)
    }
  }

  @Test func statusBelongsToItsSubresource() throws {
    let live = manager.create(try Sample.json(web), manager: "a", now: t1)
    var new = live
    new["status"]?["replicas"] = 5
    #expect(fields(manager.update(live: live, new: new, manager: "b", now: t2), "b") == nil)
    let status = FieldManager(
      schema: Sample.schema, apiVersion: "apps/v1", subresource: "status", ignored: FieldSet(paths: [["spec"]]))
    let written = status.update(live: live, new: new, manager: "b", now: t2)
    #expect(fields(written, "b") == #"{"f:status":{"f:replicas":{}}}"#)
    #expect(written["metadata"]?["managedFields"]?.arrayValue?.last?["subresource"] == "status")
  }

  @Test func resetAndUntracked() throws {
    var live = manager.create(try Sample.json(web), manager: "a", now: t1)
    var new = live
    new["metadata"]?["managedFields"] = [[:]]
    #expect(manager.update(live: live, new: new, manager: "b", now: t2)["metadata"]?["managedFields"] == nil)
    live["metadata"]?["managedFields"] = nil
    new = live
    new["spec"]?["replicas"] = 9
    #expect(manager.update(live: live, new: new, manager: "b", now: t2)["metadata"]?["managedFields"] == nil)
  }

  @Test func oldestUpdatersAreCapped() throws {
    var live = manager.create(try Sample.json(web), manager: "m0", now: t1)
    for i in 1...14 {
      var new = live
      new["metadata"]?["labels"]?["l\(i)"] = "x"
      live = manager.update(live: live, new: new, manager: "m\(i)", now: t1.adding(seconds: Int64(i)))
    }
    let list = ManagedFields(live["metadata"]?["managedFields"])
    #expect(list?.entries.count == 10)
    #expect(fields(live, "ancient-changes")?.contains("f:l1") == true)
    #expect(fields(live, "m14") != nil)
  }
}

@Suite struct ServerSideApplyTests {
  private func apply(
    _ live: JSONValue?, _ config: String, _ name: String = "ssa", force: Bool = false, now: Time = t2
  ) throws -> JSONValue {
    try manager.apply(live: live, config: Sample.json(config), manager: name, force: force, now: now)
  }
  private func config(_ spec: String) -> String {
    #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},"spec":"# + spec + "}"
  }
  private func containers(_ list: String) -> String { config(#"{"template":{"spec":{"containers":\#(list)}}}"#) }

  @Test func createsAndOwnsWhatItSays() throws {
    let made = try apply(
      nil, containers(#"[{"name":"c","image":"i","args":["a","b"],"ports":[{"containerPort":80}]}]"#))
    #expect(
      fields(made, "ssa", "Apply")
        == #"{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}}"#
    )
    #expect(made["metadata"]?["name"] == "web")
  }

  @Test func repeatedApplyChangesNothing() throws {
    let made = try apply(nil, config(#"{"replicas":1}"#), now: t1)
    #expect(try apply(made, config(#"{"replicas":1}"#), now: t2) == made)
  }

  @Test func conflictNamesManagerVersionAndField() throws {
    let live = manager.create(try Sample.json(web), manager: "kubectl-client-side-apply", now: t1)
    do {
      _ = try apply(live, config(#"{"replicas":5}"#))
      Issue.record("no conflict")
    } catch let error as StatusError {
      #expect(
        error.message
          == #"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas"#)
      #expect(error.code == 409 && error.reason == "Conflict")
      #expect(
        error.details?.causes == [
          .init(
            reason: "FieldManagerConflict", message: #"conflict with "kubectl-client-side-apply" using apps/v1"#,
            field: ".spec.replicas")
        ])
    }
  }

  @Test func severalConflictsAreListed() throws {
    let live = try apply(nil, containers(#"[{"name":"c","image":"i"}]"#), "one", now: t1)
    var more = live
    more["spec"]?["replicas"] = 2
    more = manager.update(live: live, new: more, manager: "hpa", now: t1)
    do {
      _ = try apply(
        more, config(#"{"replicas":5,"template":{"spec":{"containers":[{"name":"c","image":"j"}]}}}"#), "two")
      Issue.record("no conflict")
    } catch let error as StatusError {
      #expect(
        error.message
          == "Apply failed with 2 conflicts: conflicts with \"hpa\" using apps/v1:\n- .spec.replicas\nconflicts with \"one\":\n- .spec.template.spec.containers[name=\"c\"].image"
      )
    }
  }

  @Test func forceTakesOver() throws {
    let live = manager.create(try Sample.json(web), manager: "a", now: t1)
    let forced = try apply(live, config(#"{"replicas":5}"#), force: true)
    #expect(forced["spec"]?["replicas"] == 5)
    #expect(fields(forced, "ssa", "Apply") == #"{"f:spec":{"f:replicas":{}}}"#)
    #expect(fields(forced, "a")?.contains("f:replicas") == false)
  }

  @Test func sameValueIsShared() throws {
    let live = manager.create(try Sample.json(web), manager: "a", now: t1)
    let shared = try apply(live, config(#"{"replicas":1}"#))
    #expect(fields(shared, "a") == webFields)
    #expect(fields(shared, "ssa", "Apply") == #"{"f:spec":{"f:replicas":{}}}"#)
    // Given up by one, kept by the other.
    let released = try apply(shared, config("{}"))
    #expect(released["spec"]?["replicas"] == 1)
  }

  @Test func whatIsNoLongerAppliedGoes() throws {
    let made = try apply(
      nil,
      config(
        #"{"replicas":1,"paused":true,"template":{"spec":{"containers":[{"name":"a","image":"i"},{"name":"b","env":[{"name":"x","value":"1"},{"name":"y"}]}]}}}"#
      ), now: t1)
    let next = try apply(
      made, config(#"{"replicas":1,"template":{"spec":{"containers":[{"name":"b","env":[{"name":"y"}]}]}}}"#))
    #expect(next["spec"]?["paused"] == nil)
    #expect(next["spec"]?["template"]?["spec"]?["containers"] == [["name": "b", "env": [["name": "y"]]]])
  }

  @Test func othersKeepTheirListItems() throws {
    let one = try apply(nil, containers(#"[{"name":"a","image":"i"}]"#), "one", now: t1)
    let both = try apply(one, containers(#"[{"name":"b","image":"j"}]"#), "two")
    #expect(
      both["spec"]?["template"]?["spec"]?["containers"]?.arrayValue?.compactMap { $0["name"]?.stringValue } == [
        "a", "b",
      ])
    let rest = try apply(both, config("{}"), "two")
    #expect(rest["spec"]?["template"]?["spec"]?["containers"] == [["name": "a", "image": "i"]])
    #expect(fields(rest, "two", "Apply") != nil || rest["metadata"]?["managedFields"]?.arrayValue?.count == 1)
  }

  @Test func mergedOrderFollowsTheConfiguration() throws {
    let one = try apply(nil, containers(#"[{"name":"a"},{"name":"s"},{"name":"b"}]"#), "one", now: t1)
    let two = try apply(one, containers(#"[{"name":"b"},{"name":"a"},{"name":"n"}]"#), "two")
    let names = two["spec"]?["template"]?["spec"]?["containers"]?.arrayValue?.compactMap { $0["name"]?.stringValue }
    #expect(names == ["s", "b", "a", "n"] || names == ["b", "a", "s", "n"] || names == ["s", "b", "n", "a"])
    #expect(names.map { $0.filter { $0 != "s" } } == ["b", "a", "n"])
  }

  @Test func atomicValuesAreReplacedWhole() throws {
    let one = try apply(nil, config(#"{"selector":{"matchLabels":{"a":"1"}}}"#), now: t1)
    let two = try apply(one, config(#"{"selector":{"matchLabels":{"b":"2"}}}"#))
    #expect(two["spec"]?["selector"] == ["matchLabels": ["b": "2"]])
  }

  @Test func setsAreMergedByValue() throws {
    let live = manager.create(try Sample.json(#"{"metadata":{"name":"x","finalizers":["a"]}}"#), manager: "u", now: t1)
    let two = try apply(live, #"{"metadata":{"name":"x","finalizers":["b"]}}"#)
    #expect(two["metadata"]?["finalizers"] == ["a", "b"])
    #expect(fields(two, "ssa", "Apply") == #"{"f:metadata":{"f:finalizers":{"v:\"b\"":{}}}}"#)
    #expect(try apply(two, #"{"metadata":{"name":"x"}}"#)["metadata"]?["finalizers"] == ["a"])
  }

  @Test func untrackedObjectBelongsToBeforeFirstApply() throws {
    let live = try Sample.json(web)
    do {
      _ = try apply(live, config(#"{"replicas":5}"#))
      Issue.record("no conflict")
    } catch let error as StatusError {
      #expect(error.message.contains(#"conflict with "before-first-apply" using apps/v1: .spec.replicas"#))
    }
  }

  @Test func kubectlTakesOverItsOwnAnnotation() throws {
    var object = try Sample.json(web)
    object["metadata"]?["annotations"] = [
      "kubectl.kubernetes.io/last-applied-configuration": #"{"spec":{"replicas":1}}"#
    ]
    let live = manager.create(object, manager: "kubectl-client-side-apply", now: t1)
    #expect(try apply(live, config(#"{"replicas":5}"#), "kubectl")["spec"]?["replicas"] == 5)
    #expect(throws: StatusError.self) {
      try apply(live, config(#"{"replicas":5,"strategy":{"type":"Recreate"}}"#), "kubectl")
    }
  }

  @Test func malformedConfigurationsAreRefused() {
    for (bad, expected) in [
      (config(#"{"foo":1}"#), ".spec.foo: field not declared in schema"),
      (
        containers(#"[{"name":"a"},{"name":"a"}]"#),
        #".spec.template.spec.containers: duplicate entries for key [name="a"]"#
      ),
      (
        config(#"{"replicas":"x"}"#),
        #".spec.replicas: expected numeric (int or float), got &value.valueUnstructured{Value:"x"}"#
      ),
    ] {
      do {
        _ = try apply(nil, bad)
        Issue.record("accepted \(bad)")
      } catch {
        #expect(
          "\(error)" == "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): \(expected)")
      }
    }
    #expect(throws: StatusError.badRequest("metadata.managedFields must be nil")) {
      try apply(nil, #"{"metadata":{"name":"x","managedFields":[{}]}}"#)
    }
  }

  @Test func fieldSetsRoundTrip() throws {
    let set = try FieldSet.decode(Array(webFields.utf8))
    #expect(String(decoding: set.encoded(), as: UTF8.self) == webFields)
    #expect(set.paths.contains(#".spec.template.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]"#))
    #expect(set.subtracting(set).isEmpty)
    #expect(set.intersection(set) == set && set.union(set) == set)
    #expect(throws: JSONError.self) { try FieldSet.decode(Array(#"{"spec":{}}"#.utf8)) }
  }
}
