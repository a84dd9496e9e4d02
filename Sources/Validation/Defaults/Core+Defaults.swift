import API

extension Service: Defaulted {
  mutating func setDefaults() {
    if spec.sessionAffinity.isEmpty { spec.sessionAffinity = "None" }
    if spec.sessionAffinity == "None" { spec.sessionAffinityConfig = nil }
    if spec.sessionAffinity == "ClientIP", spec.sessionAffinityConfig?.clientIP?.timeoutSeconds == nil {
      spec.sessionAffinityConfig = SessionAffinityConfig {
        $0.clientIP = ClientIPConfig { $0.timeoutSeconds = 10_800 }
      }
    }
    if spec.type.isEmpty { spec.type = "ClusterIP" }
    for i in spec.ports.indices {
      if spec.ports[i].`protocol`.isEmpty { spec.ports[i].`protocol` = "TCP" }
      if spec.ports[i].targetPort == .int(0) || spec.ports[i].targetPort == .string("") {
        spec.ports[i].targetPort = .int(spec.ports[i].port)
      }
    }
    let external = spec.type == "NodePort" || spec.type == "LoadBalancer"
    if external || (spec.type == "ClusterIP" && !spec.externalIPs.isEmpty) {
      if spec.externalTrafficPolicy.isEmpty { spec.externalTrafficPolicy = "Cluster" }
    }
    if spec.internalTrafficPolicy == nil && (external || spec.type == "ClusterIP") {
      spec.internalTrafficPolicy = "Cluster"
    }
    if spec.type == "LoadBalancer" {
      if spec.allocateLoadBalancerNodePorts == nil { spec.allocateLoadBalancerNodePorts = true }
      for i in status.loadBalancer.ingress.indices {
        let ingress = status.loadBalancer.ingress[i]
        if !ingress.ip.isEmpty && ingress.ipMode == nil { status.loadBalancer.ingress[i].ipMode = "VIP" }
      }
    }
  }
}

extension Endpoints: Defaulted {
  mutating func setDefaults() {
    for i in subsets.indices {
      for j in subsets[i].ports.indices where subsets[i].ports[j].`protocol`.isEmpty {
        subsets[i].ports[j].`protocol` = "TCP"
      }
    }
  }
}

extension EndpointSlice: Defaulted {
  mutating func setDefaults() {
    for i in ports.indices {
      if ports[i].name == nil { ports[i].name = "" }
      if ports[i].`protocol` == nil { ports[i].`protocol` = "TCP" }
    }
  }
}

extension Secret: Defaulted {
  mutating func setDefaults() {
    if type.isEmpty { type = "Opaque" }
    // Plain strings are only ever written; they become data.
    for (key, text) in stringData { data[key] = Base64Bytes(Array(text.utf8)) }
    stringData = [:]
  }
}

extension Namespace: Defaulted {
  mutating func setDefaults() {
    // Lets selectors choose a namespace by name. A name may yet have to be generated.
    if !metadata.name.isEmpty { metadata.labels["kubernetes.io/metadata.name"] = metadata.name }
    if status.phase.isEmpty { status.phase = "Active" }
    if metadata.resourceVersion.isEmpty && metadata.uid.isEmpty && !spec.finalizers.contains("kubernetes") {
      spec.finalizers.append("kubernetes")
    }
  }
}

extension Node: Defaulted {
  mutating func setDefaults() { if status.allocatable.isEmpty { status.allocatable = status.capacity } }
}

extension PersistentVolume: Defaulted {
  mutating func setDefaults() {
    if status.phase.isEmpty { status.phase = "Pending" }
    if spec.persistentVolumeReclaimPolicy.isEmpty { spec.persistentVolumeReclaimPolicy = "Retain" }
    if spec.volumeMode == nil { spec.volumeMode = "Filesystem" }
    if spec.hostPath != nil && spec.hostPath?.type == nil { spec.hostPath?.type = "" }
    if spec.iscsi?.iscsiInterface.isEmpty == true { spec.iscsi?.iscsiInterface = "default" }
  }
}

extension PersistentVolumeClaim: Defaulted {
  mutating func setDefaults() {
    if status.phase.isEmpty { status.phase = "Pending" }
    if spec.volumeMode == nil { spec.volumeMode = "Filesystem" }
  }
}

extension LimitRange: Defaulted {
  mutating func setDefaults() {
    for i in spec.limits.indices where spec.limits[i].type == "Container" {
      var item = spec.limits[i]
      item.`default`.merge(item.max) { own, _ in own }
      item.defaultRequest.merge(item.`default`) { own, _ in own }
      item.defaultRequest.merge(item.min) { own, _ in own }
      spec.limits[i] = item
    }
  }
}
