/// A machine of EC2, as far as Kubernetes asks about it.
struct EC2Instance: Sendable, Equatable {
  struct Interface: Sendable, Equatable {
    var id = ""
    var status = ""
    var deviceIndex = 0
    var sourceDestCheck: Bool?
    var privateIPs: [String] = []
    var ipv6: [String] = []
  }

  var id = ""
  var type = ""
  /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
  var state = ""
  var zone = ""
  var vpc = ""
  var subnet = ""
  var privateDNSName = ""
  var publicDNSName = ""
  var privateIP = ""
  var publicIP = ""
  var securityGroups: [String] = []
  var interfaces: [Interface] = []
  var tags: [String: String] = [:]

  init() {}

  /// Reads an item of a reservation's `instancesSet`.
  init(_ item: XMLElement) {
    id = item.string("instanceId")
    type = item.string("instanceType")
    state = item.find("instanceState", "name")?.text ?? ""
    zone = item.find("placement", "availabilityZone")?.text ?? ""
    vpc = item.string("vpcId")
    subnet = item.string("subnetId")
    privateDNSName = item.string("privateDnsName")
    publicDNSName = item.string("dnsName")
    privateIP = item.string("privateIpAddress")
    publicIP = item.string("ipAddress")
    securityGroups = item.list("groupSet").map { $0.string("groupId") }
    interfaces = item.list("networkInterfaceSet").map { item in
      var interface = Interface()
      interface.id = item.string("networkInterfaceId")
      interface.status = item.string("status")
      interface.deviceIndex = item.child("attachment")?.int("deviceIndex") ?? 0
      interface.sourceDestCheck = item.child("sourceDestCheck").map { $0.text == "true" }
      interface.privateIPs = item.list("privateIpAddressesSet").map { $0.string("privateIpAddress") }
      interface.ipv6 = item.list("ipv6AddressesSet").map { $0.string("ipv6Address") }
      return interface
    }.sorted { $0.deviceIndex < $1.deviceIndex }
    tags = item.tags
  }

  /// The interface that the instance was started with.
  var primaryInterface: Interface? { interfaces.first { $0.deviceIndex == 0 } ?? interfaces.first }
}

extension XMLElement {
  /// EC2's `tagSet`, or another service's `Tags`.
  var tags: [String: String] {
    var out: [String: String] = [:]
    for tag in list("tagSet") { out[tag.string("key")] = tag.string("value") }
    for tag in list("Tags") { out[tag.string("Key")] = tag.string("Value") }
    return out
  }
}
