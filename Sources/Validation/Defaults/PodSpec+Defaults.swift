import API

extension PodSpec {
  /// What a pod and a pod template have in common.
  mutating func setDefaults() {
    if dnsPolicy.isEmpty { dnsPolicy = "ClusterFirst" }
    if restartPolicy.isEmpty { restartPolicy = "Always" }
    if securityContext == nil { securityContext = PodSecurityContext() }
    if terminationGracePeriodSeconds == nil { terminationGracePeriodSeconds = 30 }
    if schedulerName.isEmpty { schedulerName = "default-scheduler" }
    if !serviceAccountName.isEmpty {
      // The old name of the field mirrors the new one.
      serviceAccount = serviceAccountName
    } else if !serviceAccount.isEmpty {
      serviceAccountName = serviceAccount
    }
    for i in volumes.indices { volumes[i].setDefaults() }
    for i in initContainers.indices { initContainers[i].setDefaults() }
    for i in containers.indices { containers[i].setDefaults() }
    for i in ephemeralContainers.indices { ephemeralContainers[i].setDefaults() }
  }

  /// Pods, not templates: ports on the node, requests from limits.
  mutating func setPodDefaults() {
    for i in containers.indices { containers[i].setRequests() }
    for i in initContainers.indices { initContainers[i].setRequests() }
    setPodRequests()
    if enableServiceLinks == nil { enableServiceLinks = true }
    if hostNetwork {
      for i in containers.indices { containers[i].setHostPorts() }
      for i in initContainers.indices { initContainers[i].setHostPorts() }
    }
  }

  /// Requests for the whole pod follow from its containers, then from its limits, if it has limits of its own.
  private mutating func setPodRequests() {
    guard var own = resources, !own.limits.isEmpty else { return }
    var bare = self
    bare.resources = nil
    bare.overhead = [:]
    for (name, quantity) in bare.totalRequests where own.requests[name] == nil {
      if name == "cpu" || name == "memory" { own.requests[name] = quantity }
    }
    for (name, quantity) in own.limits where own.requests[name] == nil && PodSpec.isPodLevel(name) {
      own.requests[name] = quantity
    }
    resources = own
  }
}

extension Container {
  mutating func setDefaults() {
    if imagePullPolicy.isEmpty { imagePullPolicy = defaultPullPolicy(image) }
    if terminationMessagePath.isEmpty { terminationMessagePath = "/dev/termination-log" }
    if terminationMessagePolicy.isEmpty { terminationMessagePolicy = "File" }
    for i in ports.indices where ports[i].`protocol`.isEmpty { ports[i].`protocol` = "TCP" }
    for i in env.indices { env[i].setDefaults() }
    livenessProbe?.setDefaults()
    readinessProbe?.setDefaults()
    startupProbe?.setDefaults()
    lifecycle?.setDefaults()
  }

  mutating func setRequests() {
    if resources.limits.isEmpty { return }
    for (name, quantity) in resources.limits where resources.requests[name] == nil {
      resources.requests[name] = quantity
    }
  }

  mutating func setHostPorts() {
    for i in ports.indices where ports[i].hostPort == 0 { ports[i].hostPort = ports[i].containerPort }
  }
}

extension EphemeralContainer {
  mutating func setDefaults() {
    if imagePullPolicy.isEmpty { imagePullPolicy = defaultPullPolicy(image) }
    if terminationMessagePath.isEmpty { terminationMessagePath = "/dev/termination-log" }
    if terminationMessagePolicy.isEmpty { terminationMessagePolicy = "File" }
    for i in ports.indices where ports[i].`protocol`.isEmpty { ports[i].`protocol` = "TCP" }
    for i in env.indices { env[i].setDefaults() }
  }
}

/// `Always` for the tag `latest`, which is what no tag and no digest means.
func defaultPullPolicy(_ image: String) -> String {
  var name = image[...]
  var hasDigest = false
  if let at = name.firstIndex(of: "@") {
    hasDigest = true
    name = name[..<at]
  }
  if name.isEmpty { return "IfNotPresent" }
  let last = name.lastIndex(of: "/").map { name[name.index(after: $0)...] } ?? name
  guard let colon = last.lastIndex(of: ":") else { return hasDigest ? "IfNotPresent" : "Always" }
  return last[last.index(after: colon)...] == "latest" ? "Always" : "IfNotPresent"
}

extension EnvVar {
  mutating func setDefaults() {
    if valueFrom?.fieldRef?.apiVersion.isEmpty == true { valueFrom?.fieldRef?.apiVersion = "v1" }
    if valueFrom?.fileKeyRef != nil && valueFrom?.fileKeyRef?.optional == nil {
      valueFrom?.fileKeyRef?.optional = false
    }
  }
}

extension Probe {
  mutating func setDefaults() {
    if timeoutSeconds == 0 { timeoutSeconds = 1 }
    if periodSeconds == 0 { periodSeconds = 10 }
    if successThreshold == 0 { successThreshold = 1 }
    if failureThreshold == 0 { failureThreshold = 3 }
    httpGet?.setDefaults()
    if grpc != nil && grpc?.service == nil { grpc?.service = "" }
  }
}

extension HTTPGetAction {
  mutating func setDefaults() {
    if path.isEmpty { path = "/" }
    if scheme.isEmpty { scheme = "HTTP" }
  }
}

extension Lifecycle {
  mutating func setDefaults() {
    postStart?.httpGet?.setDefaults()
    preStop?.httpGet?.setDefaults()
  }
}

extension PodTemplateSpec {
  mutating func setDefaults() { spec.setDefaults() }
}

extension Pod: Defaulted {
  mutating func setDefaults() {
    spec.setPodDefaults()
    spec.setDefaults()
  }
}

extension PodTemplate: Defaulted {
  mutating func setDefaults() { template.setDefaults() }
}
