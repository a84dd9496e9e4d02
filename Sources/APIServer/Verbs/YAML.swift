import APIMachinery
import Yams

/// YAML as JSON bytes. Numbers and booleans keep their type, everything else is text.
func yamlToJSON(_ body: [UInt8]) throws -> [UInt8] {
  // JSON is YAML, and clients mostly send it under that name.
  if body.first == UInt8(ascii: "{"), (try? JSONValue(parsing: body)) != nil { return body }
  guard let node = try Yams.compose(yaml: String(decoding: body, as: UTF8.self)) else { return Array("null".utf8) }
  return try jsonTree(node).encoded()
}

private struct YAMLProblem: Error, CustomStringConvertible { var description: String }

private func jsonTree(_ node: Node) throws -> JSONValue {
  switch node {
  case .mapping(let mapping):
    var fields: [String: JSONValue] = [:]
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else { throw YAMLProblem(description: "map key is not a scalar") }
      fields[scalar.string] = try jsonTree(value)
    }
    return .object(fields)
  case .sequence(let sequence): return .array(try sequence.map(jsonTree))
  case .scalar(let scalar):
    guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
    if node.tag == Tag(.null) { return .null }
    if node.tag == Tag(.bool), let flag = node.bool { return .bool(flag) }
    if node.tag == Tag(.int), let number = node.int { return .int(Int64(number)) }
    if node.tag == Tag(.float), let number = node.float { return .double(number) }
    return .string(scalar.string)
  default: throw YAMLProblem(description: "unresolved alias")
  }
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
