import APIMachinery
import Testing

@testable import CEL

@Suite struct Schemas {
  private let schema: JSONValue = [
    "type": "object", "required": ["replicas"],
    "properties": [
      "replicas": ["type": "integer"], "min-ready": ["type": "integer"],
      "namespace": ["type": "string", "maxLength": 10],
      "port": ["x-kubernetes-int-or-string": true], "at": ["type": "string", "format": "date-time"],
      "for": ["type": "string", "format": "duration"], "raw": ["type": "string", "format": "byte"],
      "any": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
      "maybe": ["type": "string", "nullable": true],
      "set": [
        "type": "array", "maxItems": 5, "x-kubernetes-list-type": "set", "items": ["type": "string", "maxLength": 10],
      ],
      "byKey": [
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": ["type": "object", "properties": ["k": ["type": "string"], "v": ["type": "integer"]]],
      ],
      "labels": ["type": "object", "additionalProperties": ["type": "string"]],
    ],
  ]
  private let object: JSONValue = [
    "replicas": 3, "min-ready": 5, "namespace": "ns", "port": "http", "at": "2020-01-02T03:04:05Z", "for": "90s",
    "raw": "aGk=", "any": ["x": [1, 2]], "maybe": .null, "set": ["a", "b"],
    "byKey": [["k": "a", "v": 1], ["k": "b", "v": 2]], "labels": ["app": "web"],
  ]

  private func run(_ source: String) throws -> String {
    let type = try #require(CELSchemaType.structural(schema))
    var environment = CELEnvironment()
    environment.declare("self", type)
    return outcome(source, environment, ["self": try CELValue(json: object, schema: type)])
  }

  @Test func fieldsAndFormats() throws {
    #expect(try run("self.replicas + 1") == "4")
    #expect(try run("self.min__dash__ready") == "5")
    #expect(try run("self.__namespace__ == 'ns' && self.__for__ == duration('1m30s')") == "true")
    #expect(try run("self.at.getFullYear()") == "2020")
    #expect(try run("self.raw") == "b'68 69'")
    #expect(try run("type(self.port) == string || self.port == 80") == "true")
    #expect(try run("self.any.x[1]") == "2")
    #expect(try run("has(self.maybe) && self.maybe == null").contains("applied to '(string, null)'"))
    #expect(try run("has(self.labels.app) && !has(self.labels.x)") == "true")
    #expect(try run("self.labels.all(k, self.labels[k] == 'web')") == "true")
    #expect(try run("self.nope").contains("undefined field 'nope'"))
    #expect(try run("self.byKey.map(e, e.v)") == "[1, 2]")
  }

  @Test func setsAndMapsOfLists() throws {
    #expect(try run("self.set == ['b', 'a']") == "true")
    #expect(try run("self.set + ['b', 'c']") == "['a', 'b', 'c']")
  }

  @Test func costs() throws {
    let type = try #require(CELSchemaType.structural(schema))
    var environment = CELEnvironment()
    environment.declare("self", type)
    let program = try environment.compile("self.set.all(x, x.contains('a'))")
    let estimate = program.estimatedCost
    let value = try CELValue(json: object, schema: type)
    let actual = try program.evaluateWithCost(CELActivation(["self": value])).cost
    #expect(estimate.max < 100 && actual <= estimate.max && actual >= estimate.min && actual > 2)
    let unbounded = try environment.compile("self.byKey.all(x, self.byKey.all(y, x.k == y.k))").estimatedCost
    #expect(unbounded.max > 10_000_000)
    #expect(throws: CELError.self) {
      try environment.compile("[1,2,3].map(x, [1,2,3].map(y, x * y)).size() > 0").evaluate(
        CELActivation(), costLimit: 20)
    }
    var budget: UInt64 = 1000
    _ = try program.evaluate(CELActivation(["self": value]), costLimit: 500, budget: &budget)
    #expect(budget == 1000 - actual)
  }
}

@Suite struct Regexes {
  @Test(arguments: [
    ("a|b", "xxb", true), ("^a.c$", "abc", true), ("^a.c$", "a\nc", false), ("(?s)^a.c$", "a\nc", true),
    ("^[[:alpha:]]+$", "abc", true), ("^[^a-c]+$", "abd", false), ("^\\d{2,3}$", "1234", false),
    ("\\bfoo\\b", "a foo b", true), ("(?m)^b$", "a\nb", true), ("^(?i:AB)c$", "abc", true), ("x{,2}", "x{,2}", true),
    ("^\\pN+$", "12", true), ("[\\]]", "]", true), ("^\\Qa.b\\E$", "a.b", true), ("^(a*)*$", "aaaa", true),
    ("^(?P<n>a)$", "a", true), ("^\\x{41}$", "A", true), ("^[a\\-z]$", "-", true), ("^\\w+$", "é", false),
  ])
  func matches(_ pattern: String, _ text: String, _ wanted: Bool) throws {
    #expect(try RE2(pattern).matches(text) == wanted)
  }

  @Test(arguments: ["a{1001}", "[b-a]", "(", ")", "[a", "a**", "\\8", "(?<=a)", "*a", "\\", "(?z)", "\\pX"])
  func rejects(_ pattern: String) { #expect(throws: RE2.SyntaxError.self) { try RE2(pattern) } }

  @Test func staysLinear() throws {
    let text = String(repeating: "a", count: 3000)
    #expect(try !RE2("^(a+)+$").matches(text + "b"))
  }
}

@Suite struct Fuzz {
  /// Whatever comes in, the answer is a value or an error.
  @Test func neverCrashes() {
    var random = SystemRandomNumberGenerator()
    let seeds = [
      "[1, 2].map(x, x * 2).filter(y, y > 1)", "{'a': 1u, 'b': 2.5}['a'] == 1 ? \"x\" : b'\\xff'",
      "a.?b[?0].orValue(timestamp('2020-01-01T00:00:00Z'))", "'%s %d'.format(['a', 1]).matches('^a.*$')",
      "cel.bind(x, -9223372036854775808, x / -1)", "has(a.b) && !(a in [1]) || optional.none().hasValue()",
      "quantity('1Gi').add(1).compareTo(quantity('2'))", "'abc'.substring(1, 2).split('b', -1)",
      "r'''a''' + \"\"\"b\"\"\"",
    ]
    let alphabet = Array("()[]{}.,?:'\"\\+-*/%!=<>&|`@0123456789uxeabr \n_é".unicodeScalars)
    var environment = CELEnvironment()
    environment.declare("a", .dyn)
    for _ in 0..<1500 {
      var text = Array((seeds.randomElement(using: &random) ?? "").unicodeScalars)
      for _ in 0..<Int.random(in: 0...4, using: &random) where !text.isEmpty {
        let at = Int.random(in: 0..<text.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: text.remove(at: at)
        case 1: text.insert(alphabet[Int.random(in: 0..<alphabet.count, using: &random)], at: at)
        default: text[at] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
        }
      }
      let found = outcome(text.text, environment, ["a": .map([("b", .list([.int(1)]))])])
      #expect(!found.isEmpty && found != "!", "\(text.text)")
    }
  }
}
