/// A subnet of a virtual network.
struct EC2Subnet: Sendable, Equatable {
  var id: String
  var vpc: String
  var zone: String
  var cidr: String
  var tags: [String: String]

  init(_ item: XMLElement) {
    id = item.string("subnetId")
    vpc = item.string("vpcId")
    zone = item.string("availabilityZone")
    cidr = item.string("cidrBlock")
    tags = item.tags
  }

  init(id: String, vpc: String = "", zone: String, cidr: String = "", tags: [String: String] = [:]) {
    self.id = id
    self.vpc = vpc
    self.zone = zone
    self.cidr = cidr
    self.tags = tags
  }
}

/// One range that one rule of a security group lets in: EC2's nested permissions, taken apart.
struct EC2Rule: Sendable, Hashable {
  var proto: String
  var from: Int
  var to: Int
  var cidr: String
  var description: String = ""

  /// The rule as EC2 tells rules apart: it refuses a second one that differs in its description only.
  struct Key: Hashable {
    var proto: String
    var from: Int
    var to: Int
    var cidr: String
  }
  var key: Key { Key(proto: proto, from: from, to: to, cidr: cidr) }
}

/// A security group with the rules for what comes in from address ranges.
struct EC2SecurityGroup: Sendable, Equatable {
  var id: String
  var tags: [String: String]
  var ingress: [EC2Rule]

  init(id: String, tags: [String: String] = [:], ingress: [EC2Rule] = []) {
    self.id = id
    self.tags = tags
    self.ingress = ingress
  }

  init(_ item: XMLElement) {
    id = item.string("groupId")
    tags = item.tags
    ingress = item.list("ipPermissions").flatMap { permission -> [EC2Rule] in
      let ranges =
        permission.list("ipRanges").map { ($0.string("cidrIp"), $0.string("description")) }
        + permission.list("ipv6Ranges").map { ($0.string("cidrIpv6"), $0.string("description")) }
      return ranges.map { cidr, description in
        EC2Rule(
          proto: permission.string("ipProtocol"), from: permission.int("fromPort") ?? -1,
          to: permission.int("toPort") ?? -1, cidr: cidr, description: description)
      }
    }
  }
}

/// A table of routes.
struct EC2RouteTable: Sendable, Equatable {
  struct Route: Sendable, Equatable {
    /// Of IPv4 or IPv6; empty for a prefix list.
    var cidr: String
    var instance: String
    var interface: String
    var gateway: String
    var state: String
  }

  var id: String
  var vpc: String
  var tags: [String: String]
  var routes: [Route]
  /// The subnets that use the table by name.
  var subnets: [String]
  /// The table of all subnets that name none.
  var isMain: Bool

  init(_ item: XMLElement) {
    id = item.string("routeTableId")
    vpc = item.string("vpcId")
    tags = item.tags
    routes = item.list("routeSet").map { route in
      let fourth = route.string("destinationCidrBlock")
      return Route(
        cidr: fourth.isEmpty ? route.string("destinationIpv6CidrBlock") : fourth,
        instance: route.string("instanceId"), interface: route.string("networkInterfaceId"),
        gateway: route.string("gatewayId"), state: route.string("state"))
    }
    subnets = item.list("associationSet").map { $0.string("subnetId") }.filter { !$0.isEmpty }
    isMain = item.list("associationSet").contains { $0.bool("main") }
  }
}
