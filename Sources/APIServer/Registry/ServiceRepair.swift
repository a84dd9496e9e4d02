import API
import APIMachinery
import APIMeta
import Logging
import Storage
import Synchronization

// Services and the claims of their addresses and ports are written one after the other. What a server that died
// between the two left is put right here, by every server, as upstream's do.
extension Registry {
  private static let repairInterval = Duration.seconds(60)

  /// Repairs every minute, and at once when somebody deleted the address object of a service, until the task is
  /// cancelled.
  func repairServicesForEver() async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        while !Task.isCancelled {
          do { try await Task.sleep(for: Self.repairInterval) } catch { return }
          await self.repairServicesOrTell(collect: true)
        }
      }
      group.addTask {
        for await _ in self.addresses.losses { await self.repairServicesOrTell(collect: false) }
      }
    }
  }

  func repairServicesOrTell(collect: Bool) async {
    do { try await repairServices(collect: collect) } catch is CancellationError {} catch {
      logger.warning("service addresses and ports are not checked", metadata: ["error": "\(error)"])
    }
  }

  /// Claims for every service what it has. With `collect` also removes the claims that no service has backed at this and
  /// the previous collection: one alone may belong to a service that is being written.
  func repairServices(collect: Bool) async throws {
    // Claims are read before services: a claim that is missing here cannot have been released since, as far as the
    // service still has what it is for.
    let ports = try await storage.list(prefix: ServiceClaims.ports).items
    let objects = list(IPAddress.self)
    let portClaims = Dictionary(ports.map { ($0.key, $0) }) { first, _ in first }
    let addressClaims = Dictionary(objects.map { ($0.metadata.name, $0) }) { first, _ in first }
    try await catchUp()
    let services = list(Service.self)
    var state = RepairState(services)
    for service in services {
      try await repairAddresses(service, addressClaims, &state)
      try await repairPorts(service, portClaims, &state)
    }
    if collect { try await self.collect(ports, objects, state) }
  }

  /// Who has what.
  private struct RepairState {
    var addresses: [UInt32: ServiceClaims.Owner] = [:]
    var ports: [Int32: ServiceClaims.Owner] = [:]
    var claims = ServiceClaims()

    init(_ services: [Service]) {
      // Of two services with one address the older one is right.
      let byAge = services.sorted {
        ($0.metadata.creationTimestamp, $0.metadata.uid) > ($1.metadata.creationTimestamp, $1.metadata.uid)
      }
      for service in byAge {
        let held = ServiceAllocator.held(service)
        for address in held.addresses { addresses[address] = ServiceClaims.Owner(service) }
        for port in held.ports { ports[port] = ServiceClaims.Owner(service) }
      }
    }
  }

  private func repairAddresses(
    _ service: Service, _ objects: [String: IPAddress], _ state: inout RepairState
  ) async throws {
    guard let resource = resource(IPAddress.self) else { return }
    let owner = ServiceClaims.Owner(service)
    for address in ServiceAllocator.held(service).addresses where addresses.range.contains(address) {
      let text = IPv4Range.text(address)
      guard state.addresses[address] == owner else {
        complain("the cluster IP is assigned to several services; please recreate this one", service, text)
        continue
      }
      if let present = objects[text] {
        if Self.service(of: present) == owner { continue }
        guard Self.service(of: present) != nil else {
          complain("the cluster IP is in use by something that is no service", service, text)
          continue
        }
        // The service that it names does not have it.
        let revision = Revision(present.metadata.resourceVersion) ?? 0
        _ = try await storage.delete(storageKey(resource, text), if: .revision(revision))
      }
      if try await claim(address: address, for: owner, &state.claims, dryRun: false) {
        logger.notice(
          "claimed a service's address",
          metadata: ["service": "\(owner.namespace)/\(owner.name)", "address": "\(text)"])
      }
    }
  }

  private func repairPorts(
    _ service: Service, _ claims: [String: StoredValue], _ state: inout RepairState
  ) async throws {
    let owner = ServiceClaims.Owner(service)
    for port in ServiceAllocator.held(service).ports where addresses.ports.contains(Int(port)) {
      guard state.ports[port] == owner else {
        complain("the node port is assigned to several services; please recreate this one", service, "\(port)")
        continue
      }
      let key = ServiceClaims.key(port: port)
      if let present = claims[key] {
        if ServiceClaims.Owner(claim: present.value) == owner { continue }
        _ = try await storage.put(key, owner.claim, if: .revision(present.modRevision), ttl: nil)
      } else if try await claim(port: port, for: owner, &state.claims, dryRun: false) {
        logger.notice(
          "claimed a service's node port", metadata: ["service": "\(owner.namespace)/\(owner.name)", "port": "\(port)"])
      }
    }
  }

  private func collect(_ ports: [StoredValue], _ objects: [IPAddress], _ state: RepairState) async throws {
    var idle: [String: Revision] = [:]
    for claim in ports {
      let port = Int32(claim.key.dropFirst(ServiceClaims.ports.count)) ?? 0
      if state.ports[port] == nil { idle[claim.key] = claim.modRevision }
    }
    if let resource = resource(IPAddress.self) {
      for object in objects where object.metadata.labels[Self.addressManagerLabel] == Self.addressManager {
        guard let address = IPv4Range.parse(object.metadata.name), Self.service(of: object) != nil,
          state.addresses[address] == nil
        else { continue }
        idle[storageKey(resource, object.metadata.name)] = Revision(object.metadata.resourceVersion) ?? 0
      }
    }
    let known = addresses.suspects.withLock { suspects in
      defer { suspects = idle }
      return suspects
    }
    for (key, revision) in idle where known[key] == revision {
      _ = try await storage.delete(key, if: .revision(revision))
      logger.notice("removed a claim without a service", metadata: ["key": "\(key)"])
    }
  }

  private func complain(_ what: String, _ service: Service, _ value: String) {
    logger.error(
      "\(what)", metadata: ["service": "\(service.metadata.namespace)/\(service.metadata.name)", "value": "\(value)"])
  }
}
