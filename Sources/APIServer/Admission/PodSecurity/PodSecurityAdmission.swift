import API
import APIMachinery

/// Holds pods to the level of the Pod Security Standards that their namespace is labelled with (KEP-2579), and warns of
/// workloads whose pods would not be let in.
struct PodSecurityAdmission: AdmissionPlugin {
  private static let ignoredSubresources: Set<String> = [
    "exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status",
  ]
  /// How many pods of a namespace are looked at when its level changes.
  private static let maxPods = 3000

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete else { return }
    if let pod = object.as(Pod.self) {
      if Self.ignoredSubresources.contains(request.subresource) { return }
      if let old = request.old?.as(Pod.self), !Self.isSignificant(pod, old) { return }
      try evaluate(pod.metadata, pod.spec, request, registry, enforce: true)
    } else if let namespace = object.as(Namespace.self) {
      if request.subresource.isEmpty { try check(namespace, request, registry) }
    } else if request.subresource.isEmpty, let template = Self.template(object) {
      try evaluate(template.metadata, template.spec, request, registry, enforce: false)
    }
  }

  private static func template(_ object: LiveObject) -> PodTemplateSpec? {
    if let set = object.as(ReplicaSet.self) { return set.spec.template }
    if let deployment = object.as(Deployment.self) { return deployment.spec.template }
    if let set = object.as(DaemonSet.self) { return set.spec.template }
    if let set = object.as(StatefulSet.self) { return set.spec.template }
    if let job = object.as(Job.self) { return job.spec.template }
    if let job = object.as(CronJob.self) { return job.spec.jobTemplate.spec.template }
    if let controller = object.as(ReplicationController.self) { return controller.spec.template }
    return object.as(PodTemplate.self)?.template
  }

  private func evaluate(
    _ metadata: ObjectMeta, _ spec: PodSpec, _ request: AdmissionRequest, _ registry: Registry, enforce: Bool
  ) throws {
    guard let namespace = registry.object(Namespace.self, name: request.namespace) else { return }
    let labels = namespace.metadata.labels
    // Most namespaces say nothing.
    if !labels.keys.contains(where: { $0.hasPrefix(PodSecurityPolicy.prefix) }) { return }
    let (policy, errors) = PodSecurityPolicy.of(labels)
    if errors.isEmpty, policy.isPrivileged { return }
    if let error = errors.first {
      request.annotate("pod-security.kubernetes.io/error", "Failed to parse policy: \(error)")
    }
    func found(_ level: PodSecurityLevel) -> String? {
      let violations = PodSecurityChecks.violations(level, metadata, spec)
      return violations.isEmpty ? nil : "PodSecurity \"\(level)\": \(PodSecurityChecks.details(violations))"
    }
    if enforce {
      request.annotate("pod-security.kubernetes.io/enforce-policy", "\(policy.enforce)")
      if let text = found(policy.enforce) { throw request.forbidden(metadata.name, "violates " + text) }
    }
    if let text = found(policy.audit) {
      request.annotate("pod-security.kubernetes.io/audit-violations", "would violate " + text)
    }
    if let text = found(policy.warn) { request.warnings.add("would violate " + text) }
  }

  // MARK: Namespaces

  private func check(_ namespace: Namespace, _ request: AdmissionRequest, _ registry: Registry) throws {
    let (policy, errors) = PodSecurityPolicy.of(namespace.metadata.labels)
    guard let old = request.old?.as(Namespace.self) else {
      if !errors.isEmpty { throw StatusError.invalid(Namespace.gvk.groupKind, namespace.metadata.name, errors) }
      return
    }
    let (before, oldErrors) = PodSecurityPolicy.of(old.metadata.labels)
    // What was wrong already may stay so.
    if !errors.isEmpty, errors != oldErrors {
      throw StatusError.invalid(Namespace.gvk.groupKind, namespace.metadata.name, errors)
    }
    if policy.enforce == before.enforce || policy.enforce.level == .privileged { return }
    if policy.enforce.minor == before.enforce.minor, policy.enforce.level <= before.enforce.level { return }
    warnOfPods(namespace.metadata.name, policy.enforce, request, registry)
  }

  private func warnOfPods(
    _ namespace: String, _ level: PodSecurityLevel, _ request: AdmissionRequest, _ registry: Registry
  ) {
    let all = registry.list(Pod.self, namespace: namespace)
    var byReason: [String: [String]] = [:]
    for pod in all.prefix(Self.maxPods) {
      let violations = PodSecurityChecks.violations(level, pod.metadata, pod.spec)
      if violations.isEmpty { continue }
      byReason[violations.map(\.reason).joined(separator: ", "), default: []].append(pod.metadata.name)
    }
    if all.count > Self.maxPods {
      request.warnings.add(
        "new PodSecurity enforce level only checked against the first \(Self.maxPods) of \(all.count) existing pods")
    }
    if byReason.isEmpty { return }
    request.warnings.add(
      "existing pods in namespace \(goQuoted(namespace)) violate the new PodSecurity enforce level \"\(level)\"")
    let lines = byReason.map { reason, pods -> String in
      let first = pods.min() ?? ""
      switch pods.count {
      case 1: return "\(first): \(reason)"
      case 2: return "\(first) (and 1 other pod): \(reason)"
      default: return "\(first) (and \(pods.count - 1) other pods): \(reason)"
      }
    }
    for line in lines.sorted() { request.warnings.add(line) }
  }

  // MARK: What an update may change

  /// Whether an update changes anything that the checks look at: images, and containers that are added.
  private static func isSignificant(_ pod: Pod, _ old: Pod) -> Bool {
    if pod.spec.containers.count != old.spec.containers.count { return true }
    if pod.spec.initContainers.count != old.spec.initContainers.count { return true }
    for (new, old) in zip(pod.spec.containers, old.spec.containers) where new.image != old.image { return true }
    for (new, old) in zip(pod.spec.initContainers, old.spec.initContainers) where new.image != old.image { return true }
    let known = Dictionary(old.spec.ephemeralContainers.map { ($0.name, $0.image) }, uniquingKeysWith: { a, _ in a })
    return pod.spec.ephemeralContainers.contains { known[$0.name] != $0.image }
  }
}
