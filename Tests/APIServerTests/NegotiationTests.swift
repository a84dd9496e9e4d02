import APIMachinery
import HTTP
import NIOCore
import Protobuf
import Synchronization
import Testing

@testable import APIServer

private let protobuf = "application/vnd.kubernetes.protobuf"

@Suite struct NegotiationTests {
  private func form(_ accept: String, _ place: ResponseForm.Place = .resource) throws -> ResponseForm {
    try ResponseForm.negotiate(accept, for: place)
  }

  @Test func theMostWantedServableClauseWins() throws {
    #expect(try form("") == ResponseForm())
    #expect(try form("*/*").media == .json && form("application/*").media == .json)
    #expect(try form(protobuf).media == .protobuf && form("application/yaml").media == .yaml)
    #expect(try form("\(protobuf),application/json").media == .protobuf)
    #expect(try form("application/json;q=0.5, \(protobuf)").media == .protobuf)
    #expect(try form("*/*, application/yaml").media == .yaml)
    #expect(try form("text/html, application/xhtml+xml, */*;q=0.1").media == .json)
    #expect(try form("application/json;pretty=1").pretty)
    #expect(throws: StatusError.self) { try form("text/html") }
    let problem = #expect(throws: StatusError.self) { try form("image/png") }
    #expect(problem?.code == 406 && problem?.message.contains("application/yaml, \(protobuf)") == true)
  }

  @Test func tablesFallToTheNextEntryWhereTheyCannotBe() throws {
    let table = ";as=Table;v=v1;g=meta.k8s.io"
    #expect(try form("application/json\(table),application/json").output == .table)
    let mixed = try form("\(protobuf)\(table),application/json\(table)")
    #expect(mixed.output == .table && mixed.media == .json)
    let fallen = try form("\(protobuf)\(table),\(protobuf)")
    #expect(fallen.output == .object && fallen.media == .protobuf)
    let partial = try form("\(protobuf);as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
    #expect(partial.output == .partialMetadata && partial.media == .protobuf)
    #expect(throws: StatusError.self) { try form("application/json;as=Other;v=v1;g=meta.k8s.io") }
    // Errors are never tables, and never lost.
    #expect(ResponseForm.forErrors("application/json\(table)") == ResponseForm())
    #expect(ResponseForm.forErrors("application/json\(table),\(protobuf)").media == .protobuf)
  }

  @Test func watchesHaveNoYAML() throws {
    #expect(try form("\(protobuf);stream=watch", .watch).media == .protobuf)
    #expect(try form("application/json;stream=watch,application/json", .watch).media == .json)
    let problem = #expect(throws: StatusError.self) { try form("application/yaml", .watch) }
    #expect(problem?.message.contains("\(protobuf);stream=watch") == true)
  }

  @Test func indentsAsGoDoesAcrossPieces() {
    let json = Array(#"{"a":[],"b":{},"c":[1,"x\"{,:"],"d":{"e":null}}"#.utf8)
    let expected = """
      {
        "a": [],
        "b": {},
        "c": [
          1,
          "x\\"{,:"
        ],
        "d": {
          "e": null
        }
      }
      """
    for size in [1, 3, json.count] {
      var indent = JSONIndent()
      var out: [UInt8] = []
      for start in stride(from: 0, to: json.count, by: size) {
        out += indent.add(json[start..<min(start + size, json.count)])
      }
      #expect(String(decoding: out, as: UTF8.self) == expected)
    }
  }
}

@Suite struct ServedProtobufTests {
  private let maps = "/api/v1/namespaces/default/configmaps"

  private func tree(_ answer: Answer) throws -> JSONValue {
    #expect(answer.headers["content-type"] == protobuf)
    return try JSONValue(parsing: KubernetesProtobuf.json(answer.body))
  }

  private func withServer(_ body: (RegistryHarness) async throws -> Void) async throws {
    try await RegistryHarness.with { harness in
      try await body(harness)
    }
  }

  @Test func everyVerbSpeaksIt() async throws {
    try await withServer { harness in
      let json = #"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}}"#
      let sent = try #require(try KubernetesProtobuf.envelope(Array(json.utf8)))
      let created = try tree(await call(harness, "POST", maps, sent))
      #expect(created["kind"]?.stringValue == "ConfigMap" && created["data"]?["k"]?.stringValue == "v")
      #expect(created["metadata"]?["uid"]?.stringValue?.isEmpty == false)

      let got = await harness.call("GET", maps + "/a", accept: protobuf)
      #expect(got.headers["content-length"] == nil && got.status == 200)
      let plain = try await harness.call("GET", maps + "/a").json()
      #expect(try tree(got) == plain)

      var changed = created
      changed["data"] = .object(["k": .string("w")])
      let body = try #require(try KubernetesProtobuf.envelope(changed.encoded()))
      #expect(try tree(await call(harness, "PUT", maps + "/a", body))["data"]?["k"]?.stringValue == "w")
      let patched = await harness.call(
        "PATCH", maps + "/a", #"{"data":{"k":"x"}}"#, type: "application/merge-patch+json", accept: protobuf)
      #expect(try tree(patched)["data"]?["k"]?.stringValue == "x")

      let list = try tree(await harness.call("GET", maps, accept: protobuf))
      #expect(list["kind"]?.stringValue == "ConfigMapList" && list["metadata"]?["resourceVersion"] != nil)
      #expect(names(list) == ["a"] && list["items"]?.arrayValue?.first?["kind"] == nil)

      let missing = await harness.call("GET", maps + "/b", accept: protobuf)
      #expect(missing.status == 404)
      #expect(try tree(missing)["reason"]?.stringValue == "NotFound")
      let options = Wire.envelope("v1", "DeleteOptions")
      #expect(try tree(await call(harness, "DELETE", maps + "/a", options))["status"]?.stringValue == "Success")
    }
  }

  @Test func badBodiesAndMediaAreNamed() async throws {
    try await withServer { harness in
      let cut = Array(
        try #require(
          try KubernetesProtobuf.envelope(
            Array(#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}"#.utf8))
        ).dropLast(4))
      var broken = cut
      broken[26] = 0xFF
      let answer = await call(harness, "POST", maps, broken)
      #expect(answer.status == 400)
      let noise = await call(harness, "POST", maps, Array("{}".utf8))
      #expect(try tree(noise)["message"]?.stringValue?.contains("expected prefix [107 56 115 0]") == true)
      let unknown = await harness.call("POST", maps, "<a/>", type: "application/xml")
      #expect(unknown.status == 415 && unknown.message.contains(protobuf))
      // Nothing is done for a client that cannot read the answer.
      let unread = await harness.call("POST", maps, #"{"metadata":{"name":"c"}}"#, accept: "text/html")
      #expect(unread.status == 406 && unread.reason == "NotAcceptable")
      #expect(await harness.call("GET", maps + "/c").status == 404)
    }
  }

  @Test func metadataYAMLAndLayout() async throws {
    try await withServer { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a","labels":{"x":"y"}},"data":{"k":"v"}}"#)
      let partial = try tree(
        await harness.call("GET", maps, accept: "\(protobuf);as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"))
      #expect(partial["kind"]?.stringValue == "PartialObjectMetadataList" && names(partial) == ["a"])
      #expect(partial["items"]?.arrayValue?.first?["data"] == nil)
      let single = try tree(
        await harness.call("GET", maps + "/a", accept: "\(protobuf);as=PartialObjectMetadata;g=meta.k8s.io;v=v1"))
      #expect(single["metadata"]?["labels"]?["x"]?.stringValue == "y")

      let yaml = await harness.call("GET", maps, accept: "application/yaml")
      #expect(yaml.headers["content-type"] == "application/yaml" && yaml.text.contains("\nkind: \"ConfigMapList\""))
      let error = await harness.call("GET", maps + "/none", accept: "application/yaml")
      #expect(error.status == 404 && error.text.contains("reason: \"NotFound\""))
      let pretty = await harness.call("GET", maps + "/a?pretty=true")
      #expect(pretty.text.hasPrefix("{\n  \"kind\": \"ConfigMap\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {\n"))
      let plain = try await harness.call("GET", maps + "/a").json()
      #expect(try pretty.json() == plain)
    }
  }

  @Test func largeListsAreStreamedAndCompressed() async throws {
    try await withServer { harness in
      let padding = String(repeating: "0123456789abcdef", count: 4096)
      for index in 0..<20 {
        try await harness.create(maps, #"{"metadata":{"name":"m-\#(index + 10)"},"data":{"k":"\#(padding)"}}"#)
      }
      let plain = await harness.call("GET", maps)
      let large = await harness.call("GET", maps, accept: protobuf)
      guard case .pull = large.response.body else {
        Issue.record("a large list is one piece")
        return
      }
      #expect(try tree(large) == plain.json())

      var request = RegistryHarness.request("GET", maps, "", type: "", accept: "application/json", user: .apiServer)
      request.headers.add("Accept-Encoding", "deflate, gzip")
      let squeezed = await harness.registry.handle(request)
      #expect(squeezed.headers["content-encoding"] == "gzip" && squeezed.headers["vary"] == "Accept-Encoding")
      guard case .pull(let next) = squeezed.body else {
        Issue.record("not in pieces")
        return
      }
      var bytes: [UInt8] = []
      while let piece = next() { bytes += Array(piece.readableBytesView) }
      #expect(bytes.prefix(3) == [0x1F, 0x8B, 8] && bytes.count < plain.body.count / 20)
      // gzip ends with the length of what went in.
      let length = bytes.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      #expect(length == plain.body.count)
      // What is small stays as it is.
      request.info.name = "m-10"
      request.info.verb = "get"
      #expect(await harness.registry.handle(request).headers["content-encoding"] == nil)
    }
  }

  @Test func watchesAreFramedAndEncodedOnce() async throws {
    try await withServer { harness in
      try await harness.create(maps, #"{"metadata":{"name":"a"},"data":{"k":"v"}}"#)
      let request = RegistryHarness.request(
        "GET", maps + "?watch=true&resourceVersion=0", "", type: "",
        accept: "\(protobuf);stream=watch,application/json",
        user: .apiServer)
      let response = await harness.registry.handle(request)
      #expect(response.headers["content-type"] == "\(protobuf);stream=watch")
      guard case .stream(let run) = response.body else {
        Issue.record("no stream")
        return
      }
      let (chunks, continuation) = AsyncStream<[UInt8]>.makeStream()
      let writer = HTTPBodyWriter { buffer in
        if let buffer { continuation.yield(Array(buffer.readableBytesView)) } else { continuation.finish() }
      }
      let task = Task { try? await run(writer) }
      defer { task.cancel() }
      var bytes: [UInt8] = []
      var events: [(String, JSONValue)] = []
      for await chunk in chunks {
        bytes += chunk
        while bytes.count >= 4 {
          let size = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
          guard bytes.count >= 4 + size else { break }
          events.append(try Wire.event(Array(bytes[4..<4 + size])))
          bytes.removeFirst(4 + size)
        }
        if events.count == 1 { _ = await harness.call("DELETE", maps + "/a") }
        if events.count == 2 { break }
      }
      #expect(events.map(\.0) == ["ADDED", "DELETED"] && events.map { name($0.1) } == ["a", "a"])
      #expect(events.first?.1["kind"]?.stringValue == "ConfigMap")
      #expect(events.first?.1["data"]?["k"]?.stringValue == "v")
    }
  }

  @Test func discoveryHasBothForms() throws {
    let documents = DiscoveryDocuments()
    let plain = try #require(documents.answer(path: "/apis/apps/v1", headers: ["accept": protobuf]))
    #expect(plain.headers["content-type"] == protobuf)
    guard case .bytes(let bytes) = plain.body else { return }
    let list = try JSONValue(parsing: KubernetesProtobuf.json(bytes))
    #expect(list["resources"]?.arrayValue?.contains { $0["name"]?.stringValue == "deployments" } == true)
    let wanted = "\(protobuf);g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    let aggregated = try #require(documents.answer(path: "/apis", headers: ["accept": wanted]))
    #expect(aggregated.headers["content-type"] == wanted)
    #expect(documents.answer(path: "/api", headers: ["accept": "image/png"])?.status == 406)
  }

  private func call(_ harness: RegistryHarness, _ method: String, _ target: String, _ body: [UInt8]) async -> Answer {
    await harness.call(method, target, bytes: body, type: protobuf, accept: protobuf)
  }
}

/// Just enough of the wire format to take apart what the server sends.
private enum Wire {
  static func envelope(_ apiVersion: String, _ kind: String) -> [UInt8] {
    let type = field(1, Array(apiVersion.utf8)) + field(2, Array(kind.utf8))
    return [0x6B, 0x38, 0x73, 0] + field(1, type) + field(2, [])
  }

  private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    [number << 3 | 2, UInt8(bytes.count)] + bytes
  }

  static func event(_ bytes: [UInt8]) throws -> (String, JSONValue) {
    // type, then object, then the object's only field.
    var rest = bytes[...]
    let type = try take(1, &rest)
    var object = try take(2, &rest)
    let envelope = try take(1, &object)
    #expect(rest.isEmpty && object.isEmpty)
    return (
      String(decoding: type, as: UTF8.self), try JSONValue(parsing: KubernetesProtobuf.json(Array(envelope)))
    )
  }

  private static func take(_ number: UInt8, _ rest: inout ArraySlice<UInt8>) throws -> ArraySlice<UInt8> {
    try #require(rest.popFirst() == number << 3 | 2)
    var size = 0
    var shift = 0
    while let byte = rest.popFirst() {
      size |= Int(byte & 0x7F) << shift
      shift += 7
      if byte < 0x80 { break }
    }
    try #require(size <= rest.count)
    defer { rest = rest.dropFirst(size) }
    return rest.prefix(size)
  }
}
