import API

/// Volumes that are labelled with a zone or region are used from nodes there.
struct VolumeZone: Sendable {
  static let name = "VolumeZone"
  private static let keys = [
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
  ]
  /// The older labels stand for the newer ones and the other way round.
  private static let twins = [keys[0]: keys[2], keys[2]: keys[0], keys[1]: keys[3], keys[3]: keys[1]]

  static func check(_ volumes: [PersistentVolume]) -> (@Sendable (NodeInfo, Snapshot) -> Refusal?)? {
    var wanted: [(key: String, values: Set<String>)] = []
    for volume in volumes {
      for key in keys {
        guard let value = volume.metadata.labels[key] else { continue }
        wanted.append((key, Set(value.split(separator: "_", omittingEmptySubsequences: true).map(String.init))))
      }
    }
    if wanted.isEmpty { return nil }
    let rules = wanted
    return { node, _ in
      let labels = node.node.metadata.labels
      // A node that knows of no zones takes part in none.
      guard keys.contains(where: { labels[$0] != nil }) else { return nil }
      for (key, values) in rules {
        let value = labels[key] ?? twins[key].flatMap { labels[$0] }
        guard let value, values.contains(value) else {
          return Refusal(plugin: name, reasons: ["node(s) had no available volume zone"], unresolvable: true)
        }
      }
      return nil
    }
  }
}
