import API

/// Prefers nodes that already hold the pod's images, large ones and widely held ones more.
struct ImageLocality: Sendable {
  let name = "ImageLocality"
  var weight: Int64 = 1

  static func images(of pod: Pod) -> [String] {
    (pod.spec.initContainers + pod.spec.containers).map { normalized($0.image) }
  }

  /// A name without a tag means the latest.
  static func normalized(_ image: String) -> String {
    let last = image.lastIndex(of: "/").map { image.index(after: $0) } ?? image.startIndex
    return image[last...].contains(":") ? image : image + ":latest"
  }

  /// The size of each of the pod's images on the node, zero where it has none.
  static func measures(of pod: Pod, on node: Node) -> [Int64] {
    images(of: pod).map { image in node.status.images.first { $0.names.contains(image) }?.sizeBytes ?? 0 }
  }

  func score(_ sizes: ArraySlice<Int64>, _ pod: Pod, _ snapshot: Snapshot) -> Int64 {
    let total = max(1, snapshot.nodes.count)
    var sum: Int64 = 0
    for (image, size) in zip(Self.images(of: pod), sizes) where size > 0 {
      sum += Int64(Double(size) * Double(snapshot.imageNodes[image] ?? 0) / Double(total))
    }
    let least: Int64 = 23 << 20
    let most = (1000 << 20) * Int64(pod.spec.containers.count + pod.spec.initContainers.count)
    let bounded = max(least, min(most, sum))
    return most > least ? 100 * (bounded - least) / (most - least) : 0
  }
}
