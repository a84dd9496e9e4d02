import API

/// The quality-of-service class that follows from requests and limits.
func qosClass(of pod: Pod) -> String {
  if !pod.status.qosClass.isEmpty { return pod.status.qosClass }
  var requests: [String: Quantity] = [:]
  var limits: [String: Quantity] = [:]
  var guaranteed = true
  for container in pod.spec.initContainers + pod.spec.containers {
    for (name, quantity) in container.resources.requests where isQOSResource(name) && !quantity.isZero {
      requests[name] = requests[name].map { $0 + quantity } ?? quantity
    }
    var found: Set<String> = []
    for (name, quantity) in container.resources.limits where isQOSResource(name) && !quantity.isZero {
      found.insert(name)
      limits[name] = limits[name].map { $0 + quantity } ?? quantity
    }
    if found.count < 2 { guaranteed = false }
  }
  if requests.isEmpty, limits.isEmpty { return "BestEffort" }
  if guaranteed, requests.count == limits.count, requests.allSatisfy({ limits[$0.key] == $0.value }) {
    return "Guaranteed"
  }
  return "Burstable"
}

private func isQOSResource(_ name: String) -> Bool { name == "cpu" || name == "memory" }
