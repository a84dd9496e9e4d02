import Linux

/// Brings the kernel's links, addresses, routes and neighbours to what a plan says, and touches nothing that is not ours.
struct KernelNetwork {
  /// What was done, in words for a log.
  typealias Changes = [String]

  let socket: RouteSocket

  /// Throws when the kernel gives no socket.
  init() throws { socket = try RouteSocket() }

  /// Makes what is missing, removes what is stale; nothing when all is as it should be.
  func apply(_ plan: NetworkPlan) throws -> Changes {
    var changes: Changes = []
    let device = try overlayDevice(plan.endpoint, &changes)
    try routes(plan, device: device, &changes)
    if let device {
      try neighbours(plan, device: device, &changes)
    }
    return changes
  }

  /// Takes away everything that `apply` ever made.
  func remove() throws {
    for route in try socket.routes(origin: NetworkPlan.origin) { try socket.delete(route) }
    if let link = try socket.link(named: NetworkPlan.device) { try socket.deleteLink(link.index) }
  }

  /// The overlay device's number; a device of another making under its name is replaced.
  private func overlayDevice(_ endpoint: NetworkPlan.Endpoint?, _ changes: inout Changes) throws -> Int32? {
    var found = try socket.link(named: NetworkPlan.device)
    guard let endpoint else {
      if let found {
        try socket.deleteLink(found.index)
        changes.append("removed \(NetworkPlan.device)")
      }
      return nil
    }
    let wanted = NetworkLink.VXLAN(
      identifier: NetworkPlan.identifier, port: NetworkPlan.port, local: endpoint.local, parent: endpoint.parent)
    if let link = found, link.vxlan != wanted || link.mac != endpoint.mac {
      try socket.deleteLink(link.index)
      found = nil
    }
    if found == nil {
      try socket.addVXLAN(name: NetworkPlan.device, wanted, mac: endpoint.mac, mtu: endpoint.mtu)
      found = try socket.link(named: NetworkPlan.device)
      changes.append("made \(NetworkPlan.device)")
    }
    guard let link = found else { return nil }
    if !link.isUp || link.mtu != endpoint.mtu { try socket.setUp(link.index, mtu: endpoint.mtu) }
    let own = LinkAddress(link: link.index, address: endpoint.address, length: 32)
    let present = try socket.addresses().filter { $0.link == link.index && $0.address.isIPv4 }
    for other in present where other != own { try socket.delete(other) }
    if !present.contains(own) { try socket.add(own) }
    // Answers may come another way than the questions went.
    KernelSetting.set("net/ipv4/conf/\(NetworkPlan.device)/rp_filter", "2")
    return link.index
  }

  private func routes(_ plan: NetworkPlan, device: Int32?, _ changes: inout Changes) throws {
    var wanted = plan.direct.map {
      NetworkRoute(destination: $0.range, gateway: $0.gateway, link: $0.link, origin: NetworkPlan.origin)
    }
    if let device {
      wanted += plan.overlay.map {
        NetworkRoute(
          destination: $0.range, gateway: $0.address, link: device, isOnLink: true, origin: NetworkPlan.origin)
      }
    }
    let present = try socket.routes()
    let kept = Set(wanted.map(\.destination))
    for route in present where route.origin == NetworkPlan.origin && !kept.contains(route.destination) {
      try socket.delete(route)
      changes.append("removed the route to \(route.destination)")
    }
    for route in wanted where !present.contains(route) {
      try socket.replace(route)
      changes.append("set the route to \(route.destination) via \(route.gateway.map { "\($0)" } ?? "")")
    }
  }

  private func neighbours(_ plan: NetworkPlan, device: Int32, _ changes: inout Changes) throws {
    let addresses = Set(plan.overlay.map { NetworkNeighbour(link: device, address: $0.address, mac: $0.mac) })
    let present = Set(try socket.neighbours(of: device))
    for entry in present.subtracting(addresses) where !addresses.contains(where: { $0.address == entry.address }) {
      try socket.deleteNeighbour(entry)
      changes.append("forgot the neighbour \(entry.address)")
    }
    for entry in addresses.subtracting(present) {
      try socket.setNeighbour(entry)
      changes.append("set the neighbour \(entry.address)")
    }
    let machines = Set(plan.overlay.map { NetworkNeighbour(link: device, address: $0.endpoint, mac: $0.mac) })
    let known = Set(try socket.forwarding(of: device))
    for entry in known.subtracting(machines) {
      try socket.deleteForwarding(entry)
      changes.append("forgot that \(entry.mac) is at \(entry.address)")
    }
    for entry in machines.subtracting(known) {
      try socket.setForwarding(entry)
      changes.append("noted that \(entry.mac) is at \(entry.address)")
    }
  }
}
