import API
import APIMachinery
import APISchema
import CEL
import Client
import Protobuf
import Testing

@testable import APIServer

/// Every parser that reads what clients send. None may end the process, and what is read must mean the same when it is
/// written and read again.
@Suite struct ParserFuzzTests {
  private static let pod = #"""
    {"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"b"},"creationTimestamp":"2026-01-02T03:04:05Z"},
    "spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1500m",
    "memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":"http"},"periodSeconds":3}}],"terminationGracePeriodSeconds":30,
    "tolerations":[{"key":"k","operator":"Exists","effect":"NoSchedule","tolerationSeconds":5}]},"status":{"phase":"Running"}}
    """#
  private static let words = [
    "null", "true", "false", "\"", "\\u0000", "\\ud800", "{}", "[]", ",", ":", "\"metadata\"", "\"$patch\":\"delete\"",
    "\"name\"", "{\"", "}]", "\\\\", "\u{00e9}", "\u{0}",
  ]

  @Test func json() throws {
    let deep = String(repeating: "[", count: 100_000)
    let deepObjects = String(repeating: "{\"a\":", count: 50_000)
    try Fuzzer(
      "json",
      seeds: [
        Self.pod, "[1,2.5,-3e7,\"\\u00e9\\n\",null,true]", "{\"a\":{\"b\":[{}]}}", deep, deepObjects,
        "\"\\ud83d\\ude00\"",
        "1e400", "-0", "  {}  ", "", "-3e-99999999999999999999",
      ], words: Self.words
    ).run { input in
      guard let value = try? JSONValue(parsing: input) else {
        _ = try? Pod.decode(input)
        return
      }
      // Written numbers may look like others (-0 is 0, 1e3 is 1000); what was read once more stays as it is.
      let text = try JSONValue(parsing: value.encoded()).encoded()
      guard try JSONValue(parsing: text).encoded() == text else { throw Wrong("read back as something else") }
      if let pod = try? Pod.decode(input) {
        let bytes = pod.encoded()
        guard try Pod.decode(bytes).encoded() == bytes else { throw Wrong("a pod is written in two ways") }
      }
    }
  }

  @Test func yaml() throws {
    let bomb =
      "a: &a [x,x,x,x,x,x,x,x,x]\n"
      + zip("bcdefghi", "abcdefgh").map {
        "\($0): &\($0) [*\($1),*\($1),*\($1),*\($1),*\($1),*\($1),*\($1),*\($1),*\($1)]\n"
      }
      .joined()
    try Fuzzer(
      "yaml",
      seeds: [
        "kind: Pod\nmetadata:\n  name: p\n  labels: {a: b}\nspec:\n  containers:\n  - name: c\n    args: [\"1\", 2, 0x10]\n",
        "a: |\n  text\n   more\nb: >-\n  folded\n  line\nc: 'it''s'\nd: \"\\u00e9\"\n",
        "- 1\n- 1.5\n- ~\n- yes\n- 2026-01-01\n",
        "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n", "---\na: 1\n---\nb: 2\n", "? [a]\n: b\n", "!!binary aGk=", bomb,
        String(repeating: "[", count: 20_000), String(repeating: "- ", count: 20_000),
        String(repeating: "{a: ", count: 20_000), "a: !!int 99999999999999999999999", "",
      ],
      words: [
        "&a ", "*a", "<<: ", "- ", "? ", ": ", "|", ">", "!!str ", "!!int ", "\n", "  ", "---\n", "#", "'", "%YAML 9",
      ]
    ).run { input in
      guard let value = try? YAMLText.value(String(decoding: input, as: UTF8.self)) else { return }
      // What is no JSON (infinity, for one) must be told apart before it is taken on.
      _ = try? JSONValue(parsing: value.encoded())
    }
  }

  @Test func protobuf() throws {
    var seeds: [[UInt8]] = [Array("k8s\u{0}".utf8), []]
    for text in [
      Self.pod, #"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"},"data":{"a":"b","c":"d"}}"#,
      #"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d"},"spec":{"replicas":3,"selector":{"matchLabels":{"a":"b"}},"template":{},"strategy":{"rollingUpdate":{"maxSurge":"25%"}}}}"#,
    ] {
      if let bytes = try KubernetesProtobuf.envelope(Array(text.utf8)) { seeds.append(bytes) }
    }
    #expect(seeds.count == 5)
    seeds.append(seeds[2] + Array(repeating: 0x0b, count: 5000))
    try Fuzzer("protobuf", bytes: seeds).run { input in
      guard let json = try? KubernetesProtobuf.json(input) else { return }
      guard (try? JSONValue(parsing: json)) != nil else { throw Wrong("a message became no JSON") }
      // What a message leaves out is there, empty, once it was written; from then on nothing changes any more.
      guard let bytes = try? KubernetesProtobuf.envelope(json) else { return }
      let first = try KubernetesProtobuf.json(bytes)
      let second = try KubernetesProtobuf.envelope(first).map { try KubernetesProtobuf.json($0) }
      guard second == first else {
        throw Wrong("\(String(decoding: first, as: UTF8.self)) became \(String(decoding: second ?? [], as: UTF8.self))")
      }
    }
  }

  @Test func patches() throws {
    let pod = try JSONValue(parsing: Array(Self.pod.utf8))
    let schema = try #require(builtInSchema.schema(for: GroupVersionKind(group: "", version: "v1", kind: "Pod")))
    try Fuzzer(
      "patches",
      seeds: [
        #"[{"op":"add","path":"/metadata/labels/x","value":"y"},{"op":"remove","path":"/spec/containers/0"}]"#,
        #"[{"op":"test","path":"/a~1b/~0","value":[1]},{"op":"move","from":"/spec","path":"/status"},{"op":"copy","from":"","path":"/-"}]"#,
        #"[{"op":"replace","path":"/spec/containers/-1","value":null}]"#,
        #"{"metadata":{"labels":{"a":null,"$patch":"replace"}},"spec":{"containers":[{"name":"c","$patch":"delete"}]}}"#,
        #"{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","ports":[{"$patch":"replace"}]}]}}"#,
        #"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]},"spec":{"$retainKeys":["containers"],"tolerations":[]}}"#,
      ],
      words: Self.words + [
        "\"$retainKeys\":[\"a\"]", "\"$setElementOrder/containers\":[{\"name\":\"c\"}]", "\"$patch\":\"merge\"", "/-",
        "/0", "~2",
        "\"op\":\"move\"", "\"from\":\"\"",
      ]
    ).run { input in
      guard let patch = try? JSONValue(parsing: input) else { return }
      _ = try? applyJSONPatch(pod, patch)
      let merged = applyMergePatch(pod, patch)
      guard applyMergePatch(merged, patch) == merged else { throw Wrong("a merge patch changes more the second time") }
      _ = try? applyStrategicMergePatch(pod, patch, schema)
    }
  }

  @Test func expressions() throws {
    var environment = CELEnvironment()
    environment.declare("self", .dyn)
    environment.declare("n", .int)
    let activation = try CELActivation(["self": CELValue(json: JSONValue(parsing: Array(Self.pod.utf8))), "n": .int(3)])
    let fixed = environment
    try Fuzzer(
      "cel",
      seeds: [
        "self.spec.containers.all(c, c.name.matches('^[a-z]+$') && size(c.image) > 0)", "n * 2 + 1 == 7 ? 'a' : \"b\"",
        "[1, 2u, 3.5, b'x', null][n - 3]", "{'a': {1: [timestamp('2026-01-01T00:00:00Z')]}}",
        "has(self.metadata.labels) && self.metadata.labels.exists_one(k, k == 'a')", "self.?spec.?x.orValue(3)",
        "quantity('1Gi').isGreaterThan(quantity('500M')) && ip('::1').isLoopback()", "'%s %d'.format(['a', 1])",
        "[3,1,2].sort().map(x, x * 10).filter(x, x > 10).sum()", "url('https://a/b?c=d').getQuery()",
        "r'\\d' + '''x'''",
        String(repeating: "(", count: 5000), String(repeating: "!", count: 5000), String(repeating: "a.", count: 3000),
        String(repeating: "1+", count: 3000) + "1", String(repeating: "[", count: 5000), "9223372036854775807 + 1",
        "1 / 0",
        "-9223372036854775808 % -1", "duration('1h') * 2", "'a'.charAt(9)", "[1].slice(5, 9)",
      ],
      words: [
        "&&", "||", "?", ":", "(", ")", "[", "]", ".", ".map(x, ", "has(", "size(", "matches(", " in ", "==", "'", "\"",
        "1u", "\\",
      ]
    ).run { input in
      guard let program = try? fixed.compile(String(decoding: input, as: UTF8.self)) else { return }
      _ = try? program.evaluate(activation, costLimit: 100_000)
    }
  }

  @Test func selectors() throws {
    try Fuzzer(
      "selectors",
      seeds: [
        "a=b,c!=d", "a in (b,c),!d,e", "x notin ()", "a>1,b<2", "metadata.name=x,status.phase!=Running", "a==b",
        " a , b ",
        "spec.x=a\\,b\\=c", "a in (", "",
      ], words: [" in ", " notin ", "(", ")", ",", "=", "!=", "==", "!", ">", "<", "\\", " ", "/"]
    ).run { input in
      let text = String(decoding: input, as: UTF8.self)
      if let selector = try? Labels.Selector.parse(text) {
        guard let again = try? Labels.Selector.parse("\(selector)"), "\(again)" == "\(selector)" else {
          throw Wrong("a label selector is written as what cannot be read: \(selector)")
        }
        _ = selector.matches(["a": "b", "c": "1"])
      }
      if let selector = try? Fields.Selector.parse(text) {
        guard let again = try? Fields.Selector.parse("\(selector)"), again == selector else {
          throw Wrong("a field selector is written as what cannot be read: \(selector)")
        }
        _ = selector.matches { $0 }
      }
    }
  }

  @Test func continueTokens() throws {
    try Fuzzer(
      "continue",
      seeds: [
        ContinueToken(revision: 5, after: "default/a").text, ContinueToken(revision: nil, after: "").text, "e30", "!",
        "",
        Base64URL.encode(Array(#"{"v":"meta.k8s.io/v1","rv":-9223372036854775808,"start":"x"}"#.utf8)),
      ]
    ).run { input in
      for text in [String(decoding: input, as: UTF8.self), Base64URL.encode(input)] {
        guard let token = try? ContinueToken(text) else { continue }
        let again = try ContinueToken(token.text)
        guard again.after == token.after, again.revision == token.revision else {
          throw Wrong("read back as something else")
        }
      }
    }
  }

  @Test func quantitiesAndTimes() throws {
    try Fuzzer(
      "quantities",
      seeds: [
        "1500m", "1Gi", "1e3", "-2.5E6", ".5Ki", ".9999999999999999999Ei", "-2.599999999999999999Ei",
        "-9223372036854775809.99999999999999999995E6", "0",
        "9999999999999999999Ei", "1n",
        "2026-01-02T03:04:05.678901234+14:00",
        "1h30m5.25s", "-1ns",
      ], words: ["e", "E", "Ki", "m", "u", "n", "Ei", ".", "-", "+", "T", "Z", ":"]
    ).run { input in
      let text = String(decoding: input, as: UTF8.self)
      if let quantity = try? Quantity(parsing: text) {
        guard let again = try? Quantity(parsing: "\(quantity)"), again == quantity else {
          throw Wrong(
            "a quantity is written as another: \(quantity), \((try? Quantity(parsing: "\(quantity)")).debugDescription)"
          )
        }
        _ = (quantity.value, quantity.milliValue)
      }
      if let time = Time(rfc3339: text) {
        guard Time(rfc3339: time.description) == time else { throw Wrong("a time is written as another: \(time)") }
      }
      if let duration = GoDuration(parsing: text) {
        guard GoDuration(parsing: duration.description) == duration else {
          throw Wrong("a duration is written as another: \(duration)")
        }
      }
    }
  }
}
