import API

/// No domain, or one of Kubernetes' own.
func isNativeResource(_ name: String) -> Bool { !name.contains("/") || name.contains("kubernetes.io/") }

/// More can be promised than there is.
func isOvercommitAllowed(_ name: String) -> Bool { isNativeResource(name) && !name.hasPrefix("hugepages-") }

/// A device or another thing that is counted: not native, and a quota can be made of its name.
func isExtendedResource(_ name: String) -> Bool {
  if isNativeResource(name) || name.hasPrefix("requests.") { return false }
  return Names.isQualifiedName("requests." + name).isEmpty
}

private let standardContainerResources: Set<String> = ["cpu", "memory", "ephemeral-storage"]
private let standardResources: Set<String> = [
  "cpu", "memory", "ephemeral-storage", "storage", "requests.cpu", "requests.memory", "requests.storage",
  "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas",
  "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "services.nodeports",
  "services.loadbalancers",
]

/// Checks the name of any resource.
func checkResourceName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  let problems = Names.isQualifiedName(name)
  checkProblems(problems, name, path, &errors)
  if !problems.isEmpty || name.contains("/") { return }
  if !standardResources.contains(name) && !name.hasPrefix("hugepages-") && !name.hasPrefix("requests.hugepages-") {
    errors.append(.invalid(path, name, "must be a standard resource type or fully qualified"))
  }
}

/// Checks the name of a resource that a container asks for.
func checkContainerResourceName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkResourceName(name, path, &errors)
  if !name.contains("/") {
    if !standardContainerResources.contains(name) && !name.hasPrefix("hugepages-") {
      errors.append(.invalid(path, name, "must be a standard resource for containers"))
    }
  } else if !isNativeResource(name) && !isExtendedResource(name) {
    errors.append(.invalid(path, name, "doesn't follow extended resource name standard"))
  }
}

/// Checks an amount: not negative, and whole where only whole ones make sense.
func checkQuantity(_ name: String, _ quantity: Quantity, _ path: FieldPath, _ errors: inout [FieldError]) {
  if quantity.sign < 0 {
    errors.append(.invalid(path, quantity.description, "must be greater than or equal to 0"))
  }
  let whole = isExtendedResource(name) || wholeResources.contains(name)
  if whole && quantity.milliValue % 1000 != 0 {
    errors.append(.invalid(path, quantity, "must be an integer"))
  }
}

private let wholeResources: Set<String> = [
  "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
  "services.nodeports", "services.loadbalancers",
]

/// Checks a container's requests and limits.
func checkResources(
  _ resources: ResourceRequirements, _ path: FieldPath, claims: Set<String>, _ errors: inout [FieldError]
) {
  let limits = path.child("limits")
  let requests = path.child("requests")
  var hasCPUOrMemory = false
  var hasHugePages = false
  func note(_ name: String) {
    if name.hasPrefix("hugepages-") { hasHugePages = true }
    if name == "cpu" || name == "memory" { hasCPUOrMemory = true }
  }
  for (name, quantity) in resources.limits.sorted(by: { $0.key < $1.key }) {
    checkContainerResourceName(name, limits.key(name), &errors)
    checkQuantity(name, quantity, limits.key(name), &errors)
    note(name)
  }
  for (name, quantity) in resources.requests.sorted(by: { $0.key < $1.key }) {
    checkContainerResourceName(name, requests.key(name), &errors)
    checkQuantity(name, quantity, requests.key(name), &errors)
    note(name)
    if let limit = resources.limits[name] {
      if quantity != limit && !isOvercommitAllowed(name) {
        errors.append(.invalid(requests, quantity.description, "must be equal to \(name) limit of \(limit)"))
      } else if quantity > limit {
        errors.append(
          .invalid(requests, quantity.description, "must be less than or equal to \(name) limit of \(limit)"))
      }
    } else if !isOvercommitAllowed(name) {
      errors.append(.required(limits, "Limit must be set for non overcommitable resources"))
    }
  }
  if hasHugePages && !hasCPUOrMemory { errors.append(.forbidden(path, "HugePages require cpu or memory")) }
  var seen: Set<ResourceClaim> = []
  for (i, claim) in resources.claims.enumerated() {
    let place = path.child("claims").index(i)
    if claim.name.isEmpty {
      errors.append(.required(place.child("name")))
    } else if !seen.insert(claim).inserted {
      errors.append(.duplicate(place, FieldJSON(claim)))
    } else if !claims.contains(claim.name) {
      errors.append(.notFound(place.child("name"), claim.name))
    }
  }
}

/// Checks what a pod asks for as a whole, beside what its containers ask for.
func checkPodResources(
  _ resources: ResourceRequirements, _ spec: PodSpec, _ path: FieldPath, _ errors: inout [FieldError]
) {
  for (field, list) in [("limits", resources.limits), ("requests", resources.requests)] {
    for (name, quantity) in list.sorted(by: { $0.key < $1.key }) {
      let path = path.child(field).key(name)
      checkContainerResourceName(name, path, &errors)
      checkQuantity(name, quantity, path, &errors)
      if !PodSpec.isPodLevel(name) {
        errors.append(.notSupported(path, name, ["cpu", "hugepages-", "memory"]))
      }
    }
  }
  for (name, quantity) in resources.requests.sorted(by: { $0.key < $1.key }) {
    if let limit = resources.limits[name], quantity > limit {
      errors.append(
        .invalid(
          path.child("requests"), quantity.description, "must be less than or equal to \(name) limit of \(limit)"))
    }
  }
  var bare = spec
  bare.resources = nil
  bare.overhead = [:]
  let sum = bare.totalRequests
  for (name, quantity) in resources.requests.sorted(by: { $0.key < $1.key }) {
    if let needed = sum[name], needed > quantity {
      errors.append(
        .invalid(
          path.child("requests").key(name), quantity.description,
          "must be greater than or equal to aggregate container requests of \(needed)"))
    }
  }
  if !resources.claims.isEmpty {
    errors.append(.forbidden(path.child("claims"), "claims may not be set for Resources at pod-level"))
  }
}

/// Checks what a resize of a container's resources does to it.
func checkResizePolicy(_ policies: [ContainerResizePolicy], _ path: FieldPath, _ errors: inout [FieldError]) {
  var seen: Set<String> = []
  for (i, policy) in policies.enumerated() {
    if !seen.insert(policy.resourceName).inserted {
      errors.append(.duplicate(path.index(i), policy.resourceName))
    }
    checkRequiredOneOf(policy.resourceName, ["cpu", "memory"], path.index(i), &errors)
    checkRequiredOneOf(policy.restartPolicy, ["NotRequired", "RestartContainer"], path.index(i), &errors)
  }
}
