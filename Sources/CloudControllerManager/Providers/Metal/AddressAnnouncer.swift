import API
public import Client
import Linux
public import Logging

/// One node's part in answering for the addresses of load balancers: it reckons which of them are its own, and answers
/// address resolution for these on the interface that is on their network. It reads Services, EndpointSlices and Nodes,
/// and writes nothing.
public final class AddressAnnouncer: Sendable {
  /// An address of an interface.
  struct Interface: Sendable {
    var name: String
    var address: String
    /// The length of the network's prefix in bits.
    var prefix: Int
  }

  private let nodeName: String
  private let nodeAddress: String
  private let services: Informer<Service>
  private let nodes: Informer<Node>
  private let slices: Informer<EndpointSlice>
  private let queue = WorkQueue<String>("address_announcer")
  private let logger: Logger
  private let interfaces: @Sendable () -> [Interface]

  /// Makes a node's announcer; it does nothing until `run`.
  public convenience init(nodeName: String, nodeAddress: String, informers: InformerFactory, logger: Logger) {
    self.init(
      nodeName: nodeName, nodeAddress: nodeAddress, informers: informers, logger: logger,
      interfaces: {
        HostNetwork.addresses().map { Interface(name: $0.interface, address: $0.address, prefix: $0.prefixLength) }
      })
  }

  init(
    nodeName: String, nodeAddress: String, informers: InformerFactory, logger: Logger,
    interfaces: @escaping @Sendable () -> [Interface]
  ) {
    self.nodeName = nodeName
    self.nodeAddress = nodeAddress
    self.logger = logger
    self.interfaces = interfaces
    services = informers.informer(Service.self)
    nodes = informers.informer(Node.self)
    slices = informers.informer(EndpointSlice.self)
    slices.addIndex(ServingNodes.index, keys: ServingNodes.indexKeys)
    services.addHandler { [queue] event in
      switch event {
      case .updated(let old, let new): if old.spec == new.spec, old.status == new.status { return }
      case .added(let service), .deleted(let service): if service.spec.type != "LoadBalancer" { return }
      }
      queue.add("all")
    }
    nodes.addHandler { [queue] event in
      if case .updated(let old, let new) = event, !ServingNodes.concerns(from: old, to: new) { return }
      queue.add("all")
    }
    slices.addHandler { [queue, lister = services.lister] event in
      guard let key = ServingNodes.owner(event.object), let service = lister.get(key),
        service.spec.type == "LoadBalancer", service.spec.externalTrafficPolicy == "Local"
      else { return }
      queue.add("all")
    }
  }

  /// Runs until the task is cancelled; from then on nothing is answered.
  public func run() async throws {
    try await services.waitForSync()
    try await nodes.waitForSync()
    try await slices.waitForSync()
    let responder = try ARPResponder(logger: logger)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await responder.run() }
      group.addTask { [self] in
        await runWorkers(queue, count: 1, logger: logger) { [self] _ in
          let addresses = own()
          responder.answer(for: addresses)
          // Interfaces come and go without telling us.
          return addresses.isEmpty ? .done : .after(.seconds(10))
        }
      }
    }
  }

  /// The addresses that this node answers for, by interface.
  func own() -> [String: Set<IPv4>] {
    let addresses = SpeakerElection.addresses(
      of: nodeName, services: services.lister.list(), nodes: nodes.lister.list(),
      slices: { [lister = slices.lister] in lister.byIndex(ServingNodes.index, $0.key.description) })
    return addresses.isEmpty ? [:] : Self.place(addresses, interfaces(), nodeAddress: nodeAddress)
  }

  /// Puts addresses on the interfaces whose networks they belong to, and those that belong to none on the interface with
  /// the node's address. Those that an interface has itself, the kernel answers for.
  static func place(
    _ addresses: Set<IPv4>, _ interfaces: [Interface], nodeAddress: String
  ) -> [String: Set<IPv4>] {
    var placed: [String: Set<IPv4>] = [:]
    let own = Set(interfaces.compactMap { IPv4($0.address) })
    for address in addresses.subtracting(own) {
      let range = AddressRange("\(address)/32")
      var names = interfaces.filter { interface in
        guard let range else { return false }
        return interface.prefix < 32
          && AddressRange("\(interface.address)/\(interface.prefix)")?.contains(range) == true
      }.map(\.name)
      if names.isEmpty { names = interfaces.filter { $0.address == nodeAddress }.map(\.name) }
      for name in names { placed[name, default: []].insert(address) }
    }
    return placed
  }
}
