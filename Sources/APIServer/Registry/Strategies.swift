import API
import APIMachinery
import APIMeta

// What single kinds need before defaults and admission see them.
extension Registry {
  func prepareForCreate(_ object: inout LiveObject, _ context: WriteContext) {
    object.with(Pod.self) { pod in
      pod.status = PodStatus()
      pod.status.phase = "Pending"
      pod.status.qosClass = pod.computedQOSClass
      if !pod.spec.schedulingGates.isEmpty {
        pod.status.conditions = [
          PodCondition {
            $0.type = "PodScheduled"
            $0.status = "False"
            $0.reason = "SchedulingGated"
            $0.message = "Scheduling is blocked due to non-empty scheduling gates"
          }
        ]
      }
    }
    object.with(Namespace.self) { namespace in
      if !namespace.spec.finalizers.contains("kubernetes") { namespace.spec.finalizers.append("kubernetes") }
      namespace.metadata.labels["kubernetes.io/metadata.name"] = namespace.metadata.name
      namespace.status.phase = "Active"
    }
    object.with(CustomResourceDefinition.self) { $0.noteStorageVersion() }
    object.with(Secret.self, Self.mergeStringData)
    object.with(PersistentVolume.self) { $0.status.lastPhaseTransitionTime = now() }
    object.with(Job.self, Self.addJobSelector)
    object.with(CertificateSigningRequest.self) { request in
      request.spec.username = context.user.name
      request.spec.uid = context.user.uid
      request.spec.groups = context.user.groups
      request.spec.extra = context.user.extra
    }
  }

  func prepareForUpdate(_ object: inout LiveObject, _ before: LiveObject, _ context: WriteContext) {
    object.with(CustomResourceDefinition.self) { if context.subresource.isEmpty { $0.noteStorageVersion() } }
    object.with(Secret.self, Self.mergeStringData)
    if context.subresource != "finalize", let old = before.as(Namespace.self) {
      object.with(Namespace.self) { namespace in
        namespace.spec.finalizers = old.spec.finalizers
        namespace.metadata.labels["kubernetes.io/metadata.name"] = namespace.metadata.name
      }
    }
    if let old = before.as(CertificateSigningRequest.self) {
      object.with(CertificateSigningRequest.self) { request in
        request.spec = old.spec
        if !context.subresource.isEmpty { Self.stamp(&request.status.conditions, old.status.conditions, now()) }
      }
    }
    if let old = before.as(PersistentVolume.self), context.subresource == "status" {
      object.with(PersistentVolume.self) { volume in
        if volume.status.phase != old.status.phase {
          volume.status.lastPhaseTransitionTime = now()
        } else {
          volume.status.lastPhaseTransitionTime = old.status.lastPhaseTransitionTime
        }
      }
    }
    if let old = before.as(Pod.self) {
      object.with(Pod.self) { pod in
        if context.subresource.isEmpty, pod.spec.schedulingGates.isEmpty, !old.spec.schedulingGates.isEmpty {
          pod.status.conditions.removeAll { $0.type == "PodScheduled" && $0.reason == "SchedulingGated" }
        }
        if pod.status.qosClass.isEmpty { pod.status.qosClass = old.status.qosClass }
        if pod.status.phase.isEmpty { pod.status.phase = old.status.phase }
      }
    }
  }

  /// Gives conditions the times that their writer left out: when they were written, and when they became what they are.
  private static func stamp(
    _ conditions: inout [CertificateSigningRequestCondition], _ old: [CertificateSigningRequestCondition], _ now: Time
  ) {
    for i in conditions.indices where !old.contains(conditions[i]) {
      let condition = conditions[i]
      if condition.lastUpdateTime.isZero { conditions[i].lastUpdateTime = now }
      if condition.lastTransitionTime.isZero {
        let before = old.first { $0.type == condition.type && $0.status == condition.status }
        let time = before?.lastTransitionTime ?? Time()
        conditions[i].lastTransitionTime = time.isZero ? now : time
      }
    }
  }

  /// `stringData` is a way to write `data`, and never read.
  private static func mergeStringData(_ secret: inout Secret) {
    for (key, value) in secret.stringData { secret.data[key] = Base64Bytes(Array(value.utf8)) }
    secret.stringData = [:]
  }

  /// A job selects its pods by its own uid unless its author takes that over.
  private static func addJobSelector(_ job: inout Job) {
    if job.spec.manualSelector == true { return }
    let uid = job.metadata.uid
    var labels = job.spec.template.metadata.labels
    labels["controller-uid"] = uid
    labels["batch.kubernetes.io/controller-uid"] = uid
    if labels["job-name"] == nil { labels["job-name"] = job.metadata.name }
    if labels["batch.kubernetes.io/job-name"] == nil { labels["batch.kubernetes.io/job-name"] = job.metadata.name }
    job.spec.template.metadata.labels = labels
    var selector = job.spec.selector ?? LabelSelector()
    if selector.matchLabels["batch.kubernetes.io/controller-uid"] == nil {
      selector.matchLabels["batch.kubernetes.io/controller-uid"] = uid
    }
    job.spec.selector = selector
  }
}
