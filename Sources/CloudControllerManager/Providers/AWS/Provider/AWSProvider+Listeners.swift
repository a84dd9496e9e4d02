import API
import Logging

/// Listeners, target groups and targets of a load balancer.
extension AWSProvider {
  /// Makes listeners and target groups as planned, and deletes the others. Returns the number of target groups.
  func syncListeners(
    _ balancer: ELBLoadBalancer, _ plan: LoadBalancerPlan, _ service: Service, _ instances: [EC2Instance]
  ) async throws -> Int {
    let present = try await elb.listeners(loadBalancer: balancer.arn)
    let groups = try await elb.targetGroups(of: present)
    var unneeded = present
    var kept: Set<String> = []
    for port in plan.ports {
      let name = LoadBalancerPlan.targetGroupName(service, port, clusterID: clusterID, vpc: balancer.vpc)
      let group = try await targetGroup(
        groups.first { $0.name == name }, name: name, port, plan, vpc: balancer.vpc)
      kept.insert(group.arn)
      try await syncTargets(group, instances)
      let wanted = ELBClient.NewListener(
        port: port.port, protocol: port.listener, sslPolicy: port.sslPolicy, certificate: port.certificate,
        targetGroup: group.arn)
      guard let index = unneeded.firstIndex(where: { $0.port == port.port }) else {
        try await elb.createListener(loadBalancer: balancer.arn, wanted, tags: plan.tags)
        continue
      }
      let listener = unneeded.remove(at: index)
      if !Self.changeable(listener.protocol, port.listener) {
        try await elb.deleteListener(arn: listener.arn)
        try await elb.createListener(loadBalancer: balancer.arn, wanted, tags: plan.tags)
      } else if Self.differs(listener, wanted) {
        try await elb.modifyListener(arn: listener.arn, wanted)
      }
    }
    for listener in unneeded { try await elb.deleteListener(arn: listener.arn) }
    let old = Set(groups.map(\.arn) + present.map(\.targetGroup).filter { !$0.isEmpty }).subtracting(kept)
    for arn in old.sorted() { try await deleteTargetGroup(arn) }
    return kept.count
  }

  /// Whether a listener's protocol can be changed in place.
  private static func changeable(_ from: String, _ to: String) -> Bool {
    from == to || (["TCP", "TLS"].contains(from) && ["TCP", "TLS"].contains(to))
  }

  private static func differs(_ listener: ELBListener, _ wanted: ELBClient.NewListener) -> Bool {
    if listener.protocol != wanted.protocol || listener.targetGroup != wanted.targetGroup { return true }
    guard wanted.protocol == "TLS" else { return false }
    // Without a policy in the annotation, the service's own default stays.
    return listener.certificates.first != wanted.certificate
      || (!wanted.sslPolicy.isEmpty && listener.sslPolicy != wanted.sslPolicy)
  }

  private func targetGroup(
    _ present: ELBTargetGroup?, name: String, _ port: LoadBalancerPlan.Port, _ plan: LoadBalancerPlan, vpc: String
  ) async throws -> ELBTargetGroup {
    var found = present
    if found == nil {
      do {
        return try await elb.createTargetGroup(
          .init(
            name: name, port: port.nodePort, protocol: port.traffic, vpc: vpc, healthCheck: port.healthCheck,
            tags: plan.tags))
      } catch let error as AWSError where error.code == "DuplicateTargetGroupName" {
        // Left from an attempt that came no further.
        found = try await elb.targetGroup(name: name)
        guard found != nil else { throw error }
      }
    }
    guard let found else { throw AWSConfigurationError("target group \(name) is gone") }
    var now = found.healthCheck
    var wanted = port.healthCheck
    if wanted.timeout == nil { now.timeout = nil }
    if wanted.protocol == "TCP" {
      now.path = ""
      wanted.path = ""
    }
    if now != wanted { try await elb.modifyTargetGroup(arn: found.arn, port.healthCheck) }
    return found
  }

  /// Registers and deregisters the difference.
  func syncTargets(_ group: ELBTargetGroup, _ instances: [EC2Instance]) async throws {
    let wanted = Set(instances.map { ELBTarget(id: $0.id, port: group.port) })
    let present = try await elb.targets(group: group.arn)
    try await elb.register(group: group.arn, wanted.subtracting(present))
    try await elb.deregister(group: group.arn, present.subtracting(wanted))
  }

  /// Deletes a load balancer (with its listeners), then its target groups, which it must have let go of.
  func delete(_ balancer: ELBLoadBalancer, _ service: Service) async throws {
    let groups = try await elb.targetGroups(loadBalancer: balancer.arn)
    logger.info("deleting load balancer \(balancer.name)")
    try await elb.deleteLoadBalancer(arn: balancer.arn)
    for group in groups { try await deleteTargetGroup(group.arn) }
    try await deleteTargetGroups(service, keeping: [])
    // A new one of the same name, or the end of the Service, must wait until this one is gone.
    try await wait(for: "load balancer \(balancer.name) to be deleted") {
      try await elb.loadBalancer(name: balancer.name) == nil
    }
  }

  /// Deletes what target groups of the Service an interrupted attempt left.
  func deleteTargetGroups(_ service: Service, keeping: Set<String>) async throws {
    let prefix = LoadBalancerPlan.targetGroupPrefix(service)
    let candidates = try await elb.allTargetGroups().filter { $0.name.hasPrefix(prefix) && !keeping.contains($0.arn) }
    guard !candidates.isEmpty else { return }
    let tags = try await elb.tags(candidates.map(\.arn))
    let owner = "\(service.metadata.namespace)/\(service.metadata.name)"
    for group in candidates {
      let own = tags[group.arn] ?? [:]
      if own[ClusterTag.service] == owner, tag.matches(own) { try await deleteTargetGroup(group.arn) }
    }
  }

  private func deleteTargetGroup(_ arn: String) async throws {
    try await wait(for: "target group \(arn) to be free") {
      do {
        try await elb.deleteTargetGroup(arn: arn)
        return true
      } catch let error as AWSError where error.code == "ResourceInUse" {
        return false
      }
    }
  }

  private func wait(for what: String, _ done: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + configuration.deletionTimeout
    var pause = Duration.milliseconds(200)
    while try await !done() {
      guard ContinuousClock.now + pause < end else {
        throw CloudProviderError.retry(afterSeconds: 30, reason: "waiting for \(what)")
      }
      try await Task.sleep(for: pause)
      pause = min(pause * 2, .seconds(5))
    }
  }
}
