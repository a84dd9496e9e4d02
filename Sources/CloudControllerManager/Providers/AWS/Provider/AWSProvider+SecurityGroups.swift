import API
import Logging

/// The rules in the instances' security groups.
extension AWSProvider {
  /// Lets the load balancer's traffic into the instances, and only into theirs.
  func syncIngress(_ balancer: ELBLoadBalancer, _ plan: LoadBalancerPlan, _ instances: [EC2Instance]) async throws {
    guard !configuration.disableSecurityGroupIngress else { return }
    let tagged = try await taggedGroups()
    var wanted: Set<String> = []
    for instance in instances {
      if let group = try securityGroup(of: instance, tagged: Set(tagged.map(\.id))) {
        wanted.insert(group)
      } else {
        logger.warning("Ignoring instance without security group: \(instance.id)")
      }
    }
    let subnets = balancer.subnets.isEmpty ? [] : try await ec2.subnets([("subnet-id", balancer.subnets)])
    let rules = IngressRules.desired(
      name: plan.name, ports: plan.ports, clients: plan.clients, subnets: subnets.map(\.cidr))
    var groups = tagged
    let others = wanted.subtracting(tagged.map(\.id))
    if !others.isEmpty { groups += try await ec2.securityGroups([("group-id", others.sorted())]) }
    try await apply(name: plan.name, groups: groups) { wanted.contains($0) ? rules : [] }
  }

  /// Takes the rules of a load balancer away everywhere.
  func closeIngress(_ name: String) async throws {
    guard !configuration.disableSecurityGroupIngress else { return }
    // All groups, not the tagged ones only: an instance's only group is used without a tag.
    let filters: EC2Client.Filters = configuration.vpc.isEmpty ? [] : [("vpc-id", [configuration.vpc])]
    let marks = ["\(IngressRules.client)=\(name)", "\(IngressRules.health)=\(name)"]
    let groups = try await ec2.securityGroups(filters).filter { group in
      group.ingress.contains { marks.contains($0.description) }
    }
    try await apply(name: name, groups: groups) { _ in [] }
  }

  private func taggedGroups() async throws -> [EC2SecurityGroup] {
    var filters: EC2Client.Filters = [("tag-key", [tag.key])]
    if !configuration.vpc.isEmpty { filters.append(("vpc-id", [configuration.vpc])) }
    return try await ec2.securityGroups(filters)
  }

  private func apply(
    name: String, groups: [EC2SecurityGroup], desired: (String) -> Set<EC2Rule>
  ) async throws {
    for group in groups {
      let change = IngressRules.change(group.ingress, name: name, desired: desired(group.id))
      try await ec2.revokeIngress(group: group.id, change.revoke)
      try await ec2.authorizeIngress(group: group.id, change.grant)
    }
  }

  /// The group whose rules are managed: the tagged one of the instance, else its only one.
  private func securityGroup(of instance: EC2Instance, tagged: Set<String>) throws -> String? {
    let own = instance.securityGroups.filter { tagged.contains($0) }
    if own.count > 1 {
      throw AWSConfigurationError(
        "Multiple tagged security groups found for instance \(instance.id); ensure only the k8s security group is "
          + "tagged; the tagged groups were \(own.joined(separator: " "))")
    }
    if let only = own.first { return only }
    guard instance.securityGroups.count <= 1 else {
      throw AWSConfigurationError(
        "Multiple untagged security groups found for instance \(instance.id); ensure the k8s security group is tagged")
    }
    return instance.securityGroups.first
  }
}
