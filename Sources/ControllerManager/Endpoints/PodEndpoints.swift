import API
import APIMachinery

/// What a pod has to do with a Service's endpoints, the same for Endpoints and EndpointSlices.
enum PodEndpoints {
  static let triggerTime = "endpoints.kubernetes.io/last-change-trigger-time"
  static let headlessLabel = "service.kubernetes.io/headless"

  /// Whether a pod can be an endpoint at all.
  static func counts(_ pod: Pod, includingTerminating: Bool) -> Bool {
    if pod.isTerminal || addresses(pod).isEmpty { return false }
    return includingTerminating || !pod.isBeingDeleted
  }

  static func addresses(_ pod: Pod) -> [String] {
    let all = pod.status.podIPs.map(\.ip).filter { !$0.isEmpty }
    return all.isEmpty && !pod.status.podIP.isEmpty ? [pod.status.podIP] : all
  }

  /// Whether the pod's host name is published under the Service.
  static func hasHostname(_ pod: Pod, _ service: Service) -> Bool {
    !pod.spec.hostname.isEmpty && pod.spec.subdomain == service.metadata.name
      && pod.metadata.namespace == service.metadata.namespace
  }

  static func reference(to pod: Pod) -> ObjectReference {
    ObjectReference {
      $0.kind = "Pod"
      $0.namespace = pod.metadata.namespace
      $0.name = pod.metadata.name
      $0.uid = pod.metadata.uid
    }
  }

  /// The pod's port behind a Service's port; nil when a name leads nowhere.
  static func port(_ port: ServicePort, on pod: Pod) -> Int32? {
    guard case .string(let name) = port.targetPort else {
      let number = port.targetPort.intValue
      return number == 0 ? port.port : Int32(number)
    }
    let wanted = port.protocol.isEmpty ? "TCP" : port.protocol
    for container in pod.spec.containers + pod.spec.initContainers.filter(\.isSidecar) {
      for candidate in container.ports where candidate.name == name {
        if (candidate.protocol.isEmpty ? "TCP" : candidate.protocol) == wanted { return candidate.containerPort }
      }
    }
    return Int32(name)
  }

  static func isHeadless(_ service: Service) -> Bool { service.spec.clusterIP == "None" }

  static func isIPv6(_ address: String) -> Bool { address.utf8.contains(UInt8(ascii: ":")) }

  /// Whether a change of a pod can change any endpoint.
  static func differ(_ old: Pod, _ new: Pod) -> Bool {
    old.metadata.labels != new.metadata.labels || old.status.phase != new.status.phase
      || old.isReady != new.isReady || old.isBeingDeleted != new.isBeingDeleted
      || old.spec.nodeName != new.spec.nodeName || old.spec.hostname != new.spec.hostname
      || old.spec.subdomain != new.spec.subdomain || addresses(old) != addresses(new)
  }

  /// The Services of a pod's namespace that select it.
  static func services(_ services: [Service], selecting pod: Pod) -> [Service] {
    services.filter { service in
      !service.spec.selector.isEmpty
        && service.spec.selector.allSatisfy { pod.metadata.labels[$0.key] == $0.value }
    }
  }

  /// The pods of a Service's namespace that it selects.
  static func pods(_ pods: [Pod], of service: Service) -> [Pod] {
    let selector = service.spec.selector
    return pods.filter { pod in selector.allSatisfy { pod.metadata.labels[$0.key] == $0.value } }
  }
}

/// When the change that endpoints are about to show happened, for those who measure how long that took.
struct TriggerTimes: Sendable {
  private struct Seen {
    var service: Time
    var pods: [String: Time] = [:]
  }

  private var seen: [ObjectKey: Seen] = [:]

  /// The earliest change since the last call for the Service; nil when there was none.
  mutating func next(_ service: Service, pods: [Pod]) -> Time? {
    let created = service.metadata.creationTimestamp
    var times: [String: Time] = [:]
    for pod in pods {
      if let ready = pod.status.conditions.condition("Ready") {
        times[pod.metadata.name] = ready.lastTransitionTime
      }
    }
    defer { seen[service.key] = Seen(service: created, pods: times) }
    guard let before = seen[service.key], before.service == created else { return created.isZero ? nil : created }
    return times.compactMap { name, time -> Time? in
      guard !time.isZero else { return nil }
      guard let known = before.pods[name] else { return time }
      return time > known ? time : nil
    }.min()
  }

  mutating func forget(_ key: ObjectKey) { seen[key] = nil }
}
