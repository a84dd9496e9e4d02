import API
import APIMachinery

/// The Endpoints object of a Service, as its pods are: pure.
enum EndpointsDecision {
  static let managedBy = "endpoints.kubernetes.io/managed-by"
  static let overCapacity = "endpoints.kubernetes.io/over-capacity"
  static let capacity = 1000

  /// What is to be written; nil when the object that is there says it already.
  static func desired(
    for service: Service, pods: [Pod], existing: Endpoints?, trigger: Time?
  ) -> Endpoints? {
    let (subsets, truncated) = truncate(subsets(for: service, pods: pods))
    var endpoints = existing ?? Endpoints()
    endpoints.metadata.name = service.metadata.name
    endpoints.metadata.namespace = service.metadata.namespace
    endpoints.subsets = subsets
    endpoints.metadata.labels = service.metadata.labels
    endpoints.metadata.labels[managedBy] = "endpoint-controller"
    endpoints.metadata.labels[PodEndpoints.headlessLabel] = PodEndpoints.isHeadless(service) ? "" : nil
    endpoints.metadata.annotations[overCapacity] = truncated ? "truncated" : nil
    if let existing, existing.subsets == subsets, existing.metadata.labels == endpoints.metadata.labels,
      existing.metadata.annotations[overCapacity] == endpoints.metadata.annotations[overCapacity]
    {
      return nil
    }
    endpoints.metadata.annotations[PodEndpoints.triggerTime] = trigger?.description
    return endpoints
  }

  private struct Port: Hashable {
    var name: String
    var port: Int32
    var proto: String
    var appProtocol: String?
  }

  /// One subset for each set of ports, as few as possible, in a fixed order.
  static func subsets(for service: Service, pods: [Pod]) -> [EndpointSubset] {
    var ready: [[Port]: [String: EndpointAddress]] = [:]
    var notReady: [[Port]: [String: EndpointAddress]] = [:]
    // First, which ports each address has in each state; then addresses with the same ports together.
    var portsOf: [String: (address: EndpointAddress, isReady: Bool, ports: Set<Port>)] = [:]
    let wantsIPv6 = service.spec.ipFamilies.first == "IPv6"
    for pod in pods
    where PodEndpoints.counts(pod, includingTerminating: service.spec.publishNotReadyAddresses) {
      guard let ip = PodEndpoints.addresses(pod).first(where: { PodEndpoints.isIPv6($0) == wantsIPv6 }) else {
        continue
      }
      var ports: Set<Port> = []
      for port in service.spec.ports {
        guard let number = PodEndpoints.port(port, on: pod) else { continue }
        ports.insert(
          Port(
            name: port.name, port: number, proto: port.protocol.isEmpty ? "TCP" : port.protocol,
            appProtocol: port.appProtocol))
      }
      // A headless Service may have no ports at all; otherwise a pod without any is no endpoint.
      if ports.isEmpty, !(PodEndpoints.isHeadless(service) && service.spec.ports.isEmpty) { continue }
      let address = EndpointAddress {
        $0.ip = ip
        $0.nodeName = pod.spec.nodeName.isEmpty ? nil : pod.spec.nodeName
        $0.targetRef = PodEndpoints.reference(to: pod)
        if PodEndpoints.hasHostname(pod, service) { $0.hostname = pod.spec.hostname }
      }
      let isReady = service.spec.publishNotReadyAddresses || pod.isReady
      portsOf[pod.metadata.uid + ip] = (address, isReady, ports)
    }
    for entry in portsOf.values {
      let key = entry.ports.sorted(by: precedes)
      let id = entry.address.ip + (entry.address.targetRef?.uid ?? "")
      if entry.isReady {
        ready[key, default: [:]][id] = entry.address
      } else {
        notReady[key, default: [:]][id] = entry.address
      }
    }
    let keys = Set(ready.keys).union(notReady.keys).sorted { a, b in
      a.lexicographicallyPrecedes(b, by: precedes)
    }
    return keys.map { key in
      EndpointSubset {
        $0.addresses = sorted(ready[key])
        $0.notReadyAddresses = sorted(notReady[key])
        $0.ports = key.map { port in
          EndpointPort {
            $0.name = port.name
            $0.port = port.port
            $0.protocol = port.proto
            $0.appProtocol = port.appProtocol
          }
        }
      }
    }
  }

  private static func sorted(_ addresses: [String: EndpointAddress]?) -> [EndpointAddress] {
    (addresses ?? [:]).values.sorted { a, b in
      a.ip == b.ip ? (a.targetRef?.uid ?? "") < (b.targetRef?.uid ?? "") : a.ip < b.ip
    }
  }

  private static func precedes(_ a: Port, _ b: Port) -> Bool {
    (a.name, a.port, a.proto) < (b.name, b.port, b.proto)
  }

  /// Ready addresses are kept before others, up to the capacity.
  private static func truncate(_ subsets: [EndpointSubset]) -> ([EndpointSubset], Bool) {
    let total = subsets.reduce(0) { $0 + $1.addresses.count + $1.notReadyAddresses.count }
    guard total > capacity else { return (subsets, false) }
    var room = capacity
    var result = subsets
    for index in result.indices {
      result[index].addresses = Array(result[index].addresses.prefix(room))
      room -= result[index].addresses.count
    }
    for index in result.indices {
      result[index].notReadyAddresses = Array(result[index].notReadyAddresses.prefix(room))
      room -= result[index].notReadyAddresses.count
    }
    return (result.filter { !$0.addresses.isEmpty || !$0.notReadyAddresses.isEmpty }, true)
  }
}
