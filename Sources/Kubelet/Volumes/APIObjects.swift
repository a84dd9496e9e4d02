import API
import Client
import Logging
import Synchronization

/// Reads volumes' objects from the API. ConfigMaps and Secrets that pods refer to are watched one by one, so that
/// the node needs no right to see others, and a change reaches the pods' volumes at once.
final class APIObjects: VolumeObjects {
  private struct Watched: Sendable {
    var task: Task<Void, Never>
    var waitForSync: @Sendable () async throws -> Void
    var configMap: (@Sendable () -> ConfigMap?)?
    var secret: (@Sendable () -> Secret?)?
  }

  private struct Key: Hashable {
    var kind: String
    var object: ObjectKey
  }

  private let client: APIClient
  private let tokens: TokenManager
  private let onChange: @Sendable (_ namespace: String, _ kind: String, _ name: String) -> Void
  private let watched = Mutex<[Key: Watched]>([:])
  private let logger: Logger

  init(
    client: APIClient, logger: Logger, clock: @escaping @Sendable () -> ContinuousTime,
    onChange: @escaping @Sendable (String, String, String) -> Void
  ) {
    self.client = client
    self.logger = logger
    self.onChange = onChange
    tokens = TokenManager(client: client, clock: clock)
  }

  func configMap(_ namespace: String, _ name: String) async throws -> ConfigMap? {
    let entry = watch(ConfigMap.self, namespace, name) { informer in
      (configMap: { informer.lister.get(namespace: namespace, name: name) }, secret: nil)
    }
    try await Self.bounded { try await entry.waitForSync() }
    if let held = entry.configMap?() { return held }
    // Not seen yet is not proof of absence: ask once more, directly.
    return try await find { try await self.client.get(ConfigMap.self, namespace: namespace, name: name) }
  }

  func secret(_ namespace: String, _ name: String) async throws -> Secret? {
    let entry = watch(Secret.self, namespace, name) { informer in
      (configMap: nil, secret: { informer.lister.get(namespace: namespace, name: name) })
    }
    try await Self.bounded { try await entry.waitForSync() }
    if let held = entry.secret?() { return held }
    return try await find { try await self.client.get(Secret.self, namespace: namespace, name: name) }
  }

  func claim(_ namespace: String, _ name: String) async throws -> PersistentVolumeClaim? {
    try await find { try await self.client.get(PersistentVolumeClaim.self, namespace: namespace, name: name) }
  }

  func persistentVolume(_ name: String) async throws -> PersistentVolume? {
    try await find { try await self.client.get(PersistentVolume.self, name: name) }
  }

  func token(_ pod: Pod, audience: String, expirationSeconds: Int64) async throws -> String {
    try await tokens.token(pod, audience: audience, expirationSeconds: expirationSeconds)
  }

  /// Ends the watches of objects that no pod refers to any more.
  func retain(_ pods: [Pod]) {
    var wanted: Set<Key> = []
    for pod in pods {
      for (kind, name) in references(of: pod) {
        wanted.insert(Key(kind: kind, object: ObjectKey(namespace: pod.metadata.namespace, name: name)))
      }
    }
    let ended = watched.withLock { all in
      let gone = all.keys.filter { !wanted.contains($0) }
      return gone.compactMap { all.removeValue(forKey: $0) }
    }
    for entry in ended { entry.task.cancel() }
    tokens.retain(uids: Set(pods.map(\.metadata.uid)))
  }

  func stop() { retain([]) }

  private func watch<T: APIObject>(
    _ type: T.Type, _ namespace: String, _ name: String,
    _ readers: (Informer<T>) -> (configMap: (@Sendable () -> ConfigMap?)?, secret: (@Sendable () -> Secret?)?)
  ) -> Watched {
    let key = Key(kind: T.kind, object: ObjectKey(namespace: namespace, name: name))
    return watched.withLock { all in
      if let known = all[key] { return known }
      let informer = Informer<T>(
        client: client, namespace: namespace, fieldSelector: "metadata.name=\(name)", logger: logger)
      let onChange = onChange
      informer.addHandler { [weak informer] event in
        // The first state is what its readers are waiting for; anything later is news to the pods.
        if case .added = event, informer?.hasSynced != true { return }
        onChange(namespace, T.kind, name)
      }
      let readers = readers(informer)
      let entry = Watched(
        // Not structured: the watch lives as long as some pod refers to the object; `retain` ends it.
        task: Task { await informer.run() }, waitForSync: { try await informer.waitForSync() },
        configMap: readers.configMap, secret: readers.secret)
      all[key] = entry
      return entry
    }
  }

  private func find<T: Sendable>(_ body: () async throws -> T) async throws -> T? {
    do {
      return try await body()
    } catch let error as StatusError where error.code == 404 {
      return nil
    }
  }

  /// A server that does not answer must not hold a pod's worker for ever.
  private static func bounded(_ body: @escaping @Sendable () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask(operation: body)
      group.addTask { try await Task.sleep(for: .seconds(10)) }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}

/// The ConfigMaps and Secrets that a pod refers to, by kind and name.
func references(of pod: Pod) -> [(kind: String, name: String)] {
  var out: [(String, String)] = []
  for volume in pod.spec.volumes {
    if let source = volume.configMap { out.append(("ConfigMap", source.name)) }
    if let source = volume.secret { out.append(("Secret", source.secretName)) }
    for part in volume.projected?.sources ?? [] {
      if let source = part.configMap { out.append(("ConfigMap", source.name)) }
      if let source = part.secret { out.append(("Secret", source.name)) }
    }
  }
  for container in pod.allContainers {
    for source in container.envFrom {
      if let map = source.configMapRef { out.append(("ConfigMap", map.name)) }
      if let secret = source.secretRef { out.append(("Secret", secret.name)) }
    }
    for variable in container.env {
      if let key = variable.valueFrom?.configMapKeyRef { out.append(("ConfigMap", key.name)) }
      if let key = variable.valueFrom?.secretKeyRef { out.append(("Secret", key.name)) }
    }
  }
  for secret in pod.spec.imagePullSecrets { out.append(("Secret", secret.name)) }
  return out
}
