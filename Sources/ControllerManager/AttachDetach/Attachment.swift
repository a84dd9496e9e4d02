import API
import APIMachinery
import Crypto

/// The names of attachments, and which volumes need them: pure.
enum Attachment {
  /// The VolumeAttachment of a volume on a node, by the name that kubelets and drivers expect.
  static func name(handle: String, driver: String, node: String) -> String {
    let digest = SHA256.hash(data: Array((handle + driver + node).utf8))
    return "csi-" + digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }

  /// The volume's name in nodes' status.
  static func uniqueName(_ source: CSIPersistentVolumeSource) -> String {
    "kubernetes.io/csi/\(source.driver)^\(source.volumeHandle)"
  }

  static func make(_ volume: PersistentVolume, _ source: CSIPersistentVolumeSource, node: String) -> VolumeAttachment {
    VolumeAttachment {
      $0.metadata.name = name(handle: source.volumeHandle, driver: source.driver, node: node)
      $0.spec.attacher = source.driver
      $0.spec.nodeName = node
      $0.spec.source.persistentVolumeName = volume.metadata.name
    }
  }

  /// Whether a volume may be on several nodes at a time.
  static func isShareable(_ volume: PersistentVolume) -> Bool {
    // A volume that does not say is left to its driver.
    volume.spec.accessModes.isEmpty
      || volume.spec.accessModes.contains { $0 == "ReadWriteMany" || $0 == "ReadOnlyMany" }
  }

  /// Whether a pod has no more use for its volumes.
  static func isOver(_ pod: Pod) -> Bool {
    if pod.isTerminal { return true }
    guard pod.isBeingDeleted else { return false }
    return pod.status.containerStatuses.allSatisfy { $0.state.terminated != nil || $0.state.waiting != nil }
  }
}
