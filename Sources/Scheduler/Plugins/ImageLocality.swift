import API

/// Prefers nodes that have the pod's images, the more so the larger these are and the more nodes have them.
struct ImageLocality: ScorePlugin {
  let name = "ImageLocality"
  let weight: Int64 = 1
  private static let least: Int64 = 23 << 20
  private static let most: Int64 = 1000 << 20

  /// The snapshot's way of saying on how many of its nodes an image is.
  struct Spread: Sendable {
    var nodes: [String: Int] = [:]
    var total = 0
  }

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 { 0 }

  static func score(_ pod: PodInfo, _ node: NodeInfo, _ spread: Spread) -> Int64 {
    if node.images.isEmpty || spread.total == 0 { return 0 }
    let containers = pod.pod.spec.containers.map(\.image) + pod.pod.spec.initContainers.map(\.image)
    if containers.isEmpty { return 0 }
    var sum: Int64 = 0
    for image in containers {
      let name = normalized(image)
      guard let size = node.images[name] else { continue }
      sum += Int64(Double(size) * Double(spread.nodes[name] ?? 0) / Double(spread.total))
    }
    let most = Self.most * Int64(containers.count)
    let clamped = min(max(sum, least), most)
    return 100 * (clamped - least) / (most - least)
  }

  /// Images without a tag are `latest`.
  private static func normalized(_ image: String) -> String {
    let slash = image.lastIndex(of: "/") ?? image.startIndex
    return image[slash...].contains(":") || image.contains("@") ? image : image + ":latest"
  }
}
