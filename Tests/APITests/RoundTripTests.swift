import API
import Testing

/// Fills a type from its schema, so that every field of every generated type is read and written.
struct Populator {
  var counter = 0

  mutating func object(_ name: String, path: [String] = []) -> JSONValue {
    guard let schema = builtInSchema.type(named: name) else { return .null }
    var members: [String: JSONValue] = [:]
    for field in schema.fields {
      guard let value = value(field.type, path: path + [name]) else { continue }
      members[field.name] = value
    }
    // Objects within objects say what they are.
    if !path.isEmpty, let gvk = schema.gvks.first {
      members["apiVersion"] = .string(GroupVersion(group: gvk.group, version: gvk.version).apiVersion)
      members["kind"] = .string(gvk.kind)
    }
    return .object(members)
  }

  mutating func value(_ type: SchemaFieldType, path: [String]) -> JSONValue? {
    counter += 1
    switch type {
    case .string: return .string("s\(counter)<&>\u{e9}")
    case .boolean: return .bool(true)
    case .int32: return .int(Int64(counter))
    case .int64: return .int(Int64(counter) << 33)
    case .double: return .double(1.5)
    case .bytes: return .string("AAEC")
    case .any, .rawExtension, .fieldsV1: return .object(["type": .string("object")])
    case .time: return .string("2026-01-02T03:04:05Z")
    case .microTime: return .string("2026-01-02T03:04:05.000006Z")
    case .duration: return .string("1m30s")
    case .quantity: return .string("\(counter)Mi")
    case .intOrString: return counter % 2 == 0 ? .int(8080) : .string("http")
    case .object(let name):
      // Schemas of custom resources hold schemas; once is enough.
      return path.contains(name) ? nil : object(name, path: path)
    case .list(let element): return value(element, path: path).map { .array([$0]) }
    case .map(let element): return value(element, path: path).map { .object(["k\(counter)": $0, "a": $0]) }
    }
  }
}

private func roundTrip<T: APIType>(_ type: T.Type, _ bytes: [UInt8]) throws -> (JSONValue, same: Bool) {
  let first = try T.decode(bytes)
  let again = try T.decode(first.encoded())
  return (try JSONValue(parsing: first.encoded()), first == again && first != T())
}

@Suite struct RoundTripTests {
  @Test func everyGeneratedTypeKeepsEveryField() throws {
    #expect(generatedTypes.count > 400)
    for (name, type) in generatedTypes {
      var populator = Populator()
      var expected = populator.object(name)
      if type is any APIObject.Type {
        expected["apiVersion"] = nil
        expected["kind"] = nil
      }
      guard case .object(let members) = expected, !members.isEmpty else {
        #expect(builtInSchema.type(named: name) != nil, "\(name) has no schema")
        continue
      }
      let (got, same) = try roundTrip(type, expected.encoded())
      let equal = got == expected
      #expect(equal, "\(name)")
      #expect(same, "\(name)")
    }
  }

  @Test func everyKindIsFoundByItsNames() throws {
    for type in Kinds.all {
      #expect(Kinds.type(for: type.gvk) == type)
      #expect(builtInSchema.schema(for: type.gvk) != nil, "\(type.gvk)")
    }
    #expect(Kinds.type(group: "apps", resource: "deployments") == Deployment.self)
    for info in builtInResources where info.preferred && info.stage == "ga" {
      let gvk = GroupVersionKind(group: info.group, version: info.version, kind: info.kind)
      let type = try #require(Kinds.type(for: gvk), "\(gvk)")
      #expect(type.resource == info.resource && type.namespaced == info.namespaced)
    }
  }

  @Test func storedFormStartsWithMetadata() throws {
    var pod = Pod()
    pod.metadata.name = "web"
    pod.metadata.namespace = "default"
    pod.spec.containers = [Container { $0.name = "c" }]
    let stored = String(decoding: pod.encoded(), as: UTF8.self)
    #expect(
      stored
        == #"{"metadata":{"name":"web","namespace":"default"},"spec":{"containers":[{"name":"c","resources":{}}]},"#
        + #""status":{}}"#)
    pod.metadata.resourceVersion = "7"
    #expect(String(decoding: pod.encoded(), as: UTF8.self).hasPrefix(#"{"metadata":{"resourceVersion":"7","name""#))
    let typed = String(decoding: pod.encodedWithType(), as: UTF8.self)
    #expect(typed.hasPrefix(#"{"kind":"Pod","apiVersion":"v1","metadata":{"#))
    #expect(try Pod.decode(Array(typed.utf8)) == pod)
  }

  @Test func nullAndUnknownFieldsAreNoErrors() throws {
    let pod = try Pod.decode(Array(#"{"kind":"Pod","metadata":null,"spec":{"containers":null,"x":[{}]}}"#.utf8))
    #expect(pod == Pod())
  }

  @Test func copiesOfLargeTypesAreIndependent() {
    let a = PodSpec { $0.nodeName = "one" }
    var b = a
    b.nodeName = "two"
    b.tolerations.append(Toleration())
    #expect(a.nodeName == "one" && a.tolerations.isEmpty && b.tolerations.count == 1)
    #expect(PodSpec() == PodSpec { $0.nodeName = "" })
  }
}
