import API
import APIMachinery

/// What is to be done to a Service's slices so that they show its pods: pure.
///
/// Endpoints stay in the slice they are in; slices that change anyway take new ones first, then one unchanged
/// slice with room for all that is left, then new slices: few writes, each watched by every node.
struct EndpointSliceDecision: Sendable, Equatable {
  var create: [EndpointSlice] = []
  var update: [EndpointSlice] = []
  var delete: [EndpointSlice] = []
  /// Why endpoints could not be given to zones as the Service asks.
  var notices: [TopologyAllocation.Notice] = []

  static let serviceName = "kubernetes.io/service-name"
  static let managedByLabel = "endpointslice.kubernetes.io/managed-by"
  static let manager = "endpointslice-controller.k8s.io"
  private static let skippedLabels: Set<String> = [serviceName, managedByLabel, PodEndpoints.headlessLabel]

  /// Decides for a Service, the pods it selects, the zones of nodes by name, and its slices; `shares` are the zones'
  /// parts of the cluster.
  static func decide(
    _ service: Service, pods: [Pod], zones: [String: String], existing: [EndpointSlice], trigger: Time?,
    capacity: Int, shares: [String: Double]? = nil
  ) -> EndpointSliceDecision {
    var decision = EndpointSliceDecision()
    let families = service.spec.ipFamilies.isEmpty ? ["IPv4"] : service.spec.ipFamilies
    for slice in existing where !families.contains(slice.addressType) { decision.delete.append(slice) }
    for family in families {
      let present = existing.filter { $0.addressType == family }
      var wanted = wanted(service, family, pods, zones)
      if TopologyAllocation.isWanted(service) {
        decision.hint(&wanted, family: family, existing: present, shares: shares)
      }
      decision.reconcile(
        service, family: family, wanted: wanted, existing: present, trigger: trigger, capacity: capacity)
    }
    return decision
  }

  /// Says which zone each endpoint is for; those that are in some slice keep theirs where that makes sense.
  private mutating func hint(
    _ groups: inout [[DiscoveryEndpointPort]: [Endpoint]], family: String, existing: [EndpointSlice],
    shares: [String: Double]?
  ) {
    var before: [String: String] = [:]
    for endpoint in existing.flatMap(\.endpoints) {
      before[Self.identity(endpoint)] = endpoint.hints?.forZones.first?.name
    }
    let order = groups.keys.sorted { Self.text($0) < Self.text($1) }
    let all = order.flatMap { (groups[$0] ?? []).sorted { Self.identity($0) < Self.identity($1) } }
    let (hinted, notice) = TopologyAllocation.hint(
      all, before: { before[Self.identity($0)] }, shares: shares, family: family)
    if let notice { notices.append(notice) }
    var rest = hinted[...]
    for ports in order {
      let count = groups[ports]?.count ?? 0
      groups[ports] = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
  }

  // MARK: What should be there

  private static func wanted(
    _ service: Service, _ family: String, _ pods: [Pod], _ zones: [String: String]
  ) -> [[DiscoveryEndpointPort]: [Endpoint]] {
    var groups: [[DiscoveryEndpointPort]: [Endpoint]] = [:]
    for pod in pods where PodEndpoints.counts(pod, includingTerminating: true) {
      let addresses = PodEndpoints.addresses(pod).filter { PodEndpoints.isIPv6($0) == (family == "IPv6") }
      guard !addresses.isEmpty else { continue }
      let ports = ports(service, pod)
      let endpoint = Endpoint {
        $0.addresses = addresses
        $0.conditions.serving = pod.isReady
        $0.conditions.terminating = pod.isBeingDeleted
        // Whoever knows no "terminating" must not be sent to a pod that goes, unless he asked for such.
        $0.conditions.ready = service.spec.publishNotReadyAddresses || (pod.isReady && !pod.isBeingDeleted)
        $0.targetRef = PodEndpoints.reference(to: pod)
        if !pod.spec.nodeName.isEmpty {
          $0.nodeName = pod.spec.nodeName
          $0.zone = zones[pod.spec.nodeName]
        }
        if PodEndpoints.hasHostname(pod, service) { $0.hostname = pod.spec.hostname }
        // An annotation that asks for hints by capacity goes before the field that asks for plain ones.
        if !TopologyAllocation.isWanted(service) { $0.hints = hints(service.spec.trafficDistribution, for: $0) }
      }
      groups[ports, default: []].append(endpoint)
    }
    return groups
  }

  /// Who is to prefer an endpoint under a Service's traffic distribution. Only ready ones are hinted: the others have
  /// no say in whether all are.
  private static func hints(_ distribution: String?, for endpoint: Endpoint) -> EndpointHints? {
    guard endpoint.conditions.ready ?? true else { return nil }
    let zones = endpoint.zone.map { zone in [ForZone { $0.name = zone }] } ?? []
    switch distribution {
    case "PreferClose", "PreferSameZone":
      return zones.isEmpty ? nil : EndpointHints { $0.forZones = zones }
    case "PreferSameNode":
      guard let node = endpoint.nodeName else { return nil }
      return EndpointHints {
        $0.forNodes = [ForNode { $0.name = node }]
        $0.forZones = zones
      }
    default: return nil
    }
  }

  private static func ports(_ service: Service, _ pod: Pod) -> [DiscoveryEndpointPort] {
    service.spec.ports.compactMap { port in
      PodEndpoints.port(port, on: pod).map { number in
        DiscoveryEndpointPort {
          $0.name = port.name
          $0.port = number
          $0.protocol = port.protocol.isEmpty ? "TCP" : port.protocol
          $0.appProtocol = port.appProtocol
        }
      }
    }
  }

  // MARK: How to get there

  private mutating func reconcile(
    _ service: Service, family: String, wanted: [[DiscoveryEndpointPort]: [Endpoint]], existing: [EndpointSlice],
    trigger: Time?, capacity: Int
  ) {
    let before = (create: create.count, delete: delete.count)
    let byPorts = Dictionary(grouping: existing) { Self.normalized($0.ports) }
    for (ports, slices) in byPorts where wanted[ports] == nil { delete += slices }
    for (ports, endpoints) in wanted.sorted(by: { Self.text($0.key) < Self.text($1.key) }) {
      fill(
        service, family: family, ports: ports, endpoints: endpoints, slices: byPorts[ports] ?? [],
        trigger: trigger, capacity: capacity)
    }
    // A Service without endpoints still has a slice: its absence would mean "not looked at yet".
    let goesEmpty = existing.count == delete.count - before.delete && create.count == before.create
    if goesEmpty {
      let placeholder = Self.slice(service, family: family, ports: [], endpoints: [], trigger: trigger)
      if let index = delete.indices.first(where: {
        $0 >= before.delete && delete[$0].endpoints.isEmpty && delete[$0].ports.isEmpty
          && delete[$0].metadata.labels == placeholder.metadata.labels
      }) {
        delete.remove(at: index)
      } else {
        create.append(placeholder)
      }
    }
  }

  private mutating func fill(
    _ service: Service, family: String, ports: [DiscoveryEndpointPort], endpoints: [Endpoint],
    slices: [EndpointSlice], trigger: Time?, capacity: Int
  ) {
    var missing = Dictionary(endpoints.map { (Self.identity($0), $0) }, uniquingKeysWith: { $1 })
    var unchanged: [EndpointSlice] = []
    var changed: [EndpointSlice] = []
    for slice in slices.sorted(by: { $0.metadata.name < $1.metadata.name }) {
      var kept: [Endpoint] = []
      var differs = false
      for endpoint in slice.endpoints {
        guard let now = missing.removeValue(forKey: Self.identity(endpoint)) else {
          differs = true
          continue
        }
        if now != endpoint { differs = true }
        kept.append(now)
      }
      var candidate = slice
      candidate.endpoints = kept
      let labels = Self.labels(for: service, over: slice.metadata.labels)
      let misowned = !slice.metadata.ownerReferences.contains { $0.uid == service.metadata.uid }
      if labels != slice.metadata.labels || misowned {
        candidate.metadata.labels = labels
        candidate.metadata.ownerReferences = [.controller(of: service)]
        differs = true
      }
      if kept.isEmpty {
        delete.append(slice)
      } else if differs {
        changed.append(candidate)
      } else {
        unchanged.append(slice)
      }
    }

    var rest = missing.values.sorted { Self.identity($0) < Self.identity($1) }
    for index in changed.indices where !rest.isEmpty {
      let room = max(0, capacity - changed[index].endpoints.count)
      changed[index].endpoints += rest.prefix(room)
      rest.removeFirst(min(room, rest.count))
    }
    if !rest.isEmpty,
      let index = unchanged.indices.filter({ capacity - unchanged[$0].endpoints.count >= rest.count })
        .max(by: { unchanged[$0].endpoints.count < unchanged[$1].endpoints.count })
    {
      var slice = unchanged.remove(at: index)
      slice.endpoints += rest
      rest = []
      changed.append(slice)
    }
    while !rest.isEmpty {
      create.append(
        Self.slice(service, family: family, ports: ports, endpoints: Array(rest.prefix(capacity)), trigger: trigger))
      rest.removeFirst(min(capacity, rest.count))
    }
    for var slice in changed {
      slice.metadata.annotations[PodEndpoints.triggerTime] = trigger?.description
      update.append(slice)
    }
  }

  // MARK: Parts

  private static func slice(
    _ service: Service, family: String, ports: [DiscoveryEndpointPort], endpoints: [Endpoint], trigger: Time?
  ) -> EndpointSlice {
    EndpointSlice {
      $0.metadata.generateName = service.metadata.name + "-"
      $0.metadata.namespace = service.metadata.namespace
      $0.metadata.labels = labels(for: service, over: [:])
      $0.metadata.ownerReferences = [.controller(of: service)]
      $0.metadata.annotations[PodEndpoints.triggerTime] = trigger?.description
      $0.addressType = family
      $0.ports = ports
      $0.endpoints = endpoints
    }
  }

  static func labels(for service: Service, over old: [String: String]) -> [String: String] {
    var labels = service.metadata.labels.filter { !skippedLabels.contains($0.key) }
    labels[serviceName] = service.metadata.name
    labels[managedByLabel] = manager
    labels[PodEndpoints.headlessLabel] = PodEndpoints.isHeadless(service) ? "" : nil
    return labels
  }

  /// An endpoint is the same when it is the same pod at the same addresses.
  private static func identity(_ endpoint: Endpoint) -> String {
    (endpoint.targetRef?.uid ?? "") + "|" + endpoint.addresses.joined(separator: ",")
  }

  /// The server may have filled in defaults.
  private static func normalized(_ ports: [DiscoveryEndpointPort]) -> [DiscoveryEndpointPort] {
    ports.map { port in
      var port = port
      port.name = port.name ?? ""
      port.protocol = port.protocol ?? "TCP"
      return port
    }
  }

  private static func text(_ ports: [DiscoveryEndpointPort]) -> String {
    ports.map { "\($0.name ?? "")/\($0.port ?? 0)/\($0.protocol ?? "")" }.joined(separator: ",")
  }
}
