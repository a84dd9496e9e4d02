public import APICore
public import APIMachinery

extension Pod {
  /// Whether the `Ready` condition is true.
  public var isReady: Bool { status.conditions.isTrue("Ready") }

  /// Whether the pod has finished for good: phase `Succeeded` or `Failed`.
  public var isTerminal: Bool { status.phase == "Succeeded" || status.phase == "Failed" }

  /// Whether deletion has been asked for.
  public var isBeingDeleted: Bool { metadata.deletionTimestamp != nil }

  /// Counts towards its controller's replicas: neither finished nor being deleted.
  public var isActive: Bool { !isTerminal && !isBeingDeleted }

  /// Ready for at least that long.
  public func isAvailable(minReadySeconds: Int32, now: Time) -> Bool {
    guard let ready = status.conditions.condition("Ready"), ready.status == "True" else { return false }
    if minReadySeconds == 0 { return true }
    return !ready.lastTransitionTime.isZero
      && ready.lastTransitionTime.adding(seconds: Int64(minReadySeconds)) <= now
  }

  /// Whether the pod mirrors a static pod of its node.
  public var isMirror: Bool { metadata.annotations["kubernetes.io/config.mirror"] != nil }

  /// Whether all its volumes and containers share the node's network.
  public var usesHostNetwork: Bool { spec.hostNetwork }

  /// The pod's priority; zero if none was computed.
  public var priority: Int32 { spec.priority ?? 0 }

  /// The quality-of-service class that its requests and limits earn.
  public var computedQOSClass: String { QOSClass.of(spec) }
}

extension Container {
  /// An init container that keeps running beside the others.
  public var isSidecar: Bool { restartPolicy == "Always" }
}

/// Quality-of-service classes.
public enum QOSClass {
  /// Every container limits and requests the same CPU and memory.
  public static let guaranteed = "Guaranteed"
  /// Something is requested or limited.
  public static let burstable = "Burstable"
  /// Nothing is.
  public static let bestEffort = "BestEffort"

  /// The class of a pod.
  public static func of(_ spec: PodSpec) -> String {
    var requests: ResourceList = [:]
    var limits: ResourceList = [:]
    var guaranteed = true
    func take(_ resources: ResourceRequirements) {
      for (name, quantity) in resources.requests where isCompute(name) && quantity.sign > 0 {
        requests[name] = (requests[name] ?? Quantity()) + quantity
      }
      var found: Set<String> = []
      for (name, quantity) in resources.limits where isCompute(name) && quantity.sign > 0 {
        found.insert(name)
        limits[name] = (limits[name] ?? Quantity()) + quantity
      }
      if found.count != 2 { guaranteed = false }
    }
    if let resources = spec.resources, !(resources.requests.isEmpty && resources.limits.isEmpty) {
      take(resources)
    } else {
      for container in spec.initContainers { take(container.resources) }
      for container in spec.containers { take(container.resources) }
    }
    if requests.isEmpty && limits.isEmpty { return bestEffort }
    if guaranteed {
      for (name, quantity) in requests where limits[name] != quantity { guaranteed = false }
    }
    return guaranteed && requests.count == limits.count ? Self.guaranteed : burstable
  }

  private static func isCompute(_ name: String) -> Bool { name == "cpu" || name == "memory" }
}
