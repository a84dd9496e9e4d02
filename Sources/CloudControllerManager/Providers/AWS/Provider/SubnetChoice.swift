/// Chooses the subnets that a load balancer stands in: one for each zone.
struct SubnetChoice {
  var tag: ClusterTag
  var isInternal: Bool
  /// Whether the subnet is open to the internet.
  var isPublic: (EC2Subnet) -> Bool

  /// The ids of the chosen subnets, in the order of their zones' names. A subnet with the tag of its role wins over one
  /// without, then one with the cluster's tag, then the smaller id.
  func choose(_ subnets: [EC2Subnet]) -> [EC2Subnet] {
    let role = isInternal ? ClusterTag.internalSubnet : ClusterTag.publicSubnet
    func other(_ subnet: EC2Subnet) -> Bool {
      // Another cluster's own subnet.
      !tag.matches(subnet.tags) && subnet.tags.keys.contains { $0.hasPrefix(ClusterTag.prefix) }
    }
    func has(_ subnet: EC2Subnet) -> Bool { subnet.tags[role] == "1" || subnet.tags[role] == "" }
    let fitting = subnets.filter { subnet in
      guard !other(subnet), has(subnet) || tag.matches(subnet.tags) else { return false }
      return isInternal || has(subnet) || isPublic(subnet)
    }
    var chosen: [String: EC2Subnet] = [:]
    func rank(_ subnet: EC2Subnet) -> Int { (has(subnet) ? 0 : 2) + (tag.matches(subnet.tags) ? 0 : 1) }
    for subnet in fitting {
      guard let present = chosen[subnet.zone] else {
        chosen[subnet.zone] = subnet
        continue
      }
      if (rank(subnet), subnet.id) < (rank(present), present.id) { chosen[subnet.zone] = subnet }
    }
    return chosen.sorted { $0.key < $1.key }.map(\.value)
  }
}

/// Whether a subnet's routes lead to an internet gateway.
func isPublic(_ subnet: EC2Subnet, tables: [EC2RouteTable]) -> Bool {
  let own = tables.first { $0.subnets.contains(subnet.id) }
  let table = own ?? tables.first { $0.isMain && $0.vpc == subnet.vpc }
  return table?.routes.contains { $0.gateway.hasPrefix("igw-") } ?? false
}
