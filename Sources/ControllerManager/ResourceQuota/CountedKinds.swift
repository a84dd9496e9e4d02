import API
import APIMachinery
import Client
import Logging
import Synchronization

/// Counts objects of kinds that quotas name, custom ones too, by watching their metadata from when the first quota asks.
final class CountedKinds: Sendable {
  private struct Monitor: Sendable {
    let informer: Informer<PartialObjectMetadata>
    let task: Task<Void, Never>
  }
  private let monitors = Mutex<[GroupResource: Monitor]>([:])
  private let client: APIClient
  private let logger: Logger
  private let freed: @Sendable (_ namespace: String) -> Void

  /// `freed` is called when an object has gone.
  init(client: APIClient, logger: Logger, freed: @escaping @Sendable (String) -> Void) {
    self.client = client
    self.logger = logger
    self.freed = freed
  }

  /// Sees to it that kinds are watched; false until all of them are known. A kind that nobody serves has no objects.
  func watch(_ kinds: Set<GroupResource>) async throws -> Bool {
    let missing = monitors.withLock { monitors in kinds.filter { monitors[$0] == nil } }
    if !missing.isEmpty {
      let found = try await Discovery.fetch(client)
      for resource in found.resources
      where missing.contains(resource.groupResource) && resource.location.namespaced
        && resource.verbs.isSuperset(of: ["list", "watch"])
      {
        start(resource)
      }
    }
    return monitors.withLock { monitors in kinds.allSatisfy { monitors[$0]?.informer.hasSynced ?? true } }
  }

  private func start(_ resource: Discovery.Resource) {
    let informer = Informer<PartialObjectMetadata>(
      client: client, location: resource.location, accept: PartialObjectMetadata.watchAccept,
      listAccept: PartialObjectMetadata.listAccept, logger: logger,
      transform: { object in
        let full = object.metadata
        object.metadata = ObjectMeta {
          $0.name = full.name
          $0.namespace = full.namespace
          $0.uid = full.uid
          $0.resourceVersion = full.resourceVersion
        }
      })
    informer.addHandler { [freed] event in
      if case .deleted(let object) = event { freed(object.metadata.namespace) }
    }
    monitors.withLock { monitors in
      guard monitors[resource.groupResource] == nil else { return }
      monitors[resource.groupResource] = Monitor(informer: informer, task: Task { await informer.run() })
    }
  }

  func count(_ kind: GroupResource, namespace: String) -> Int {
    monitors.withLock { $0[kind] }?.informer.lister.list(namespace: namespace).count ?? 0
  }

  func stop() {
    for monitor in monitors.withLock({ Array($0.values) }) { monitor.task.cancel() }
  }
}
