public import APIMachinery
import Yams

/// YAML as manifests and configuration files have it.
public enum YAMLText {
  /// Why a text is not accepted.
  public struct Problem: Error, CustomStringConvertible { public var description: String }

  /// The first document as a JSON value. Plain numbers and booleans keep their type, everything else is text.
  public static func value(_ text: String) throws -> JSONValue {
    guard let node = try Yams.compose(yaml: text) else { return .null }
    return try tree(node)
  }

  private static func tree(_ node: Node) throws -> JSONValue {
    switch node {
    case .mapping(let mapping):
      var fields: [String: JSONValue] = [:]
      for (key, value) in mapping {
        guard case .scalar(let scalar) = key else { throw Problem(description: "map key is not a scalar") }
        fields[scalar.string] = try tree(value)
      }
      return .object(fields)
    case .sequence(let sequence): return .array(try sequence.map(tree))
    case .scalar(let scalar):
      guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
      if node.tag == Tag(.null) { return .null }
      if node.tag == Tag(.bool), let flag = node.bool { return .bool(flag) }
      if node.tag == Tag(.int), let number = node.int { return .int(Int64(number)) }
      if node.tag == Tag(.float), let number = node.float { return .double(number) }
      return .string(scalar.string)
    default: throw Problem(description: "unresolved alias")
    }
  }
}
