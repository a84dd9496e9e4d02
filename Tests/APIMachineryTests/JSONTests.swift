import APIMachinery
import Testing

private func parse(_ s: String) throws -> JSONValue { try JSONValue(parsing: Array(s.utf8)) }
private func text(_ v: some JSONEncodable) -> String { String(decoding: v.encoded(), as: UTF8.self) }
private func message(_ s: String) -> String {
  do {
    _ = try parse(s)
    return "no error"
  } catch { return "\(error)" }
}

@Suite struct JSONTests {
  @Test func roundTrips() throws {
    let source = #"{"a":[1,-2,3.5,1e+21,true,false,null,"x"],"b":{"c":{}},"d":[]}"#
    #expect(text(try parse(source)) == source)
  }

  @Test func sortsKeysByBytes() throws {
    #expect(text(try parse(#"{"b":1,"a":2,"Z":3,"é":4}"#)) == #"{"Z":3,"a":2,"b":1,"é":4}"#)
  }

  @Test func integersKeepAllBits() throws {
    #expect(try parse("9223372036854775807") == .int(.max))
    #expect(try parse("-9223372036854775808") == .int(.min))
    #expect(try parse("9223372036854775808") == .double(9223372036854775808))
    #expect(try Int64.decode(Array("-9223372036854775808".utf8)) == .min)
    #expect(throws: JSONError.self) { try Int32.decode(Array("2147483648".utf8)) }
  }

  @Test(arguments: [
    (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"), (#""\u00e9\ud83d\ude00""#, "é😀"),
    (#""\ud83dx""#, "\u{FFFD}x"), (#""plain é""#, "plain é"),
  ])
  func unescapes(_ source: String, _ expected: String) throws {
    #expect(try parse(source) == .string(expected))
  }

  @Test func invalidUTF8IsReplaced() throws {
    #expect(try JSONValue(parsing: [0x22, 0x61, 0xFF, 0x62, 0x22]) == .string("a\u{FFFD}b"))
  }

  @Test func escapesLikeGo() {
    #expect(text("<a>&\u{1}\u{2028}é\"\\\n") == #""\u003ca\u003e\u0026\u0001\u2028é\"\\\n""#)
  }

  @Test(arguments: [
    (1.0, "1"), (0.1, "0.1"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"),
    (1e-7, "1e-7"), (-1.5e-9, "-1.5e-9"), (123456789.125, "123456789.125"), (1.5e300, "1.5e+300"), (0, "0"),
    (9007199254740992, "9007199254740992"),
  ])
  func numbersLikeGo(_ value: Double, _ expected: String) {
    #expect(text(value) == expected)
  }

  @Test(arguments: [
    ("", "unexpected end of JSON input"), ("{", "unexpected end of JSON input"),
    ("[1,]", "invalid character ']' looking for beginning of value"),
    (#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
    (#"{"a" 1}"#, "invalid character '1' after object key"),
    (#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
    ("[1 2]", "invalid character '2' after array element"), ("1 x", "invalid character 'x' after top-level value"),
    ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
    ("01", "invalid character '1' after top-level value"),
    ("1.x", "invalid character 'x' after decimal point in numeric literal"),
    ("1ex", "invalid character 'x' in exponent of numeric literal"), ("-", "unexpected end of JSON input"),
    (#""\x""#, "invalid character 'x' in string escape code"),
    (#""\u12g4""#, #"invalid character 'g' in \u hexadecimal character escape"#),
    ("\"a\nb\"", #"invalid character '\n' in string literal"#),
    ("kind: Pod", "invalid character 'k' looking for beginning of value"),
  ])
  func complainsLikeGo(_ source: String, _ expected: String) {
    #expect(message(source) == expected)
  }

  @Test func depthIsBounded() throws {
    let fine = String(repeating: "[", count: 1_000) + String(repeating: "]", count: 1_000)
    _ = try parse(fine)
    #expect(message(String(repeating: "[", count: 100_000)) == "exceeded max depth")
    #expect(message(String(repeating: #"{"a":"#, count: 100_000)) == "exceeded max depth")
  }

  @Test func typeMismatchTellsBothKinds() {
    #expect(throws: JSONError(found: "string", wanted: "int32", offset: 0)) { try Int32.decode(Array(#""x""#.utf8)) }
    #expect(throws: JSONError(found: "number 1.5", wanted: "int64", offset: 0)) { try Int64.decode(Array("1.5".utf8)) }
  }

  @Test func containersAndNull() throws {
    #expect(try [String: [Int32]].decode(Array(#"{"b":[1],"a":null}"#.utf8)) == ["a": [], "b": [1]])
    #expect(try [String?].decode(Array(#"["x",null]"#.utf8)) == ["x", nil])
    #expect(text(["b": 1, "a": 2] as [String: Int]) == #"{"a":2,"b":1}"#)
    #expect(try String.decode(Array("null".utf8)) == "")
  }

  @Test func readerWalksWithEscapedKeysAndSkips() throws {
    let source = Array(#" { "k\u0041" : [1,{"x":"]"}] , "plain" : 7 } "#.utf8)
    let found = try JSONReader.withReader(source) { r in
      var seen: [String] = []
      try r.beginObject()
      while let key = try r.nextKey() {
        if key.equals("kA") {
          let range = try r.skipValue()
          seen.append(String(decoding: source[range], as: UTF8.self))
        } else {
          seen.append("\(key.string)=\(try r.int64())")
        }
      }
      try r.end()
      return seen
    }
    #expect(found == [#"[1,{"x":"]"}]"#, "plain=7"])
  }

  @Test func subscriptEditsInPlace() throws {
    var v = try parse(#"{"a":{"b":1}}"#)
    v["a"]?["b"] = 2
    v["c"] = "x"
    v["a"]?["d"] = .null
    #expect(text(v) == #"{"a":{"b":2,"d":null},"c":"x"}"#)
    v["a"] = nil
    #expect(text(v) == #"{"c":"x"}"#)
  }
}
