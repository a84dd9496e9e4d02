import API
import APIMachinery
import APIMeta
import Logging
import Storage

/// What one request has taken for its service, to be given back if the service is not written.
///
///     propose ──▶ claim in the store (if absent) ──▶ write the service ──committed──▶ release what it dropped
///                        │                                   │
///                     taken: propose again                refused ──▶ give back
///
/// A cluster address is claimed by its IPAddress object, a node port by a key of its own; the store lets one server win.
/// A server that dies between two steps leaves a claim without a service behind, which `repairServices` removes.
struct ServiceClaims: Sendable {
  /// Where node ports are claimed.
  static let ports = "/registry/ranges/servicenodeports/"

  fileprivate(set) var made: [(key: String, revision: Revision)] = []
  fileprivate var triedAddresses: Set<UInt32> = []
  fileprivate var triedPorts: Set<Int32> = []

  static func key(port: Int32) -> String { ports + String(port) }

  /// Which service a node port is claimed for.
  struct Owner: Hashable, Sendable {
    var namespace: String
    var name: String

    init(_ service: Service) {
      namespace = service.metadata.namespace
      name = service.metadata.name
    }

    init(_ parent: ParentReference) {
      namespace = parent.namespace
      name = parent.name
    }

    init?(claim bytes: [UInt8]) {
      guard let tree = try? JSONValue(parsing: bytes), let namespace = tree["namespace"]?.stringValue,
        let name = tree["name"]?.stringValue
      else { return nil }
      self.namespace = namespace
      self.name = name
    }

    var claim: [UInt8] {
      JSONValue.object(["namespace": .string(namespace), "name": .string(name)]).encoded()
    }
  }

  /// What became of the service.
  enum Outcome: Sendable {
    case written, refused
    /// The store did not answer: the service may have been written all the same.
    case unknown

    init(of error: any Error) { self = error is StatusError ? .refused : .unknown }
  }
}

extension Registry {
  static let addressManager = "ipallocator.k8s.io"
  static let addressManagerLabel = "ipaddress.kubernetes.io/managed-by"

  /// Claims an address; false if somebody has it.
  func claim(
    address: UInt32, for owner: ServiceClaims.Owner, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> Bool {
    if dryRun { return !addresses.seemsTaken(address: address) }
    guard let resource = resource(IPAddress.self) else { return true }
    var object = IPAddress()
    object.metadata.name = IPv4Range.text(address)
    object.metadata.labels = [
      "ipaddress.kubernetes.io/ip-family": "IPv4", Self.addressManagerLabel: Self.addressManager,
    ]
    object.spec.parentRef = ParentReference {
      $0.resource = Service.resource
      $0.namespace = owner.namespace
      $0.name = owner.name
    }
    let context = WriteContext(internal: resource, namespace: "", name: object.metadata.name)
    do {
      let stored = try await create(context, .typed(object))
      claims.made.append((storageKey(resource, stored.key), stored.revision))
      return true
    } catch let error as StatusError where error.isAlreadyExists { return false }
  }

  /// Claims a node port; false if somebody has it.
  func claim(
    port: Int32, for owner: ServiceClaims.Owner, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> Bool {
    if dryRun { return !addresses.seemsTaken(port: port) }
    let key = ServiceClaims.key(port: port)
    switch try await storage.put(key, owner.claim, if: .absent, ttl: nil) {
    case .committed(let value, _):
      claims.made.append((key, value.modRevision))
      return true
    case .conflict: return false
    }
  }

  /// Claims any free address; nil when there is none.
  func claimAddress(
    for owner: ServiceClaims.Owner, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> UInt32? {
    while let address = addresses.freeAddress(except: claims.triedAddresses) {
      claims.triedAddresses.insert(address)
      if try await claim(address: address, for: owner, &claims, dryRun: dryRun) { return address }
    }
    return nil
  }

  /// Claims any free node port; nil when there is none.
  func claimPort(
    for owner: ServiceClaims.Owner, _ claims: inout ServiceClaims, dryRun: Bool
  ) async throws -> Int32? {
    while let port = addresses.freePort(except: claims.triedPorts) {
      claims.triedPorts.insert(port)
      if try await claim(port: port, for: owner, &claims, dryRun: dryRun) { return port }
    }
    return nil
  }

  /// Gives back what a service that was not written had claimed.
  func settle(_ claims: ServiceClaims, _ outcome: ServiceClaims.Outcome) async {
    guard case .refused = outcome else { return }
    for claim in claims.made {
      do { _ = try await storage.delete(claim.key, if: .revision(claim.revision)) } catch {
        logger.debug("a claim is left to be repaired", metadata: ["key": "\(claim.key)", "error": "\(error)"])
      }
    }
  }

  /// Gives back what a service had and, after a change or its deletion, no longer has.
  func release(_ before: LiveObject, now after: LiveObject?) async {
    guard let old = before.as(Service.self) else { return }
    let had = ServiceAllocator.held(old)
    let has = ServiceAllocator.held(after?.as(Service.self) ?? Service())
    var keys = had.ports.subtracting(has.ports).map(ServiceClaims.key(port:))
    if let resource = resource(IPAddress.self) {
      keys += had.addresses.subtracting(has.addresses).map { storageKey(resource, IPv4Range.text($0)) }
    }
    for key in keys {
      do {
        guard let claim = try await storage.get(key), self.owner(of: claim) == ServiceClaims.Owner(old) else {
          continue
        }
        _ = try await storage.delete(key, if: .revision(claim.modRevision))
      } catch {
        logger.debug("a claim is left to be repaired", metadata: ["key": "\(key)", "error": "\(error)"])
      }
    }
  }

  /// The service that a stored claim, of either kind, is for; nil if it is for something else.
  private func owner(of claim: StoredValue) -> ServiceClaims.Owner? {
    if claim.key.hasPrefix(ServiceClaims.ports) { return ServiceClaims.Owner(claim: claim.value) }
    return (try? IPAddress.decode(claim.value)).flatMap(Self.service(of:))
  }

  /// The service that an address object is for.
  static func service(of address: IPAddress) -> ServiceClaims.Owner? {
    guard let parent = address.spec.parentRef, parent.group.isEmpty, parent.resource == Service.resource else {
      return nil
    }
    return ServiceClaims.Owner(parent)
  }
}
