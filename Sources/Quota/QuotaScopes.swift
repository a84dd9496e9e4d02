public import API

extension ResourceQuotaSpec {
  /// All its scopes as requirements.
  private var requirements: [ScopedResourceSelectorRequirement] {
    scopes.map { scope in
      ScopedResourceSelectorRequirement {
        $0.scopeName = scope
        $0.operator = "Exists"
      }
    } + (scopeSelector?.matchExpressions ?? [])
  }

  /// Whether the quota counts a pod.
  public func covers(_ pod: Pod) -> Bool { requirements.allSatisfy { $0.matches(pod) } }

  /// Whether the quota counts a claim: of the scopes only that of volume attributes is for claims.
  public func covers(_ claim: PersistentVolumeClaim) -> Bool {
    requirements.allSatisfy { requirement in
      guard requirement.scopeName == "VolumeAttributesClass" else { return false }
      let wanted = claim.spec.volumeAttributesClassName ?? ""
      let present = claim.status.currentVolumeAttributesClassName ?? ""
      // A class that is being left and one that is being taken on both count.
      return [wanted, present].contains { requirement.accepts($0.isEmpty ? nil : $0) }
    }
  }

  /// Whether the quota counts objects that have no scopes.
  public var coversPlainObjects: Bool { requirements.isEmpty }
}

extension ScopedResourceSelectorRequirement {
  fileprivate func matches(_ pod: Pod) -> Bool {
    let holds: Bool
    switch scopeName {
    case "Terminating": holds = (pod.spec.activeDeadlineSeconds ?? -1) >= 0
    case "NotTerminating": holds = (pod.spec.activeDeadlineSeconds ?? -1) < 0
    case "BestEffort": holds = pod.computedQOSClass == "BestEffort"
    case "NotBestEffort": holds = pod.computedQOSClass != "BestEffort"
    case "CrossNamespacePodAffinity": holds = pod.spec.reachesOtherNamespaces
    case "PriorityClass":
      // Without an expression the scope stands for pods that have a class at all.
      return accepts(pod.spec.priorityClassName.isEmpty ? nil : pod.spec.priorityClassName)
    default: return false
    }
    return `operator` == "DoesNotExist" ? !holds : holds
  }

  /// Whether the operator accepts a value, nil standing for none.
  fileprivate func accepts(_ value: String?) -> Bool {
    switch `operator` {
    case "In": value.map(values.contains) ?? false
    case "NotIn": value.map { !values.contains($0) } ?? true
    case "Exists": value != nil
    case "DoesNotExist": value == nil
    default: false
    }
  }
}

extension PodSpec {
  /// Whether any affinity term of the pod looks at pods of other namespaces.
  fileprivate var reachesOtherNamespaces: Bool {
    let own = affinity?.podAffinity
    let anti = affinity?.podAntiAffinity
    let required =
      (own?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
      + (anti?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
    let preferred =
      (own?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      + (anti?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
    return (required + preferred.map(\.podAffinityTerm)).contains {
      !$0.namespaces.isEmpty || $0.namespaceSelector != nil
    }
  }
}
