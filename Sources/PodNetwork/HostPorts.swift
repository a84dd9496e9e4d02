import API
import Linux

/// The ports of the node that pods ask for.
enum HostPorts {
  /// Whether a pod asks for any.
  static func has(_ pod: Pod) -> Bool {
    !pod.spec.hostNetwork && pod.spec.containers.contains { $0.ports.contains { $0.hostPort != 0 } }
  }

  /// Those of a pod that runs and has an address.
  static func of(_ pod: Pod) -> [NetworkRules.HostPort] {
    guard has(pod), !pod.isTerminal, let address = NetworkAddress(pod.status.podIP), address.isIPv4 else { return [] }
    let containers = pod.spec.containers + pod.spec.initContainers.filter { $0.restartPolicy == "Always" }
    return containers.flatMap(\.ports).filter { $0.hostPort != 0 }.map { port in
      NetworkRules.HostPort(
        address: NetworkAddress(port.hostIP).flatMap { $0.bytes.allSatisfy { $0 == 0 } ? nil : $0 },
        proto: (port.protocol.isEmpty ? "TCP" : port.protocol).lowercased(), port: port.hostPort, pod: address,
        podPort: port.containerPort)
    }
  }
}
