public import API
import Logging

/// Load balancers: what the Service asks for, made so.
extension AWSProvider {
  /// The Service's load balancer as it is; nil when there is none.
  public func loadBalancer(cluster: String, _ service: Service) async throws -> LoadBalancerStatus? {
    try LoadBalancerPlan.checkType(service)
    return try await elb.loadBalancer(name: LoadBalancerPlan.name(service)).map(Self.status)
  }

  /// Makes or changes the Service's load balancer so that it leads to the nodes. Writes only what differs.
  public func ensureLoadBalancer(
    cluster: String, _ service: Service, nodes: [Node]
  ) async throws -> LoadBalancerStatus {
    let plan = try LoadBalancerPlan(service, tag: tag, configuration: configuration)
    let instances = try await instances(of: nodes)
    var balancer = try await elb.loadBalancer(name: plan.name)
    if let present = balancer, (present.scheme == "internal") != plan.isInternal || present.type != "network" {
      // Neither can be changed.
      logger.info("replacing load balancer \(plan.name), whose scheme or type has changed")
      try await delete(present, service)
      balancer = nil
    }
    if let present = balancer {
      try await syncTags(present, plan)
    }
    let current: ELBLoadBalancer
    if let balancer {
      current = balancer
    } else {
      current = try await create(plan, vpc: instances.first?.vpc)
    }
    let groups = try await syncListeners(current, plan, service, instances)
    try await syncAttributes(current, plan)
    try await syncIngress(current, plan, instances)
    logger.debug("load balancer \(plan.name) leads to \(instances.count) instances through \(groups) target groups")
    return Self.status(current)
  }

  /// Changes only the instances behind the load balancer.
  public func updateLoadBalancer(cluster: String, _ service: Service, nodes: [Node]) async throws {
    let plan = try LoadBalancerPlan(service, tag: tag, configuration: configuration)
    guard let balancer = try await elb.loadBalancer(name: plan.name) else {
      throw AWSConfigurationError("Load balancer not found")
    }
    let instances = try await instances(of: nodes)
    for group in try await elb.targetGroups(loadBalancer: balancer.arn) {
      try await syncTargets(group, instances)
    }
    try await syncIngress(balancer, plan, instances)
  }

  /// Deletes the load balancer with its listeners and target groups, and the rules of security groups made for it.
  public func deleteLoadBalancer(cluster: String, _ service: Service) async throws {
    try LoadBalancerPlan.checkType(service)
    let name = LoadBalancerPlan.name(service)
    if let balancer = try await elb.loadBalancer(name: name) {
      try await delete(balancer, service)
    } else {
      try await deleteTargetGroups(service, keeping: [])
    }
    try await closeIngress(name)
  }

  private static func status(_ balancer: ELBLoadBalancer) -> LoadBalancerStatus {
    var status = LoadBalancerStatus()
    if !balancer.dnsName.isEmpty {
      var ingress = LoadBalancerIngress()
      ingress.hostname = balancer.dnsName
      status.ingress = [ingress]
    }
    return status
  }

  /// The instances of nodes; nodes whose instance is gone are left out.
  private func instances(of nodes: [Node]) async throws -> [EC2Instance] {
    try await withThrowingTaskGroup(of: EC2Instance?.self) { group in
      for node in nodes {
        group.addTask {
          do {
            return try await instance(node)
          } catch CloudProviderError.instanceNotFound {
            logger.warning("no instance found for node \(node.metadata.name)")
            return nil
          }
        }
      }
      var found: [EC2Instance] = []
      for try await case let instance? in group where instance.state != "terminated" { found.append(instance) }
      return found.sorted { $0.id < $1.id }
    }
  }

  private func create(_ plan: LoadBalancerPlan, vpc: String?) async throws -> ELBLoadBalancer {
    let subnets = try await subnets(plan, vpc: configuration.vpc.isEmpty ? vpc : configuration.vpc)
    guard !subnets.isEmpty else {
      throw AWSConfigurationError("could not find any suitable subnets for creating the ELB")
    }
    guard plan.addresses.isEmpty || plan.addresses.count == subnets.count else {
      throw AWSConfigurationError(
        "error creating load balancer: Must have same number of EIP AllocationIDs (\(plan.addresses.count)) and "
          + "SubnetIDs (\(subnets.count))")
    }
    logger.info("creating load balancer \(plan.name)")
    return try await elb.createLoadBalancer(
      .init(
        name: plan.name, isInternal: plan.isInternal, subnets: subnets.map(\.id), addresses: plan.addresses,
        tags: plan.tags))
  }

  private func subnets(_ plan: LoadBalancerPlan, vpc: String?) async throws -> [EC2Subnet] {
    let own: EC2Client.Filters = vpc.map { [("vpc-id", [$0])] } ?? []
    if !plan.subnets.isEmpty {
      let ids = plan.subnets.filter { $0.hasPrefix("subnet-") }
      let names = plan.subnets.filter { !$0.hasPrefix("subnet-") }
      var found: [EC2Subnet] = []
      if !ids.isEmpty { found += try await ec2.subnets([("subnet-id", ids)]) }
      if !names.isEmpty { found += try await ec2.subnets(own + [("tag:Name", names)]) }
      guard found.count == plan.subnets.count else {
        throw AWSConfigurationError("expected to find \(plan.subnets.count), but found \(found.count) subnets")
      }
      // Addresses are given in the order of the annotation.
      func position(_ subnet: EC2Subnet) -> Int {
        plan.subnets.firstIndex(of: subnet.id) ?? plan.subnets.firstIndex(of: subnet.tags["Name"] ?? "") ?? 0
      }
      return found.sorted { position($0) < position($1) }
    }
    if !configuration.subnetID.isEmpty { return try await ec2.subnets([("subnet-id", [configuration.subnetID])]) }
    let all = try await ec2.subnets(own)
    let tables = plan.isInternal ? [] : try await ec2.routeTables(own)
    return SubnetChoice(tag: tag, isInternal: plan.isInternal, isPublic: { isPublic($0, tables: tables) }).choose(all)
  }

  private func syncTags(_ balancer: ELBLoadBalancer, _ plan: LoadBalancerPlan) async throws {
    let groups = try await elb.targetGroups(loadBalancer: balancer.arn).map(\.arn)
    let present = try await elb.tags([balancer.arn] + groups)
    let lacking = present.filter { entry in plan.tags.contains { entry.value[$0.key] != $0.value } }.keys.sorted()
    for start in stride(from: 0, to: lacking.count, by: ELBClient.tagChunk) {
      try await elb.addTags(Array(lacking[start..<min(start + ELBClient.tagChunk, lacking.count)]), plan.tags)
    }
  }

  private func syncAttributes(_ balancer: ELBLoadBalancer, _ plan: LoadBalancerPlan) async throws {
    let present = try await elb.attributes(loadBalancer: balancer.arn)
    // What is not listed has its default, which is off or empty.
    let differing = plan.attributes.filter { key, value in
      guard let now = present[key] else { return value != "false" && !value.isEmpty }
      return now != value
    }
    if !differing.isEmpty { try await elb.modifyAttributes(loadBalancer: balancer.arn, differing) }
  }
}
