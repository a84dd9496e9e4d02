/// Prefers nodes whose shares of resources in use lie close together.
struct NodeResourcesBalancedAllocation: ScorePlugin {
  let name = "NodeResourcesBalancedAllocation"
  var weight: Int64 = 1
  var resources = [ScoringStrategy.Weighted(name: "cpu"), ScoringStrategy.Weighted(name: "memory")]

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 {
    var count = 0.0
    var sum = 0.0
    var squares = 0.0
    for resource in resources {
      let wanted = pod.requests.amount(resource.name)
      if wanted == 0, resource.name != "cpu", resource.name != "memory" { continue }
      let total = node.allocatable.amount(resource.name)
      guard total > 0 else { continue }
      let share = min(1, Double(wanted + node.requested.amount(resource.name)) / Double(total))
      count += 1
      sum += share
      squares += share * share
    }
    guard count > 1 else { return count == 0 ? 0 : 100 }
    let mean = sum / count
    let deviation = max(0, squares / count - mean * mean).squareRoot()
    return Int64(((1 - deviation) * 100 + 1e-9).rounded(.down))
  }
}
