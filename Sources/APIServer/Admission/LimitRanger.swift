import API
import APIMachinery

/// Gives containers the resources that their namespace's limit ranges say, and holds pods and claims to the limits.
struct LimitRanger: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create), var pod = object.as(Pod.self) else { return }
    let ranges = registry.list(LimitRange.self, namespace: request.namespace)
    if ranges.isEmpty { return }
    for range in ranges {
      for item in range.spec.limits where item.type == "Container" {
        let requests = item.defaultRequest
        for index in pod.spec.containers.indices { fill(&pod.spec.containers[index].resources, item.default, requests) }
        for index in pod.spec.initContainers.indices {
          fill(&pod.spec.initContainers[index].resources, item.default, requests)
        }
      }
    }
    pod.status.qosClass = pod.computedQOSClass
    object = .typed(pod)
  }

  private func fill(
    _ resources: inout ResourceRequirements, _ limits: [String: Quantity], _ requests: [String: Quantity]
  ) {
    for (name, value) in limits where resources.limits[name] == nil { resources.limits[name] = value }
    for (name, value) in requests where resources.requests[name] == nil { resources.requests[name] = value }
    // A limit without a request is its own request.
    for (name, value) in resources.limits where resources.requests[name] == nil { resources.requests[name] = value }
  }

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.subresource.isEmpty, request.operation != .delete else { return }
    if let pod = object.as(Pod.self), request.operation == .create {
      try check(pod, request, registry)
    } else if let claim = object.as(PersistentVolumeClaim.self) {
      try check(claim, request, registry)
    }
  }

  private func check(_ pod: Pod, _ request: AdmissionRequest, _ registry: Registry) throws {
    var problems: [String] = []
    for range in registry.list(LimitRange.self, namespace: request.namespace) {
      for item in range.spec.limits {
        switch item.type {
        case "Container":
          for container in pod.spec.containers + pod.spec.initContainers {
            problems += violations(item, container.resources.requests, container.resources.limits)
          }
        case "Pod": problems += violations(item, pod.spec.totalRequests, pod.spec.totalLimits)
        default: break
        }
      }
    }
    try refuse(problems, pod.metadata.name, request)
  }

  private func check(_ claim: PersistentVolumeClaim, _ request: AdmissionRequest, _ registry: Registry) throws {
    var problems: [String] = []
    for range in registry.list(LimitRange.self, namespace: request.namespace) {
      for item in range.spec.limits where item.type == "PersistentVolumeClaim" {
        let requests = claim.spec.resources.requests
        for (name, minimum) in item.min.sorted(by: { $0.key < $1.key }) {
          if let value = requests[name], value < minimum {
            problems.append("minimum \(name) usage per PersistentVolumeClaim is \(minimum), but request is \(value)")
          }
        }
        for (name, maximum) in item.max.sorted(by: { $0.key < $1.key }) {
          if let value = requests[name], value > maximum {
            problems.append("maximum \(name) usage per PersistentVolumeClaim is \(maximum), but request is \(value)")
          }
        }
      }
    }
    try refuse(problems, claim.metadata.name, request)
  }

  private func refuse(_ problems: [String], _ name: String, _ request: AdmissionRequest) throws {
    if problems.isEmpty { return }
    let text = problems.count == 1 ? problems[0] : "[" + problems.joined(separator: ", ") + "]"
    throw request.forbidden(name, text)
  }

  private func violations(_ item: LimitRangeItem, _ requests: [String: Quantity], _ limits: [String: Quantity])
    -> [String]
  {
    var problems: [String] = []
    let kind = item.type
    // The first violation of each limit is told.
    for (name, minimum) in item.min.sorted(by: { $0.key < $1.key }) {
      let rule = "minimum \(name) usage per \(kind) is \(minimum)"
      guard let request = requests[name] else {
        problems.append("\(rule).  No request is specified")
        continue
      }
      if request < minimum {
        problems.append("\(rule), but request is \(request)")
      } else if let limit = limits[name], limit < minimum {
        problems.append("\(rule), but limit is \(limit)")
      }
    }
    for (name, maximum) in item.max.sorted(by: { $0.key < $1.key }) {
      let rule = "maximum \(name) usage per \(kind) is \(maximum)"
      guard let limit = limits[name] else {
        problems.append("\(rule).  No limit is specified")
        continue
      }
      if limit > maximum {
        problems.append("\(rule), but limit is \(limit)")
      } else if let request = requests[name], request > maximum {
        problems.append("\(rule), but request is \(request)")
      }
    }
    for (name, ratio) in item.maxLimitRequestRatio.sorted(by: { $0.key < $1.key }) {
      guard let request = requests[name], let limit = limits[name], request.milliValue > 0 else {
        problems.append(
          "\(name) max limit to request ratio per \(kind) is \(ratio), but no request or limit is specified")
        continue
      }
      let actual = Double(limit.milliValue) / Double(request.milliValue)
      if actual > ratio.approximate {
        problems.append("\(name) max limit to request ratio per \(kind) is \(ratio), but provided ratio is \(actual)")
      }
    }
    return problems
  }
}
