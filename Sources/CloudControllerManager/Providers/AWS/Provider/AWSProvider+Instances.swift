public import API
import Synchronization

/// An instance's id, out of a provider ID.
struct InstanceID: Sendable, Hashable {
  var value: String

  /// Reads `aws:///zone/i-0123`, `aws:///i-0123` or `i-0123`.
  init?(providerID: String) {
    var rest = providerID[...]
    if rest.hasPrefix("aws://") { rest = rest.dropFirst(6) }
    guard let last = rest.split(separator: "/", omittingEmptySubsequences: false).last, Self.isID(last) else {
      return nil
    }
    value = String(last)
  }

  /// Reads a node's name where that is made of the instance's id: `i-0123.eu-west-1.compute.internal`, or the id alone.
  init?(nodeName: String) {
    guard let first = nodeName.split(separator: ".").first, Self.isID(first) else { return nil }
    value = String(first)
  }

  private static func isID(_ text: Substring) -> Bool {
    text.hasPrefix("i-") && text.count > 2
      && text.dropFirst(2).allSatisfy { $0.isASCII && ($0.isNumber || $0.isLetter) }
  }
}

/// The ids of the zones, asked for once, and again when a new name comes up.
actor ZoneIDs {
  private var ids: [String: String] = [:]

  func id(zone: String, ec2: EC2Client) async throws -> String? {
    if let id = ids[zone] { return id }
    ids = try await ec2.zoneIDs()
    return ids[zone]
  }
}

extension AWSProvider {
  /// The node's instance; throws `instanceNotFound` only when the node names none and none has its name.
  func instance(_ node: Node) async throws -> EC2Instance? {
    if !node.spec.providerID.isEmpty {
      guard let id = InstanceID(providerID: node.spec.providerID) else {
        throw AWSConfigurationError("Invalid instance name (\(node.spec.providerID))")
      }
      return try await lookup.instance(id: id.value)
    }
    let name = node.metadata.name
    let found =
      if let id = InstanceID(nodeName: name) {
        try await lookup.instance(id: id.value)
      } else {
        try await lookup.instance(privateDNSName: name)
      }
    guard let found else { throw CloudProviderError.instanceNotFound }
    return found
  }

  /// Whether the node's machine is there, running or not: a terminated instance is not.
  public func instanceExists(_ node: Node) async throws -> Bool {
    guard let instance = try await instance(node) else { return false }
    return instance.state != "terminated"
  }

  /// Whether the node's machine is stopped, or about to be.
  public func instanceShutdown(_ node: Node) async throws -> Bool {
    // An instance that is gone is not shut down, so that the node goes on to be asked about and is deleted.
    guard let instance = try await instance(node) else { return false }
    return instance.state == "stopped" || instance.state == "stopping"
  }

  /// The instance's type, place and addresses.
  public func instanceMetadata(_ node: Node) async throws -> InstanceMetadata {
    guard let instance = try await instance(node), instance.state != "terminated" else {
      throw CloudProviderError.instanceNotFound
    }
    var labels: [String: String] = [:]
    if node.metadata.labels["topology.k8s.aws/zone-id"] == nil,
      let id = try await zoneIDs.id(zone: instance.zone, ec2: ec2)
    {
      labels["topology.k8s.aws/zone-id"] = id
    }
    let known = node.spec.providerID
    return InstanceMetadata(
      providerID: known.isEmpty ? "aws:///\(instance.zone)/\(instance.id)" : known, instanceType: instance.type,
      addresses: Self.addresses(instance, families: configuration.nodeIPFamilies), zone: instance.zone,
      region: region, additionalLabels: labels)
  }

  /// The instance's addresses, in upstream's order: each family's in turn, names last.
  static func addresses(_ instance: EC2Instance, families: [String]) -> [NodeAddress] {
    var out: [NodeAddress] = []
    func add(_ type: String, _ address: String) {
      guard !address.isEmpty, !out.contains(where: { $0.type == type && $0.address == address }) else { return }
      var entry = NodeAddress()
      entry.type = type
      entry.address = address
      out.append(entry)
    }
    // Interfaces that are being attached or detached do not carry traffic.
    let interfaces = instance.interfaces.filter { $0.status == "in-use" || $0.status.isEmpty }
    for family in families {
      if family == "ipv6" {
        for interface in interfaces { add("InternalIP", interface.ipv6.first ?? "") }
      } else {
        for interface in interfaces { for address in interface.privateIPs { add("InternalIP", address) } }
        if interfaces.isEmpty { add("InternalIP", instance.privateIP) }
        add("ExternalIP", instance.publicIP)
      }
    }
    add("InternalDNS", instance.privateDNSName)
    add("Hostname", instance.privateDNSName)
    add("ExternalDNS", instance.publicDNSName)
    return out
  }
}
