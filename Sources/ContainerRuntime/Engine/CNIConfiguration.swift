import APIMachinery

/// Our own pod network: a bridge, addresses from the node's ranges, host ports.
struct CNIConfiguration {
  static let fileName = "99-apus.conflist"

  var bridge: String
  var podCIDRs: [String]
  var mtu = 0
  /// Where the addresses given out are written down. It must not survive a reboot, as pods do not.
  var addressDirectory: String
  /// The plugin for host ports works through iptables.
  var servesHostPorts: Bool

  func encoded() -> [UInt8] {
    let ranges = podCIDRs.map { JSONValue.array([.object(["subnet": .string($0)])]) }
    var bridgePlugin: [String: JSONValue] = [
      "type": .string("bridge"), "bridge": .string(bridge), "isGateway": .bool(true),
      "isDefaultGateway": .bool(true), "forceAddress": .bool(true), "hairpinMode": .bool(true),
      // The pod network masquerades, with rules of its own.
      "ipMasq": .bool(false),
      "ipam": .object([
        "type": .string("host-local"), "dataDir": .string(addressDirectory),
        "ranges": .array(ranges),
      ]),
    ]
    if mtu > 0 { bridgePlugin["mtu"] = .int(Int64(mtu)) }
    var plugins: [JSONValue] = [.object(bridgePlugin)]
    if servesHostPorts {
      plugins.append(
        .object(["type": .string("portmap"), "capabilities": .object(["portMappings": .bool(true)])]))
    }
    return JSONValue.object([
      "cniVersion": .string("0.4.0"), "name": .string("apus"), "plugins": .array(plugins),
    ]).encoded()
  }

  /// A configuration in the directory that somebody else put there.
  static func foreign(in directory: String) -> String? {
    FileSystem.list(directory).first { file in
      file != fileName && [".conf", ".conflist", ".json"].contains { file.hasSuffix($0) }
    }
  }
}
