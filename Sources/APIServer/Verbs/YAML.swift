import APIMachinery
import Client
import Yams

/// YAML as JSON bytes. Numbers and booleans keep their type, everything else is text.
func yamlToJSON(_ body: [UInt8]) throws -> [UInt8] {
  // JSON is YAML, and clients mostly send it under that name.
  if body.first == UInt8(ascii: "{"), (try? JSONValue(parsing: body)) != nil { return body }
  return try YAMLText.value(String(decoding: body, as: UTF8.self)).encoded()
}

/// JSON rendered as YAML.
func yamlText(_ json: [UInt8]) throws -> [UInt8] {
  Array(try Yams.serialize(node: yamlNode(JSONValue(parsing: json))).utf8)
}

private func yamlNode(_ value: JSONValue) -> Node {
  switch value {
  case .null: return Node("null", Tag(.null))
  case .bool(let flag): return Node(flag ? "true" : "false", Tag(.bool))
  case .int(let number): return Node(String(number), Tag(.int))
  case .double(let number): return Node("\(number)", Tag(.float))
  case .string(let text): return Node(text, Tag(.str), .doubleQuoted)
  case .array(let items): return Node(items.map(yamlNode), Tag(.seq))
  case .object(let fields):
    return Node(fields.sorted { $0.key < $1.key }.map { (Node($0.key, Tag(.str)), yamlNode($0.value)) }, Tag(.map))
  }
}
