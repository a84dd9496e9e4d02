/// Prefers nodes whose shares of CPU and memory in use lie close together.
struct NodeResourcesBalancedAllocation: ScorePlugin {
  let name = "NodeResourcesBalancedAllocation"
  let weight: Int64 = 1

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 {
    func share(_ wanted: Int64, _ used: Int64, _ total: Int64) -> Double? {
      total > 0 ? min(1, Double(wanted + used) / Double(total)) : nil
    }
    guard let cpu = share(pod.requests.milliCPU, node.requested.milliCPU, node.allocatable.milliCPU),
      let memory = share(pod.requests.memory, node.requested.memory, node.allocatable.memory)
    else { return 0 }
    // The standard deviation of two values is half their distance.
    return Int64((1 - abs(cpu - memory) / 2) * 100)
  }
}
