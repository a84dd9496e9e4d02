import API

private let rbacGroup = "rbac.authorization.k8s.io"

extension ClusterRoleBinding: Defaulted {
  mutating func setDefaults() {
    if roleRef.apiGroup.isEmpty { roleRef.apiGroup = rbacGroup }
    for i in subjects.indices { subjects[i].setDefaults() }
  }
}

extension RoleBinding: Defaulted {
  mutating func setDefaults() {
    if roleRef.apiGroup.isEmpty { roleRef.apiGroup = rbacGroup }
    for i in subjects.indices { subjects[i].setDefaults() }
  }
}

extension Subject {
  mutating func setDefaults() {
    if apiGroup.isEmpty && (kind == "User" || kind == "Group") { apiGroup = rbacGroup }
  }
}

extension StorageClass: Defaulted {
  mutating func setDefaults() {
    if reclaimPolicy == nil { reclaimPolicy = "Delete" }
    if volumeBindingMode == nil { volumeBindingMode = "Immediate" }
  }
}

extension CSIDriver: Defaulted {
  mutating func setDefaults() {
    if spec.attachRequired == nil { spec.attachRequired = true }
    if spec.podInfoOnMount == nil { spec.podInfoOnMount = false }
    if spec.storageCapacity == nil { spec.storageCapacity = false }
    if spec.fsGroupPolicy == nil { spec.fsGroupPolicy = "ReadWriteOnceWithFSType" }
    if spec.volumeLifecycleModes.isEmpty { spec.volumeLifecycleModes = ["Persistent"] }
    if spec.requiresRepublish == nil { spec.requiresRepublish = false }
    if spec.seLinuxMount == nil { spec.seLinuxMount = false }
  }
}

extension PriorityClass: Defaulted {
  mutating func setDefaults() { if preemptionPolicy == nil { preemptionPolicy = "PreemptLowerPriority" } }
}

extension NetworkPolicy: Defaulted {
  mutating func setDefaults() {
    for i in spec.ingress.indices { spec.ingress[i].ports.setDefaults() }
    for i in spec.egress.indices { spec.egress[i].ports.setDefaults() }
    if spec.policyTypes.isEmpty { spec.policyTypes = spec.egress.isEmpty ? ["Ingress"] : ["Ingress", "Egress"] }
  }
}

extension Array<NetworkPolicyPort> {
  mutating func setDefaults() { for i in indices where self[i].`protocol` == nil { self[i].`protocol` = "TCP" } }
}

extension IngressClass: Defaulted {
  mutating func setDefaults() {
    if spec.parameters != nil && spec.parameters?.scope == nil { spec.parameters?.scope = "Cluster" }
  }
}

extension TokenRequest: Defaulted {
  mutating func setDefaults() { if spec.expirationSeconds == nil { spec.expirationSeconds = 3600 } }
}

extension CustomResourceDefinition: Defaulted {
  mutating func setDefaults() {
    if spec.names.singular.isEmpty { spec.names.singular = spec.names.kind.lowercased() }
    if spec.names.listKind.isEmpty && !spec.names.kind.isEmpty { spec.names.listKind = spec.names.kind + "List" }
    if spec.conversion == nil { spec.conversion = CustomResourceConversion { $0.strategy = "None" } }
    if spec.conversion?.webhook?.clientConfig?.service != nil
      && spec.conversion?.webhook?.clientConfig?.service?.port == nil
    {
      spec.conversion?.webhook?.clientConfig?.service?.port = 443
    }
  }
}

extension APIService: Defaulted {
  mutating func setDefaults() {
    if spec.service != nil && spec.service?.port == nil { spec.service?.port = 443 }
  }
}

extension FlowSchema: Defaulted {
  mutating func setDefaults() { if spec.matchingPrecedence == 0 { spec.matchingPrecedence = 1000 } }
}

extension PriorityLevelConfiguration: Defaulted {
  mutating func setDefaults() {
    if var exempt = spec.exempt {
      if exempt.nominalConcurrencyShares == nil { exempt.nominalConcurrencyShares = 0 }
      if exempt.lendablePercent == nil { exempt.lendablePercent = 0 }
      spec.exempt = exempt
    }
    if var limited = spec.limited {
      if limited.nominalConcurrencyShares == nil { limited.nominalConcurrencyShares = 30 }
      if limited.lendablePercent == nil { limited.lendablePercent = 0 }
      if var queuing = limited.limitResponse.queuing {
        if queuing.handSize == 0 { queuing.handSize = 8 }
        if queuing.queues == 0 { queuing.queues = 64 }
        if queuing.queueLengthLimit == 0 { queuing.queueLengthLimit = 50 }
        limited.limitResponse.queuing = queuing
      }
      spec.limited = limited
    }
  }
}
