public import API
import Logging

extension AWSProvider {
  /// The cluster's one table of routes.
  private func routeTable(_ cluster: String) async throws -> EC2RouteTable {
    let tables: [EC2RouteTable]
    if configuration.routeTableID.isEmpty {
      var filters: EC2Client.Filters = []
      if !configuration.vpc.isEmpty { filters.append(("vpc-id", [configuration.vpc])) }
      tables = try await ec2.routeTables(filters).filter { tag.matches($0.tags) }
    } else {
      tables = try await ec2.routeTables([("route-table-id", [configuration.routeTableID])])
    }
    guard let table = tables.first else {
      throw AWSConfigurationError("unable to find route table for AWS cluster: \(cluster)")
    }
    guard tables.count == 1 else {
      throw AWSConfigurationError("found multiple matching AWS route tables for AWS cluster: \(cluster)")
    }
    return table
  }

  /// The routes to instances, and those that lead nowhere.
  public func routes(cluster: String) async throws -> [CloudRoute] {
    let table = try await routeTable(cluster)
    let instances = try await lookup.instances(ids: table.routes.map(\.instance).filter { !$0.isEmpty })
    return table.routes.compactMap { route in
      guard !route.cidr.isEmpty else { return nil }
      var found = CloudRoute(name: "\(cluster)-\(route.cidr)", targetNode: "", destinationCIDR: route.cidr)
      if route.state == "blackhole" {
        found.isBlackhole = true
        return found
      }
      guard !route.instance.isEmpty else { return nil }
      guard let instance = instances[route.instance], instance.state != "terminated" else {
        // EC2 says so too, but only a while later.
        found.isBlackhole = true
        return found
      }
      found.targetNode = nodes.name(instance: route.instance) ?? instance.privateDNSName
      return found
    }
  }

  /// Makes a route to the node's instance, which is made to take packets for others.
  public func createRoute(cluster: String, _ route: CloudRoute, to node: Node) async throws {
    guard let instance = try await instance(node), instance.state != "terminated" else {
      throw CloudProviderError.instanceNotFound
    }
    if let interface = instance.primaryInterface, interface.sourceDestCheck != false {
      try await ec2.setSourceDestCheck(interface: interface.id, false)
    }
    let table = try await routeTable(cluster)
    if let present = table.routes.first(where: { $0.cidr == route.destinationCIDR }) {
      // A kept answer would still show an instance that has gone in the meantime.
      let target = present.instance.isEmpty ? nil : try await lookup.instance(id: present.instance, fresh: true)
      let dead =
        present.state == "blackhole" || (!present.instance.isEmpty && target?.state ?? "terminated" == "terminated")
      if !dead, present.instance == instance.id { return }
      if dead {
        logger.info("deleting blackholed route: \(present.cidr)")
        try await ec2.deleteRoute(table: table.id, cidr: present.cidr)
      }
    }
    // An instance with several interfaces cannot be a target itself; its first interface can.
    let several = instance.interfaces.count > 1
    do {
      try await ec2.createRoute(
        table: table.id, cidr: route.destinationCIDR, instance: several ? nil : instance.id,
        interface: several ? instance.primaryInterface?.id : nil)
    } catch let error as AWSError where error.code == "RouteAlreadyExists" {
      // A request sent twice, or somebody else's route.
      let now = try await routeTable(cluster).routes.first { $0.cidr == route.destinationCIDR }
      guard now?.instance == instance.id else { throw error }
    }
  }

  /// Deletes a route; succeeds when there is none.
  public func deleteRoute(cluster: String, _ route: CloudRoute) async throws {
    let table = try await routeTable(cluster)
    do {
      try await ec2.deleteRoute(table: table.id, cidr: route.destinationCIDR)
    } catch let error as AWSError where error.code == "InvalidRoute.NotFound" {
      return
    }
  }
}
