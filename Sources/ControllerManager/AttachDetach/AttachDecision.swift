import API
import APIMachinery

/// To which nodes a volume is to be attached, and from which detached: pure.
struct AttachDecision: Sendable, Equatable {
  /// The nodes to which it is to be attached.
  private(set) var attach: [String] = []
  /// What is to be detached.
  private(set) var detach: [VolumeAttachment] = []
  /// Pods that cannot have the volume because it is elsewhere, with what to tell them.
  private(set) var refused: [(pod: Pod, message: String)] = []
  /// Since when attachments that nobody needs any more have been so, by name.
  private(set) var unneeded: [String: Time] = [:]
  /// When to look again, seconds.
  private(set) var again: Int64?

  /// How long a node that is not heard of may keep a volume.
  static let patience: Int64 = 360
  static let outOfService = "node.kubernetes.io/out-of-service"
  static let keepAnnotation = "volumes.kubernetes.io/keep-terminated-pod-volumes"
  static let managedAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach"

  /// What is seen of a volume.
  struct Observed {
    var volume: PersistentVolume
    var source: CSIPersistentVolumeSource
    /// Whether the driver attaches volumes at all.
    var needsAttachment: Bool
    /// The pods that use the volume and have a node.
    var pods: [Pod]
    var attachments: [VolumeAttachment]
    var nodes: [String: Node]
    /// Since when attachments have not been needed.
    var unneeded: [String: Time]
    var mayForce: Bool
  }

  static func decide(_ observed: Observed, now: Time) -> AttachDecision {
    var decision = AttachDecision()
    let users = Dictionary(grouping: observed.pods.filter { uses($0, observed) }, by: \.spec.nodeName)
    let present = Dictionary(
      observed.attachments.map { ($0.spec.nodeName, $0) }, uniquingKeysWith: { first, _ in first })
    for attachment in observed.attachments.sorted(by: { $0.metadata.name < $1.metadata.name })
    where users[attachment.spec.nodeName] == nil {
      decision.release(attachment, observed, now)
    }
    guard observed.needsAttachment else { return decision }
    let isShareable = Attachment.isShareable(observed.volume)
    var taken = Set(present.keys)
    for (node, pods) in users.sorted(by: { $0.key < $1.key }) where present[node] == nil {
      if isShareable || taken.isEmpty {
        decision.attach.append(node)
        taken.insert(node)
      } else {
        decision.refuse(pods, observed.volume, elsewhere: users.filter { taken.contains($0.key) }.flatMap(\.value))
      }
    }
    return decision
  }

  /// Whether a pod has a claim to the volume where it runs.
  private static func uses(_ pod: Pod, _ observed: Observed) -> Bool {
    guard let node = observed.nodes[pod.spec.nodeName], node.metadata.annotations[managedAnnotation] == "true" else {
      return false
    }
    return !Attachment.isOver(pod) || node.metadata.annotations[keepAnnotation] == "true"
  }

  private mutating func release(_ attachment: VolumeAttachment, _ observed: Observed, _ now: Time) {
    guard attachment.metadata.deletionTimestamp == nil else { return }
    let since = observed.unneeded[attachment.metadata.name] ?? now
    unneeded[attachment.metadata.name] = since
    let node = observed.nodes[attachment.spec.nodeName]
    // A node that is gone can say of nothing that it has let go of it.
    let isMounted = node?.status.volumesInUse.contains(Attachment.uniqueName(observed.source)) ?? true
    if !isMounted || node?.spec.taints.contains(where: { $0.key == Self.outOfService }) == true {
      detach.append(attachment)
      return
    }
    guard observed.mayForce else { return }
    let left = since.adding(seconds: Self.patience).seconds(since: now) + 1
    if left > 0 {
      again = min(again ?? left, left)
    } else if node?.isReady != true {
      detach.append(attachment)
    }
  }

  /// Tells pods who has the volume; of another namespace's pods only how many.
  private mutating func refuse(_ pods: [Pod], _ volume: PersistentVolume, elsewhere: [Pod]) {
    for pod in pods {
      let here = elsewhere.filter { $0.metadata.namespace == pod.metadata.namespace }.map(\.metadata.name).sorted()
      let others = elsewhere.count - here.count
      var text: String
      if elsewhere.isEmpty {
        text = "Volume is already exclusively attached to one node and can't be attached to another"
      } else if here.isEmpty {
        text = "Volume is already used by \(others) pod(s) in different namespaces"
      } else {
        text = "Volume is already used by pod(s) \(here.joined(separator: ", "))"
        if others > 0 { text += " and \(others) pod(s) in different namespaces" }
      }
      refused.append((pod, "Multi-Attach error for volume \"\(volume.metadata.name)\" \(text)"))
    }
  }

  /// What a node's status should say of its volumes: those attached, and not about to be detached.
  static func reported(
    _ node: String, attachments: [VolumeAttachment], volumes: (String) -> PersistentVolume?, leaving: Set<String>
  ) -> [AttachedVolume] {
    attachments.compactMap { attachment -> AttachedVolume? in
      guard attachment.spec.nodeName == node, attachment.status.attached,
        attachment.metadata.deletionTimestamp == nil, !leaving.contains(attachment.metadata.name),
        let source = attachment.spec.source.persistentVolumeName.flatMap(volumes)?.spec.csi
      else { return nil }
      return AttachedVolume {
        $0.name = Attachment.uniqueName(source)
        $0.devicePath = ""
      }
    }.sorted { $0.name < $1.name }
  }

  static func == (a: AttachDecision, b: AttachDecision) -> Bool {
    a.attach == b.attach && a.detach == b.detach && a.unneeded == b.unneeded && a.again == b.again
      && a.refused.map(\.message) == b.refused.map(\.message)
  }
}
