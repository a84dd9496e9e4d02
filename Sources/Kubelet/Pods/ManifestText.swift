import API
import Yams

/// Reads manifests, JSON or YAML, as JSON.
enum ManifestText {
  static func json(_ bytes: [UInt8]) throws -> [UInt8] {
    let first = bytes.first {
      ![UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r")].contains($0)
    }
    if first == UInt8(ascii: "{") { return bytes }
    guard let node = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self)) else { return [] }
    return value(node).encoded()
  }

  private static func value(_ node: Yams.Node) -> JSONValue {
    switch node {
    case .mapping(let mapping):
      var out: [String: JSONValue] = [:]
      for (key, item) in mapping { out[key.string ?? ""] = value(item) }
      return .object(out)
    case .sequence(let items): return .array(items.map(value))
    case .scalar(let scalar):
      // A quoted scalar is a string whatever it looks like.
      if scalar.style == .doubleQuoted || scalar.style == .singleQuoted { return .string(scalar.string) }
      if let int = node.int { return .int(Int64(int)) }
      if let bool = node.bool { return .bool(bool) }
      if node.null != nil { return .null }
      if let double = node.float { return .double(double) }
      return .string(scalar.string)
    default: return .null
    }
  }
}
