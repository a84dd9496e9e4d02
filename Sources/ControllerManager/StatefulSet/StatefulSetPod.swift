import API
import APIMachinery

/// The pods and claims of a StatefulSet: names, identity, storage; pure.
enum StatefulSetPod {
  static let nameLabel = "statefulset.kubernetes.io/pod-name"
  static let indexLabel = "apps.kubernetes.io/pod-index"

  static func name(_ set: StatefulSet, _ ordinal: Int) -> String { "\(set.metadata.name)-\(ordinal)" }

  /// The ordinals that a set wants pods for.
  static func ordinals(_ set: StatefulSet) -> Range<Int> {
    let start = Int(set.spec.ordinals?.start ?? 0)
    return start..<(start + max(0, Int(set.spec.replicas ?? 1)))
  }

  /// The ordinal in a pod's name; nil when the name is not one of the set's.
  static func ordinal(_ pod: Pod, of set: StatefulSet) -> Int? {
    let prefix = set.metadata.name + "-"
    guard pod.metadata.name.hasPrefix(prefix) else { return nil }
    let digits = pod.metadata.name.dropFirst(prefix.count)
    guard digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int32(digits).map(Int.init)
  }

  static func make(_ set: StatefulSet, _ template: PodTemplateSpec, revision: String, ordinal: Int) -> Pod {
    var pod = PodControl.pod(from: template, for: set)
    pod.metadata.generateName = ""
    pod.metadata.name = name(set, ordinal)
    pod.metadata.labels[Revisions.hashLabel] = revision
    pod.spec.hostname = pod.metadata.name
    pod.spec.subdomain = set.spec.serviceName
    return identified(pod, set, ordinal)
  }

  /// A pod with the identity and the storage that its ordinal gives it.
  static func identified(_ pod: Pod, _ set: StatefulSet, _ ordinal: Int) -> Pod {
    var pod = pod
    pod.metadata.labels[nameLabel] = pod.metadata.name
    pod.metadata.labels[indexLabel] = String(ordinal)
    guard !hasStorage(pod, set) else { return pod }
    let names = Set(set.spec.volumeClaimTemplates.map(\.metadata.name))
    pod.spec.volumes.removeAll { names.contains($0.name) }
    for claim in set.spec.volumeClaimTemplates {
      pod.spec.volumes.append(
        Volume {
          $0.name = claim.metadata.name
          $0.persistentVolumeClaim = PersistentVolumeClaimVolumeSource {
            $0.claimName = claimName(claim.metadata.name, pod.metadata.name)
          }
        })
    }
    return pod
  }

  private static func claimName(_ template: String, _ pod: String) -> String { "\(template)-\(pod)" }

  /// The names of the claims of a pod.
  static func claimNames(_ set: StatefulSet, _ ordinal: Int) -> [String] {
    set.spec.volumeClaimTemplates.map { claimName($0.metadata.name, name(set, ordinal)) }
  }

  /// The claims of a pod.
  static func claims(_ set: StatefulSet, _ ordinal: Int) -> [PersistentVolumeClaim] {
    set.spec.volumeClaimTemplates.map { template in
      var claim = template
      claim.metadata.name = claimName(template.metadata.name, name(set, ordinal))
      claim.metadata.namespace = set.metadata.namespace
      for (key, value) in set.spec.selector?.matchLabels ?? [:] { claim.metadata.labels[key] = value }
      claim.status = PersistentVolumeClaimStatus()
      return claim
    }
  }

  /// Whether a claim is one of the set's, by its name.
  static func owns(_ set: StatefulSet, claim name: String) -> Bool {
    set.spec.volumeClaimTemplates.contains { template in
      let prefix = "\(template.metadata.name)-\(set.metadata.name)-"
      return name.hasPrefix(prefix) && Int32(name.dropFirst(prefix.count)) != nil
    }
  }

  /// Whether a pod is what it should be, apart from its template.
  static func hasIdentity(_ pod: Pod, _ set: StatefulSet, _ ordinal: Int) -> Bool {
    pod.metadata.labels[nameLabel] == pod.metadata.name && pod.metadata.labels[indexLabel] == String(ordinal)
      && hasStorage(pod, set)
  }

  private static func hasStorage(_ pod: Pod, _ set: StatefulSet) -> Bool {
    set.spec.volumeClaimTemplates.allSatisfy { template in
      pod.spec.volumes.contains {
        $0.name == template.metadata.name
          && $0.persistentVolumeClaim?.claimName == claimName(template.metadata.name, pod.metadata.name)
      }
    }
  }

  static func isReady(_ pod: Pod) -> Bool { pod.status.phase == "Running" && pod.isReady }

  /// Whether a pod serves, has done so for long enough, and goes on doing so.
  static func isAvailable(_ pod: Pod, _ set: StatefulSet, _ now: Time) -> Bool {
    isReady(pod) && !pod.isBeingDeleted && pod.isAvailable(minReadySeconds: set.spec.minReadySeconds, now: now)
  }
}
