import APIMachinery

/// How NodeResourcesFit rates what a node would have in use: the emptier the better, the fuller the better, or by a curve.
struct ScoringStrategy: Hashable, Sendable {
  struct Weighted: Hashable, Sendable {
    var name: String
    var weight: Int64 = 1
  }

  struct Point: Hashable, Sendable {
    var utilization: Int64
    var score: Int64
  }

  enum Kind: Hashable, Sendable {
    case leastAllocated
    case mostAllocated
    case curve([Point])
  }

  var kind = Kind.leastAllocated
  var resources = [Weighted(name: "cpu"), Weighted(name: "memory")]

  init() {}

  init(_ value: JSONValue, path: String) throws {
    if let given = value["resources"]?.arrayValue, !given.isEmpty {
      resources = try given.map { try Weighted($0, path: "\(path).resources") }
    }
    switch value["type"]?.stringValue ?? "LeastAllocated" {
    case "LeastAllocated": kind = .leastAllocated
    case "MostAllocated": kind = .mostAllocated
    case "RequestedToCapacityRatio":
      let shape = value["requestedToCapacityRatio"]?["shape"]?.arrayValue ?? []
      let points = shape.map {
        Point(utilization: $0["utilization"]?.intValue ?? 0, score: ($0["score"]?.intValue ?? 0) * 10)
      }
      guard !points.isEmpty else {
        throw SchedulerConfigurationError(
          description: "\(path).requestedToCapacityRatio.shape: Required value: at least one point must be specified")
      }
      guard zip(points, points.dropFirst()).allSatisfy({ $0.utilization < $1.utilization }),
        points.allSatisfy({ (0...100).contains($0.utilization) && (0...100).contains($0.score) })
      else {
        throw SchedulerConfigurationError(
          description: "\(path).requestedToCapacityRatio.shape: Invalid value: utilization values must be sorted in "
            + "increasing order, from 0 to 100, with scores from 0 to 10")
      }
      kind = .curve(points)
    case let other:
      throw SchedulerConfigurationError(
        description: "\(path).type: Unsupported value: \"\(other)\": supported values: \"LeastAllocated\", "
          + "\"MostAllocated\", \"RequestedToCapacityRatio\"")
    }
  }

  func score(_ pod: PodInfo, _ node: NodeInfo) -> Int64 {
    var sum: Int64 = 0
    var weights: Int64 = 0
    for resource in resources {
      let wanted = pod.nonZeroRequests.amount(resource.name)
      if wanted == 0, resource.name != "cpu", resource.name != "memory" { continue }
      let total = node.allocatable.amount(resource.name)
      if total == 0 { continue }
      let used = node.nonZeroRequested.amount(resource.name) + wanted
      let score = rate(used, total)
      if case .curve = kind, score == 0 { continue }
      sum += score * resource.weight
      weights += resource.weight
    }
    guard weights > 0 else { return 0 }
    if case .curve = kind { return Int64((Double(sum) / Double(weights)).rounded()) }
    return sum / weights
  }

  private func rate(_ used: Int64, _ total: Int64) -> Int64 {
    switch kind {
    case .leastAllocated: return used > total ? 0 : (total - used) * 100 / total
    case .mostAllocated: return min(used, total) * 100 / total
    case .curve(let points):
      let at = used > total ? 100 : used * 100 / total
      guard let next = points.firstIndex(where: { at <= $0.utilization }) else { return points.last?.score ?? 0 }
      if next == 0 { return points[0].score }
      let (a, b) = (points[next - 1], points[next])
      return a.score + (b.score - a.score) * (at - a.utilization) / (b.utilization - a.utilization)
    }
  }
}

extension ScoringStrategy.Weighted {
  init(_ value: JSONValue, path: String) throws {
    name = value["name"]?.stringValue ?? ""
    weight = value["weight"]?.intValue ?? 1
    if weight == 0 { weight = 1 }
    guard (1...100).contains(weight) else {
      throw SchedulerConfigurationError(
        description: "\(path).weight: Invalid value: \(weight): resource weight of \(name) not in valid range [1, 100]")
    }
  }
}

extension Resources {
  func amount(_ name: String) -> Int64 {
    switch name {
    case "cpu": milliCPU
    case "memory": memory
    case "ephemeral-storage": ephemeralStorage
    default: scalar[name] ?? 0
    }
  }
}
