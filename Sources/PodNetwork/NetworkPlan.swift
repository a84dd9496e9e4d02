import Linux

/// What routes, neighbours and forwarding entries a node is to have: pure.
///
/// A node on one of this node's own links is reached directly (host gateway); any other through the overlay, for which
/// its end must be known.
///
///     pod ─ cni0 ─▶ route to the peer's range ─┬─▶ via the peer's address, on the link both share
///                                             └─▶ via the peer's first address, on apus.vxlan
///                                                    neighbour: that address has the peer's MAC
///                                                    forwarding: frames for that MAC go to the peer's endpoint
struct NetworkPlan: Hashable, Sendable {
  /// The mark of routes that are ours.
  static let origin: UInt8 = 97
  static let device = "apus.vxlan"
  static let identifier: UInt32 = 1
  static let port: UInt16 = 8472
  /// What encapsulation takes from the MTU: IP, UDP, VXLAN and Ethernet headers.
  static let overhead = 50

  /// A route to a peer's range over a link that both share.
  struct Direct: Hashable, Sendable {
    var range: IPPrefix
    var gateway: NetworkAddress
    var link: Int32
  }

  /// A route to a peer's range through the overlay.
  struct Overlay: Hashable, Sendable {
    var range: IPPrefix
    var mac: MACAddress
    var endpoint: NetworkAddress
    /// The peer's address inside the overlay: the first of its range, which no pod has.
    var address: NetworkAddress { range.address }
  }

  /// This node's end of the overlay.
  struct Endpoint: Hashable, Sendable {
    var mac: MACAddress
    var local: NetworkAddress
    /// The first address of this node's range.
    var address: NetworkAddress
    /// The link that carries it.
    var parent: Int32
    var mtu: Int
  }

  var direct: [Direct] = []
  var overlay: [Overlay] = []
  /// Nil when no peer needs it.
  var endpoint: Endpoint?
  /// For the links of pods; 0 when this node's own link is not known.
  var podMTU = 0
  /// This node's own ranges; empty as long as it has none.
  var podRanges: [IPPrefix] = []
  /// Nodes that cannot be reached yet.
  var unreachable: [String] = []

  /// Decides from the nodes, and from this node's links and addresses. `ownLinks` are those that carry no pods.
  static func decide(
    node name: String, address: NetworkAddress, nodes: [NetworkNode], links: [NetworkLink], addresses: [LinkAddress]
  ) -> NetworkPlan {
    var plan = NetworkPlan()
    guard let own = nodes.first(where: { $0.name == name }) else { return plan }
    plan.podRanges = own.podRanges
    let usable = Set(links.filter { $0.isUp && $0.name != device && $0.name != "lo" }.map(\.index))
    // An address inside a pod range belongs to a bridge of pods.
    let segments = addresses.filter { entry in
      usable.contains(entry.link) && !own.podRanges.contains { $0.contains(entry.address) }
    }
    let carrier = segments.first { $0.address == address }?.link
    let mtu = links.first { $0.index == carrier }?.mtu ?? 0

    for peer in nodes.sorted(by: { $0.name < $1.name }) where peer.name != name {
      for range in peer.podRanges {
        guard !own.podRanges.contains(where: { $0.contains(range.address) }),
          let gateway = peer.addresses.first(where: { $0.isIPv4 == range.address.isIPv4 })
        else { continue }
        if let shared = segments.first(where: { segment in
          segment.address != gateway && IPPrefix(segment.address, length: segment.length)?.contains(gateway) == true
        }) {
          plan.direct.append(Direct(range: range, gateway: gateway, link: shared.link))
        } else if let mac = peer.overlayMAC, let endpoint = peer.overlayEndpoint, range.address.isIPv4 {
          plan.overlay.append(Overlay(range: range, mac: mac, endpoint: endpoint))
        } else {
          plan.unreachable.append(peer.name)
        }
      }
    }
    if !plan.overlay.isEmpty, let inside = own.podRanges.first(where: { $0.address.isIPv4 }) {
      plan.endpoint = Endpoint(
        mac: NetworkNode.mac(ofNode: name), local: address, address: inside.address, parent: carrier ?? 0,
        mtu: max(mtu - overhead, 576))
    }
    plan.podMTU = mtu == 0 ? 0 : plan.overlay.isEmpty ? mtu : mtu - overhead
    return plan
  }
}
