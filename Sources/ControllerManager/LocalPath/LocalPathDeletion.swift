public import API
import APIMachinery

/// How a node is asked to delete the directories of volumes, and how it says that it has: two annotations of its Node,
/// one written by the controller, the other by the node. So a node needs no right beyond its own object.
///
///     controller: volume released ─▶ delete: [path]          the volume's object stays
///     node:                          directory removed ─▶ deleted: [path]
///     controller: object deleted ─▶ delete: []
///     node:                          deleted: []
public enum LocalPathDeletion {
  /// What the controller asks for: a JSON list of paths.
  public static let request = "volumes.apus.dev/delete"
  /// What the node has done: a JSON list of paths.
  public static let done = "volumes.apus.dev/deleted"

  /// The paths in an annotation.
  public static func paths(_ annotation: String, of node: Node) -> [String] {
    guard let text = node.metadata.annotations[annotation], let value = try? JSONValue(parsing: Array(text.utf8)) else {
      return []
    }
    return value.arrayValue?.compactMap(\.stringValue) ?? []
  }

  /// The merge patch that sets an annotation to these paths; none removes it.
  public static func patch(_ annotation: String, _ paths: [String]) -> [UInt8] {
    let text = JSONValue.array(paths.sorted().map { .string($0) }).encoded()
    let value: JSONValue = paths.isEmpty ? .null : .string(String(decoding: text, as: UTF8.self))
    return JSONValue.object(["metadata": .object(["annotations": .object([annotation: value])])]).encoded()
  }

  /// Whether a path is plainly that of a volume: `…/volumes/pvc-…`. A node deletes nothing else, whoever asks.
  public static func isVolume(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return path.hasPrefix("/") && parts.count >= 3 && parts.last?.hasPrefix("pvc-") == true
      && parts[parts.count - 2] == "volumes" && !parts.dropFirst().contains { $0.isEmpty || $0 == "." || $0 == ".." }
  }
}
