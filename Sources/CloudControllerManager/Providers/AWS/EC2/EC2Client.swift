/// The actions of EC2 that the provider needs.
struct EC2Client: Sendable {
  let query: QueryClient

  /// Values that an answer is narrowed down to.
  typealias Filters = [(name: String, values: [String])]

  private func describe(_ action: String, _ filters: Filters, _ set: String, size: Int? = nil) async throws
    -> [XMLElement]
  {
    var parameters = QueryParameters(["MaxResults": size.map { String($0) }])
    for (index, filter) in filters.enumerated() {
      parameters.set("Filter.\(index + 1).Name", filter.name)
      parameters.list("Filter.\(index + 1).Value", filter.values)
    }
    return try await query.pages(action, parameters, request: "NextToken", next: { $0.string("nextToken") })
      .flatMap { $0.list(set) }
  }

  func instances(_ filters: Filters) async throws -> [EC2Instance] {
    try await describe("DescribeInstances", filters, "reservationSet", size: 1000)
      .flatMap { $0.list("instancesSet") }.map(EC2Instance.init)
  }

  func subnets(_ filters: Filters) async throws -> [EC2Subnet] {
    try await describe("DescribeSubnets", filters, "subnetSet").map { EC2Subnet($0) }
  }

  func securityGroups(_ filters: Filters) async throws -> [EC2SecurityGroup] {
    try await describe("DescribeSecurityGroups", filters, "securityGroupInfo").map { EC2SecurityGroup($0) }
  }

  func routeTables(_ filters: Filters) async throws -> [EC2RouteTable] {
    try await describe("DescribeRouteTables", filters, "routeTableSet").map { EC2RouteTable($0) }
  }

  /// The ids of the region's zones by their names.
  func zoneIDs() async throws -> [String: String] {
    var ids: [String: String] = [:]
    for zone in try await query.call("DescribeAvailabilityZones").list("availabilityZoneInfo") {
      ids[zone.string("zoneName")] = zone.string("zoneId")
    }
    return ids
  }

  /// Lets ranges in; a rule that is there already is no error.
  func authorizeIngress(group: String, _ rules: [EC2Rule]) async throws {
    try await change(group, rules, action: "AuthorizeSecurityGroupIngress", tolerating: "InvalidPermission.Duplicate")
  }

  /// Takes rules away; a rule that is gone already is no error.
  func revokeIngress(group: String, _ rules: [EC2Rule]) async throws {
    try await change(group, rules, action: "RevokeSecurityGroupIngress", tolerating: "InvalidPermission.NotFound")
  }

  private func change(_ group: String, _ rules: [EC2Rule], action: String, tolerating code: String) async throws {
    guard !rules.isEmpty else { return }
    do {
      _ = try await query.call(action, Self.parameters(group, rules))
    } catch let error as AWSError where error.code == code {
      // The whole request was refused for one of its rules: one by one, so that the others are not left out.
      guard rules.count > 1 else { return }
      for rule in rules { try await change(group, [rule], action: action, tolerating: code) }
    }
  }

  static func parameters(_ group: String, _ rules: [EC2Rule]) -> QueryParameters {
    var parameters = QueryParameters(["GroupId": group])
    for (index, rule) in rules.enumerated() {
      let prefix = "IpPermissions.\(index + 1)"
      let sixth = rule.cidr.contains(":")
      let range = sixth ? "\(prefix).Ipv6Ranges.1" : "\(prefix).IpRanges.1"
      parameters.set("\(prefix).IpProtocol", rule.proto)
      parameters.set("\(prefix).FromPort", String(rule.from))
      parameters.set("\(prefix).ToPort", String(rule.to))
      parameters.set(sixth ? "\(range).CidrIpv6" : "\(range).CidrIp", rule.cidr)
      parameters.set("\(range).Description", rule.description.isEmpty ? nil : rule.description)
    }
    return parameters
  }

  /// Lets an interface take packets that are not addressed to it, or not.
  func setSourceDestCheck(interface: String, _ on: Bool) async throws {
    _ = try await query.call(
      "ModifyNetworkInterfaceAttribute",
      QueryParameters(["NetworkInterfaceId": interface, "SourceDestCheck.Value": on ? "true" : "false"]))
  }

  /// Makes a route to an instance, or to one of its interfaces.
  func createRoute(table: String, cidr: String, instance: String?, interface: String?) async throws {
    let sixth = cidr.contains(":")
    _ = try await query.call(
      "CreateRoute",
      QueryParameters([
        "RouteTableId": table, "DestinationCidrBlock": sixth ? nil : cidr,
        "DestinationIpv6CidrBlock": sixth ? cidr : nil, "InstanceId": instance, "NetworkInterfaceId": interface,
      ]))
  }

  func deleteRoute(table: String, cidr: String) async throws {
    let sixth = cidr.contains(":")
    _ = try await query.call(
      "DeleteRoute",
      QueryParameters([
        "RouteTableId": table, "DestinationCidrBlock": sixth ? nil : cidr,
        "DestinationIpv6CidrBlock": sixth ? cidr : nil,
      ]))
  }
}
