public import API
public import APIMachinery

/// What objects take from a ResourceQuota, by the names that quotas use (upstream's `pkg/quota/v1`). Pure.
public enum QuotaUsage {
  /// What every object takes: one of its kind. Old names of core kinds are counted too.
  public static func count(_ resource: GroupResource) -> ResourceList {
    var usage: ResourceList = [counter(resource): 1]
    if resource.group.isEmpty, plainNames.contains(resource.resource) { usage[resource.resource] = 1 }
    return usage
  }

  /// `count/deployments.apps`.
  public static func counter(_ resource: GroupResource) -> String {
    "count/" + (resource.group.isEmpty ? resource.resource : "\(resource.resource).\(resource.group)")
  }

  /// The kind whose objects a name counts; nil for a name that counts something else.
  public static func counted(by name: String) -> GroupResource? {
    if plainNames.contains(name) { return GroupResource(group: "", resource: name) }
    guard name.hasPrefix("count/") else { return nil }
    let parts = name.dropFirst(6).split(separator: ".", maxSplits: 1)
    return GroupResource(group: parts.count > 1 ? String(parts[1]) : "", resource: String(parts.first ?? ""))
  }

  /// Core kinds that quotas name without `count/`. Pods, services and claims are counted by their own rules.
  static let plainNames: Set<String> = ["configmaps", "secrets", "resourcequotas", "replicationcontrollers"]

  /// What a pod takes. One that has ended, or should long be gone, takes nothing but its place in the store.
  public static func of(_ pod: Pod, now: Time) -> ResourceList {
    var usage: ResourceList = ["count/pods": 1]
    guard occupies(pod, now: now) else { return usage }
    usage["pods"] = 1
    usage.merge(compute(pod.spec.totalRequests, pod.spec.totalLimits)) { $1 }
    return usage
  }

  private static func occupies(_ pod: Pod, now: Time) -> Bool {
    if pod.isTerminal { return false }
    guard let deletion = pod.metadata.deletionTimestamp, let grace = pod.metadata.deletionGracePeriodSeconds else {
      return true
    }
    return now <= deletion.adding(seconds: grace)
  }

  /// Amounts under the names of quotas.
  static func compute(_ requests: ResourceList, _ limits: ResourceList) -> ResourceList {
    var usage: ResourceList = [:]
    for (name, amount) in requests {
      switch name {
      case "cpu", "memory", "ephemeral-storage":
        usage[name] = amount
        usage["requests." + name] = amount
      case _ where name.hasPrefix("hugepages-"):
        usage[name] = amount
        usage["requests." + name] = amount
      case _ where name.contains("/"): usage["requests." + name] = amount
      default: break
      }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
      if let amount = limits[name] { usage["limits." + name] = amount }
    }
    return usage
  }

  /// What a service takes: itself, its node ports, its load balancer.
  public static func of(_ service: Service) -> ResourceList {
    var usage: ResourceList = ["count/services": 1, "services": 1]
    let ports = service.spec.ports
    switch service.spec.type {
    case "NodePort":
      usage["services.nodeports"] = Quantity(Int64(ports.count))
      usage["services.loadbalancers"] = 0
    case "LoadBalancer":
      let all = service.spec.allocateLoadBalancerNodePorts ?? true
      usage["services.nodeports"] = Quantity(Int64(all ? ports.count : ports.count { $0.nodePort != 0 }))
      usage["services.loadbalancers"] = 1
    default:
      usage["services.nodeports"] = 0
      usage["services.loadbalancers"] = 0
    }
    return usage
  }

  /// What a claim takes: itself and its storage, also under the name of its class.
  public static func of(_ claim: PersistentVolumeClaim) -> ResourceList {
    var usage: ResourceList = ["count/persistentvolumeclaims": 1, "persistentvolumeclaims": 1]
    let annotation = claim.metadata.annotations["volume.beta.kubernetes.io/storage-class"]
    let storageClass = annotation ?? claim.spec.storageClassName ?? ""
    if !storageClass.isEmpty { usage["\(storageClass).storageclass.storage.k8s.io/persistentvolumeclaims"] = 1 }
    var storage = claim.spec.resources.requests["storage"]
    // What a volume is being grown to is taken as soon as it is granted.
    if let granted = claim.status.allocatedResources["storage"], granted > storage ?? 0 { storage = granted }
    if let storage {
      usage["requests.storage"] = storage
      if !storageClass.isEmpty { usage["\(storageClass).storageclass.storage.k8s.io/requests.storage"] = storage }
    }
    return usage
  }

  /// What a resource claim takes: itself and devices by class. A claim of all devices takes as many as it may get.
  public static func of(_ claim: ResourceResourceClaim) -> ResourceList {
    var usage: ResourceList = ["count/resourceclaims.resource.k8s.io": 1]
    for request in claim.spec.devices.requests {
      var most: [String: Int64] = [:]
      if let exact = request.exactly {
        most[exact.deviceClassName] = exact.allocationMode == "All" ? allocatableDevices : exact.count
      }
      for alternative in request.firstAvailable {
        let count = alternative.allocationMode == "All" ? allocatableDevices : alternative.count
        most[alternative.deviceClassName] = max(most[alternative.deviceClassName] ?? 0, count)
      }
      for (name, count) in most { usage.add(["\(name).deviceclass.resource.k8s.io/devices": Quantity(count)]) }
    }
    return usage
  }

  /// The most devices that one claim can get.
  private static let allocatableDevices: Int64 = 32

  /// What a container must say where a quota limits it: a quota of memory is worth nothing if some pods need not say
  /// how much they use. Nil if all containers say it.
  public static func missing(_ pod: Pod, limited names: some Sequence<String>) -> String? {
    let wanted = Set(names).intersection(mustBeSaid)
    if wanted.isEmpty { return nil }
    let whole = compute(pod.spec.resources?.requests ?? [:], pod.spec.resources?.limits ?? [:])
    var containers: [String: Set<String>] = [:]
    for container in pod.spec.containers + pod.spec.initContainers {
      let said = compute(container.resources.requests, container.resources.limits)
      for name in wanted where said[name] == nil && whole[name] == nil {
        containers[name, default: []].insert(container.name)
      }
    }
    if containers.isEmpty { return nil }
    return "must specify "
      + containers.sorted { $0.key < $1.key }.map { "\($0.key) for: \($0.value.sorted().joined(separator: ","))" }
      .joined(separator: "; ")
  }

  private static let mustBeSaid: Set<String> = [
    "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
  ]
}
