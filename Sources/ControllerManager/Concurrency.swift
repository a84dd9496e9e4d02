extension ControllerManager {
  /// How many objects of a kind are worked on at once: upstream's `--concurrent-*-syncs` flags, by their names.
  public enum ConcurrentSyncs: String, CaseIterable, Sendable {
    case cronJob = "concurrent-cron-job-syncs"
    case daemonSet = "concurrent-daemonset-syncs"
    case deployment = "concurrent-deployment-syncs"
    case deviceTaintEviction = "concurrent-device-taint-eviction-syncs"
    case endpoints = "concurrent-endpoint-syncs"
    case ephemeralVolume = "concurrent-ephemeralvolume-syncs"
    case garbageCollector = "concurrent-gc-syncs"
    case horizontalPodAutoscaler = "concurrent-horizontal-pod-autoscaler-syncs"
    case job = "concurrent-job-syncs"
    case namespace = "concurrent-namespace-syncs"
    case replicationController = "concurrent-rc-syncs"
    case replicaSet = "concurrent-replicaset-syncs"
    case resourceClaim = "concurrent-resource-claim-syncs"
    case resourceQuota = "concurrent-resource-quota-syncs"
    case endpointSlice = "concurrent-service-endpoint-syncs"
    case service = "concurrent-service-syncs"
    case serviceAccountToken = "concurrent-serviceaccount-token-syncs"
    case statefulSet = "concurrent-statefulset-syncs"
    case ttlAfterFinished = "concurrent-ttl-after-finished-syncs"
    case policyStatus = "concurrent-validating-admission-policy-status-syncs"
    case endpointSliceMirroring = "mirroring-concurrent-service-endpoint-syncs"

    /// Upstream's default.
    public var defaultCount: Int {
      switch self {
      case .daemonSet: 2
      case .deviceTaintEviction: 8
      case .garbageCollector: 20
      case .namespace: 10
      case .resourceClaim: 10
      case .service: 1
      default: 5
      }
    }
  }
}

extension ControllerManager.Configuration {
  /// How many workers a controller has.
  public func workers(_ kind: ControllerManager.ConcurrentSyncs) -> Int {
    max(1, concurrency[kind] ?? kind.defaultCount)
  }
}
