import API
import APIMachinery

/// The pods and claims of a StatefulSet: names, identity, storage; pure.
enum StatefulSetPod {
  static let nameLabel = "statefulset.kubernetes.io/pod-name"
  static let indexLabel = "apps.kubernetes.io/pod-index"

  static func name(_ set: StatefulSet, _ ordinal: Int) -> String { "\(set.metadata.name)-\(ordinal)" }

  /// The ordinal in a pod's name; nil when the name is not one of the set's.
  static func ordinal(_ pod: Pod, of set: StatefulSet) -> Int? {
    let prefix = set.metadata.name + "-"
    guard pod.metadata.name.hasPrefix(prefix) else { return nil }
    return Int(pod.metadata.name.dropFirst(prefix.count))
  }

  static func make(_ set: StatefulSet, _ template: PodTemplateSpec, revision: String, ordinal: Int) -> Pod {
    var pod = PodControl.pod(from: template, for: set)
    pod.metadata.generateName = ""
    pod.metadata.name = name(set, ordinal)
    pod.metadata.labels[Revisions.hashLabel] = revision
    pod.metadata.labels[nameLabel] = pod.metadata.name
    pod.metadata.labels[indexLabel] = String(ordinal)
    pod.spec.hostname = pod.metadata.name
    pod.spec.subdomain = set.spec.serviceName
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

  /// Whether a pod is what it should be, apart from its template.
  static func hasIdentity(_ pod: Pod, _ set: StatefulSet, _ ordinal: Int) -> Bool {
    pod.metadata.labels[nameLabel] == pod.metadata.name && pod.metadata.labels[indexLabel] == String(ordinal)
  }

  static func isHealthy(_ pod: Pod) -> Bool {
    pod.status.phase == "Running" && pod.isReady && !pod.isBeingDeleted
  }
}
