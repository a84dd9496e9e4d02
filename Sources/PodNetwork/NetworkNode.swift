import API
import Linux

/// What the pod network needs to know of a node, taken from its object.
struct NetworkNode: Hashable, Sendable {
  /// Annotations in which a node tells the others how to reach its end of the overlay.
  enum Annotation {
    /// The link-layer address of the node's overlay device.
    static let mac = "network.apus.dev/vxlan-mac"
    /// The address to which encapsulated packets are sent.
    static let endpoint = "network.apus.dev/vxlan-endpoint"
  }

  var name: String
  /// The node's own addresses, of either family.
  var addresses: [NetworkAddress]
  var podRanges: [IPPrefix]
  var overlayMAC: MACAddress?
  var overlayEndpoint: NetworkAddress?

  init(_ node: Node) {
    name = node.metadata.name
    addresses = node.status.addresses.filter { $0.type == "InternalIP" }.compactMap { NetworkAddress($0.address) }
    let ranges = node.spec.podCIDRs.isEmpty ? [node.spec.podCIDR] : node.spec.podCIDRs
    podRanges = ranges.compactMap { IPPrefix($0) }
    overlayMAC = node.metadata.annotations[Annotation.mac].flatMap { MACAddress($0) }
    overlayEndpoint = node.metadata.annotations[Annotation.endpoint].flatMap { NetworkAddress($0) }
  }

  /// The link-layer address of a node's overlay device. It follows from the name, so that a device made anew has the
  /// one that the other nodes know already.
  static func mac(ofNode name: String) -> MACAddress {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    // Locally administered, not a group's.
    let bytes = [0x02] + (0..<5).map { UInt8(truncatingIfNeeded: hash >> ($0 * 8)) }
    return MACAddress(bytes: bytes) ?? .none
  }
}

extension MACAddress {
  /// All zero bytes.
  static let none = MACAddress(bytes: [0, 0, 0, 0, 0, 0])!  // six bytes, always an address
}
