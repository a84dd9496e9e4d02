import API

/// What a Service asks of the service controller.
enum ServiceNeeds {
  /// Keeps a Service until its load balancer is gone.
  static let finalizer = "service.kubernetes.io/load-balancer-cleanup"

  /// Whether the Service wants a load balancer of this provider.
  static func wantsLoadBalancer(_ service: Service, classes: Set<String> = []) -> Bool {
    guard service.spec.type == "LoadBalancer" else { return false }
    return service.spec.loadBalancerClass.map(classes.contains) ?? true
  }

  /// Whether the Service may own a load balancer that it no longer wants.
  static func needsCleanup(_ service: Service) -> Bool {
    guard service.metadata.finalizers.contains(finalizer) else { return false }
    return service.metadata.deletionTimestamp != nil || service.spec.type != "LoadBalancer"
  }

  /// Something worth telling that changed.
  struct Note: Sendable, Equatable {
    var reason: String
    var message: String
  }

  /// Whether a change of the Service concerns its load balancer, and what users are told of it.
  static func update(
    from old: Service, to new: Service, classes: Set<String> = []
  ) -> (needed: Bool, notes: [Note]) {
    let (wanted, wants) = (wantsLoadBalancer(old, classes: classes), wantsLoadBalancer(new, classes: classes))
    if !wanted, !wants { return (false, []) }
    if wanted != wants { return (true, [Note(reason: "Type", message: "\(old.spec.type) -> \(new.spec.type)")]) }
    if old.spec.loadBalancerSourceRanges != new.spec.loadBalancerSourceRanges {
      let message = "\(list(old.spec.loadBalancerSourceRanges)) -> \(list(new.spec.loadBalancerSourceRanges))"
      return (true, [Note(reason: "LoadBalancerSourceRanges", message: message)])
    }
    if !samePorts(old, new) || old.spec.sessionAffinity != new.spec.sessionAffinity
      || old.spec.sessionAffinityConfig != new.spec.sessionAffinityConfig
    {
      return (true, [])
    }
    if old.spec.loadBalancerIP != new.spec.loadBalancerIP {
      return (
        true, [Note(reason: "LoadbalancerIP", message: "\(old.spec.loadBalancerIP) -> \(new.spec.loadBalancerIP)")]
      )
    }
    if old.spec.externalIPs.count != new.spec.externalIPs.count {
      let message = "Count: \(old.spec.externalIPs.count) -> \(new.spec.externalIPs.count)"
      return (true, [Note(reason: "ExternalIP", message: message)])
    }
    if let added = zip(old.spec.externalIPs, new.spec.externalIPs).first(where: { $0 != $1 })?.1 {
      return (true, [Note(reason: "ExternalIP", message: "Added: \(added)")])
    }
    if old.metadata.annotations != new.metadata.annotations { return (true, []) }
    if old.metadata.uid != new.metadata.uid {
      return (true, [Note(reason: "UID", message: "\(old.metadata.uid) -> \(new.metadata.uid)")])
    }
    if old.spec.externalTrafficPolicy != new.spec.externalTrafficPolicy {
      let message = "\(old.spec.externalTrafficPolicy) -> \(new.spec.externalTrafficPolicy)"
      return (true, [Note(reason: "ExternalTrafficPolicy", message: message)])
    }
    if old.spec.healthCheckNodePort != new.spec.healthCheckNodePort {
      let message = "\(old.spec.healthCheckNodePort) -> \(new.spec.healthCheckNodePort)"
      return (true, [Note(reason: "HealthCheckNodePort", message: message)])
    }
    return (old.spec.ipFamilies != new.spec.ipFamilies || old.spec.clusterIPs != new.spec.clusterIPs, [])
  }

  /// Where a port leads inside of the cluster is no business of a load balancer.
  private static func samePorts(_ a: Service, _ b: Service) -> Bool {
    func key(_ port: ServicePort) -> String {
      "\(port.name)/\(port.protocol)/\(port.port)/\(port.nodePort)/\(port.appProtocol ?? "")"
    }
    return a.spec.ports.map(key) == b.spec.ports.map(key)
  }

  private static func list(_ texts: [String]) -> String { "[\(texts.joined(separator: " "))]" }
}
