import API
import CRI

/// Turns requests and limits into the kernel's terms. Pure.
enum LinuxResources {
  /// CPU shares of a request in thousandths of a core.
  static func shares(milli: Int64) -> Int64 {
    if milli == 0 { return 2 }
    return min(max(milli * 1024 / 1000, 2), 262_144)
  }

  /// The CFS quota of a limit; 0 is no limit.
  static func quota(milli: Int64, period: Int64) -> Int64 {
    if milli == 0 { return 0 }
    return max(milli * period / 1000, 1000)
  }

  /// Whom the kernel shall kill first when memory runs out.
  static func oomScore(pod: Pod, container: Container, memoryCapacity: Int64) -> Int64 {
    if let priority = pod.spec.priority, priority >= 2_000_001_000 { return -997 }
    switch qosClass(of: pod) {
    case "Guaranteed": return -997
    case "BestEffort": return 1000
    default:
      let request = container.resources.requests["memory"]?.value ?? 0
      let score = memoryCapacity == 0 ? 999 : 1000 - (1000 * request) / memoryCapacity
      if score < 3 { return 3 }
      return score == 1000 ? 999 : score
    }
  }

  /// The resources of a container.
  static func make(pod: Pod, container: Container, memoryCapacity: Int64, cfsQuota: Bool, period: Int64)
    -> CRILinuxContainerResources
  {
    var out = CRILinuxContainerResources()
    let request = container.resources.requests["cpu"]?.milliValue ?? 0
    let limit = container.resources.limits["cpu"]?.milliValue ?? 0
    out.cpuShares = shares(milli: request == 0 ? limit : request)
    if cfsQuota {
      out.cpuQuota = quota(milli: limit, period: period)
      out.cpuPeriod = period
    }
    out.memoryLimitInBytes = container.resources.limits["memory"]?.value ?? 0
    out.oomScoreAdj = oomScore(pod: pod, container: container, memoryCapacity: memoryCapacity)
    return out
  }
}
