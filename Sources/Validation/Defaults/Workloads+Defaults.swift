import API

extension Deployment: Defaulted {
  mutating func setDefaults() {
    if spec.replicas == nil { spec.replicas = 1 }
    if spec.strategy.type.isEmpty { spec.strategy.type = "RollingUpdate" }
    if spec.strategy.type == "RollingUpdate" {
      var rolling = spec.strategy.rollingUpdate ?? RollingUpdateDeployment()
      if rolling.maxUnavailable == nil { rolling.maxUnavailable = .string("25%") }
      if rolling.maxSurge == nil { rolling.maxSurge = .string("25%") }
      spec.strategy.rollingUpdate = rolling
    }
    if spec.revisionHistoryLimit == nil { spec.revisionHistoryLimit = 10 }
    if spec.progressDeadlineSeconds == nil { spec.progressDeadlineSeconds = 600 }
    spec.template.setDefaults()
  }
}

extension ReplicaSet: Defaulted {
  mutating func setDefaults() {
    if spec.replicas == nil { spec.replicas = 1 }
    spec.template.setDefaults()
  }
}

extension ReplicationController: Defaulted {
  mutating func setDefaults() {
    // A controller without labels or selector takes them from its pods.
    let labels = spec.template?.metadata.labels ?? [:]
    if !labels.isEmpty {
      if spec.selector.isEmpty { spec.selector = labels }
      if metadata.labels.isEmpty { metadata.labels = labels }
    }
    if spec.replicas == nil { spec.replicas = 1 }
    spec.template?.setDefaults()
  }
}

extension DaemonSet: Defaulted {
  mutating func setDefaults() {
    if spec.updateStrategy.type.isEmpty { spec.updateStrategy.type = "RollingUpdate" }
    if spec.updateStrategy.type == "RollingUpdate" {
      var rolling = spec.updateStrategy.rollingUpdate ?? RollingUpdateDaemonSet()
      if rolling.maxUnavailable == nil { rolling.maxUnavailable = .int(1) }
      if rolling.maxSurge == nil { rolling.maxSurge = .int(0) }
      spec.updateStrategy.rollingUpdate = rolling
    }
    if spec.revisionHistoryLimit == nil { spec.revisionHistoryLimit = 10 }
    spec.template.setDefaults()
  }
}

extension StatefulSet: Defaulted {
  mutating func setDefaults() {
    if spec.podManagementPolicy.isEmpty { spec.podManagementPolicy = "OrderedReady" }
    if spec.updateStrategy.type.isEmpty {
      spec.updateStrategy.type = "RollingUpdate"
      if spec.updateStrategy.rollingUpdate == nil {
        spec.updateStrategy.rollingUpdate = RollingUpdateStatefulSetStrategy()
      }
    }
    if spec.updateStrategy.type == "RollingUpdate", var rolling = spec.updateStrategy.rollingUpdate {
      if rolling.partition == nil { rolling.partition = 0 }
      if rolling.maxUnavailable == nil { rolling.maxUnavailable = .int(1) }
      spec.updateStrategy.rollingUpdate = rolling
    }
    var retention = spec.persistentVolumeClaimRetentionPolicy ?? StatefulSetPersistentVolumeClaimRetentionPolicy()
    if retention.whenDeleted.isEmpty { retention.whenDeleted = "Retain" }
    if retention.whenScaled.isEmpty { retention.whenScaled = "Retain" }
    spec.persistentVolumeClaimRetentionPolicy = retention
    if spec.replicas == nil { spec.replicas = 1 }
    if spec.revisionHistoryLimit == nil { spec.revisionHistoryLimit = 10 }
    for i in spec.volumeClaimTemplates.indices { spec.volumeClaimTemplates[i].setDefaults() }
    spec.template.setDefaults()
  }
}

extension Job: Defaulted {
  mutating func setDefaults() {
    let labels = spec.template.metadata.labels
    if metadata.labels.isEmpty { metadata.labels = labels }
    spec.setDefaults()
  }
}

extension JobSpec {
  mutating func setDefaults() {
    if completions == nil && parallelism == nil {
      completions = 1
      parallelism = 1
    }
    if parallelism == nil { parallelism = 1 }
    if backoffLimit == nil { backoffLimit = backoffLimitPerIndex == nil ? 6 : Int32.max }
    if completionMode == nil { completionMode = "NonIndexed" }
    if suspend == nil { suspend = false }
    if var policy = podFailurePolicy {
      for i in policy.rules.indices {
        for j in policy.rules[i].onPodConditions.indices where policy.rules[i].onPodConditions[j].status.isEmpty {
          policy.rules[i].onPodConditions[j].status = "True"
        }
      }
      podFailurePolicy = policy
    }
    if podReplacementPolicy == nil {
      podReplacementPolicy = podFailurePolicy == nil ? "TerminatingOrFailed" : "Failed"
    }
    if manualSelector == nil { manualSelector = false }
    template.setDefaults()
  }
}

extension CronJob: Defaulted {
  mutating func setDefaults() {
    if spec.concurrencyPolicy.isEmpty { spec.concurrencyPolicy = "Allow" }
    if spec.suspend == nil { spec.suspend = false }
    if spec.successfulJobsHistoryLimit == nil { spec.successfulJobsHistoryLimit = 3 }
    if spec.failedJobsHistoryLimit == nil { spec.failedJobsHistoryLimit = 1 }
    // A job template gets the defaults of its pods only; the rest follows when a job is made of it.
    spec.jobTemplate.spec.template.setDefaults()
  }
}

extension HorizontalPodAutoscaler: Defaulted {
  mutating func setDefaults() {
    if spec.minReplicas == nil { spec.minReplicas = 1 }
    if spec.metrics.isEmpty {
      spec.metrics = [
        MetricSpec { metric in
          metric.type = "Resource"
          metric.resource = ResourceMetricSource {
            $0.name = "cpu"
            $0.target.type = "Utilization"
            $0.target.averageUtilization = 80
          }
        }
      ]
    }
    guard var behavior = spec.behavior else { return }
    var up = behavior.scaleUp ?? HPAScalingRules()
    if up.selectPolicy == nil { up.selectPolicy = "Max" }
    if up.stabilizationWindowSeconds == nil { up.stabilizationWindowSeconds = 0 }
    if up.policies.isEmpty { up.policies = [Self.policy("Pods", 4), Self.policy("Percent", 100)] }
    behavior.scaleUp = up
    var down = behavior.scaleDown ?? HPAScalingRules()
    if down.selectPolicy == nil { down.selectPolicy = "Max" }
    if down.policies.isEmpty { down.policies = [Self.policy("Percent", 100)] }
    behavior.scaleDown = down
    spec.behavior = behavior
  }

  private static func policy(_ type: String, _ value: Int32) -> HPAScalingPolicy {
    HPAScalingPolicy {
      $0.type = type
      $0.value = value
      $0.periodSeconds = 15
    }
  }
}
