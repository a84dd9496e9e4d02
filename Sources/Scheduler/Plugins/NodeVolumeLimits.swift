import API

/// As many volumes of a CSI driver as it says it can attach to the node, and no more.
struct NodeVolumeLimits: Sendable {
  static let name = "NodeVolumeLimits"

  /// A volume as a driver counts it.
  struct Attached: Hashable, Sendable {
    var driver: String
    var volume: String
  }

  /// What a pod would attach, or does.
  var attached: @Sendable (Pod) -> Set<Attached>
  /// The drivers' limits on a node (CSINode).
  var limits: @Sendable (String) -> [String: Int]
  /// What is attached to a node whether or not a pod is seen to use it (VolumeAttachment).
  var attachments: @Sendable (String) -> Set<Attached>

  func check(_ pod: Pod) -> (@Sendable (NodeInfo, Snapshot) -> Refusal?)? {
    if pod.claimKeys.isEmpty { return nil }
    let wanted = attached(pod)
    if wanted.isEmpty { return nil }
    return { [self] node, snapshot in
      let nodeName = node.node.metadata.name
      let limits = limits(nodeName)
      let drivers = Set(wanted.map(\.driver)).filter { limits[$0] != nil }
      if drivers.isEmpty { return nil }
      var present = attachments(nodeName)
      // What a pod uses that is supposed to be away counts as away with it.
      if let standing = snapshot.nodes[nodeName] {
        for (uid, other) in standing.pods where node.pods[uid] == nil { present.subtract(attached(other.pod)) }
      }
      for other in node.pods.values where !other.claimKeys.isEmpty { present.formUnion(attached(other.pod)) }
      for driver in drivers {
        let new = wanted.filter { $0.driver == driver && !present.contains($0) }.count
        let old = present.count { $0.driver == driver }
        if new > 0, old + new > limits[driver] ?? .max {
          return Refusal(plugin: Self.name, reasons: ["node(s) exceed max volume count"])
        }
      }
      return nil
    }
  }
}
