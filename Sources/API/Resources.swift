public import APICore
public import APIMachinery

/// Amounts by resource name.
public typealias ResourceList = [String: Quantity]

extension Dictionary where Key == String, Value == Quantity {
  /// Adds amount by amount.
  public mutating func add(_ other: ResourceList) {
    for (name, quantity) in other { self[name] = self[name].map { $0 + quantity } ?? quantity }
  }

  /// Subtracts amount by amount; what is missing counts as zero.
  public mutating func subtract(_ other: ResourceList) {
    for (name, quantity) in other { self[name] = (self[name] ?? Quantity()) - quantity }
  }

  /// Raises each amount to at least the other's.
  public mutating func raise(to other: ResourceList) {
    for (name, quantity) in other {
      if let own = self[name], own >= quantity { continue }
      self[name] = quantity
    }
  }
}

extension PodSpec {
  /// What the pod asks for: its containers and sidecars together, or more if an init container needs it, plus overhead.
  /// Requests made for the whole pod replace the sum.
  public var totalRequests: ResourceList { total(pod: resources?.requests) { $0.requests } }

  /// What the pod is limited to, reckoned the same way.
  public var totalLimits: ResourceList { total(pod: resources?.limits) { $0.limits } }

  private func total(pod: ResourceList?, _ part: (ResourceRequirements) -> ResourceList) -> ResourceList {
    var sum: ResourceList = [:]
    for container in containers { sum.add(part(container.resources)) }
    var sidecars: ResourceList = [:]
    var peak: ResourceList = [:]
    for container in initContainers {
      var need = part(container.resources)
      if container.isSidecar {
        sum.add(need)
        sidecars.add(need)
        need = sidecars
      } else {
        need.add(sidecars)
      }
      peak.raise(to: need)
    }
    sum.raise(to: peak)
    if let pod {
      for (name, quantity) in pod where Self.isPodLevel(name) { sum[name] = quantity }
    }
    sum.add(overhead)
    return sum
  }

  /// Whether a resource can be asked for by the pod as a whole.
  public static func isPodLevel(_ name: String) -> Bool {
    name == "cpu" || name == "memory" || name.hasPrefix("hugepages-")
  }
}

extension Node {
  /// What pods may use.
  public var allocatable: ResourceList { status.allocatable }

  /// Whether the `Ready` condition is true.
  public var isReady: Bool { status.conditions.isTrue("Ready") }
}
