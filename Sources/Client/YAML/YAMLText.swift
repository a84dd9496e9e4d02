public import APIMachinery
import Yams

/// YAML as manifests and configuration files have it.
public enum YAMLText {
  /// Why a text is not accepted.
  public struct Problem: Error, CustomStringConvertible { public var description: String }

  /// The first document as a JSON value. Plain numbers and booleans keep their type, everything else is text.
  ///
  /// - Throws: `Problem` also where aliases would make much more of the text than it is: a few lines can name each other
  ///   so that they stand for billions.
  public static func value(_ text: String) throws -> JSONValue {
    guard let node = try Yams.compose(yaml: text) else { return .null }
    // Without aliases every node has at least one byte of its own.
    var builder = Builder(left: 10 * text.utf8.count + 10_000)
    return try builder.tree(node, depth: 0)
  }

  private struct Builder {
    var left: Int
    /// As deep as JSON may be.
    static let maximumDepth = 1_000

    mutating func tree(_ node: Node, depth: Int) throws -> JSONValue {
      left -= 1
      guard left >= 0 else { throw Problem(description: "document contains excessive aliasing") }
      guard depth <= Self.maximumDepth else { throw Problem(description: "exceeded max depth") }
      switch node {
      case .mapping(let mapping):
        var fields: [String: JSONValue] = [:]
        for (key, value) in mapping {
          guard case .scalar(let scalar) = key else { throw Problem(description: "map key is not a scalar") }
          fields[scalar.string] = try tree(value, depth: depth + 1)
        }
        return .object(fields)
      case .sequence(let sequence): return .array(try sequence.map { try tree($0, depth: depth + 1) })
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
}
