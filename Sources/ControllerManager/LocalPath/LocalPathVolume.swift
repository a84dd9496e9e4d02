import API
import APIMachinery

/// Volumes that are directories of a node: pure.
enum LocalPathVolume {
  static let hostnameLabel = "kubernetes.io/hostname"
  static let defaultClass = "storageclass.kubernetes.io/is-default-class"

  /// Why a claim cannot be served; nil when it can.
  static func objection(_ claim: PersistentVolumeClaim) -> String? {
    if claim.spec.selector != nil { return "claim.Spec.Selector is not supported" }
    if claim.spec.volumeMode == "Block" { return "block volumes are not supported" }
    for mode in claim.spec.accessModes where mode != "ReadWriteOnce" && mode != "ReadWriteOncePod" {
      return "Only support ReadWriteOnce and ReadWriteOncePod access modes"
    }
    return nil
  }

  /// The volume for a claim on a node.
  static func make(
    for claim: PersistentVolumeClaim, storage: StorageClass, node: Node, directory: String, provisioner: String
  ) -> PersistentVolume {
    PersistentVolume {
      $0.metadata.name = "pvc-" + claim.metadata.uid
      $0.metadata.annotations[VolumeMatch.provisionedBy] = provisioner
      $0.spec.capacity["storage"] = VolumeMatch.request(claim)
      $0.spec.accessModes = claim.spec.accessModes
      $0.spec.persistentVolumeReclaimPolicy = storage.reclaimPolicy ?? "Delete"
      $0.spec.storageClassName = storage.metadata.name
      $0.spec.mountOptions = storage.mountOptions
      $0.spec.volumeMode = "Filesystem"
      $0.spec.claimRef = ObjectReference(of: claim)
      $0.spec.hostPath = HostPathVolumeSource {
        $0.path = "\(directory)/pvc-\(claim.metadata.uid)_\(claim.metadata.namespace)_\(claim.metadata.name)"
        $0.type = "DirectoryOrCreate"
      }
      let host = node.metadata.labels[hostnameLabel] ?? node.metadata.name
      $0.spec.nodeAffinity = VolumeNodeAffinity {
        $0.required = NodeSelector {
          $0.nodeSelectorTerms = [
            NodeSelectorTerm {
              $0.matchExpressions = [
                NodeSelectorRequirement {
                  $0.key = hostnameLabel
                  $0.operator = "In"
                  $0.values = [host]
                }
              ]
            }
          ]
        }
      }
    }
  }

  /// The host a volume is on.
  static func host(_ volume: PersistentVolume) -> String? {
    volume.spec.nodeAffinity?.required?.nodeSelectorTerms.lazy
      .flatMap(\.matchExpressions).first { $0.key == hostnameLabel && $0.operator == "In" }?.values.first
  }

  /// The directory to delete with a volume; nil unless it is plainly one that was made here.
  static func directory(of volume: PersistentVolume, under base: String) -> String? {
    guard let path = volume.spec.hostPath?.path, path.hasPrefix(base + "/pvc-"), !path.contains("/../") else {
      return nil
    }
    let name = path.dropFirst(base.count + 1)
    return name.contains("/") ? nil : path
  }
}
