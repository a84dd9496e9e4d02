import ArgumentParser

/// What `apus server` and `apus agent` can be told about their node.
struct NodeOptions: ParsableArguments {
  @Option(help: "The control group below which pods' groups are made.")
  var cgroupRoot = "/"

  @Option(name: .customLong("node-label"), help: "A label (key=value) that the node registers with.")
  var labels: [String] = []

  @Option(name: .customLong("node-taint"), help: "A taint (key=value:effect) that the node registers with.")
  var taints: [String] = []

  func validate() throws {
    for label in labels where Self.label(label) == nil {
      throw ValidationError("--node-label must have the form key=value, not \(label)")
    }
    for taint in taints where Self.taint(taint) == nil {
      throw ValidationError(
        "--node-taint must have the form key=value:effect with NoSchedule, PreferNoSchedule or NoExecute, not \(taint)")
    }
    if !cgroupRoot.hasPrefix("/") { throw ValidationError("--cgroup-root must begin with /") }
  }

  /// The group that holds the groups of all pods.
  var podsCgroup: String {
    let root = cgroupRoot.hasSuffix("/") ? String(cgroupRoot.dropLast()) : cgroupRoot
    return "\(root)/kubepods"
  }

  var nodeLabels: [String: String] {
    Dictionary(labels.compactMap(Self.label).map { ($0.key, $0.value) }) { $1 }
  }

  var nodeTaints: [(key: String, value: String, effect: String)] { taints.compactMap(Self.taint) }

  private static func label(_ text: String) -> (key: String, value: String)? {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else { return nil }
    return (String(parts[0]), String(parts[1]))
  }

  private static func taint(_ text: String) -> (key: String, value: String, effect: String)? {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let effect = String(text[text.index(after: colon)...])
    guard ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(effect) else { return nil }
    let parts = text[..<colon].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let key = parts.first, !key.isEmpty else { return nil }
    return (String(key), parts.count > 1 ? String(parts[1]) : "", effect)
  }
}
