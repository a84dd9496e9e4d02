import APIMachinery
import Logging
import Storage
import Synchronization

/// A store whose values are encrypted on their way in, where the configuration says so, and decrypted on their way out.
final class EncryptedStorage: Storage {
  private let inner: any Storage
  private let configuration: Mutex<EncryptionConfiguration>
  /// By which cipher and key values are encrypted, of those that are.
  private let sealedBy = Mutex<[String: String]>([:])
  private let logger: Logger

  init(_ inner: any Storage, _ configuration: EncryptionConfiguration, logger: Logger) {
    self.inner = inner
    self.configuration = Mutex(configuration)
    self.logger = logger
  }

  /// Encrypts in another way from now on. Values that are stored stay as they are until they are written again.
  func use(_ configuration: EncryptionConfiguration) { self.configuration.withLock { $0 = configuration } }

  private func providers(_ key: String) -> [EncryptionConfiguration.Provider]? {
    let path = key.dropFirst("/registry/".count)
    let resource = path.prefix { $0 != "/" }
    return configuration.withLock { $0.providers(for: resource) }
  }

  private func sealed(_ key: String, _ value: [UInt8]) throws -> [UInt8] {
    guard let first = providers(key)?.first else { return value }
    return try first.seal(value, at: key)
  }

  private static let mark = Array("k8s:enc:".utf8)

  /// `isCurrent`: the value is what its key has now, so that it says how the key is stored.
  private func opened(_ stored: StoredValue, isCurrent: Bool = false) throws -> StoredValue {
    let providers = providers(stored.key)
    guard let providers else {
      // It was encrypted when the configuration still said so: only its key could tell what it is.
      guard stored.value.starts(with: Self.mark) else { return stored }
      throw EncryptionConfiguration.Problem(
        description: "\(stored.key): no matching prefix found: the value is encrypted and nothing says how")
    }
    var result = stored
    let isPlain = !stored.value.starts(with: Self.mark)
    for provider in providers {
      guard provider.cipher == .identity ? isPlain : stored.value.starts(with: provider.prefix) else { continue }
      do { result.value = try provider.open(stored.value, at: stored.key) } catch {
        throw EncryptionConfiguration.Problem(description: "\(stored.key): \(error)")
      }
      if isCurrent { note(stored.key, provider) }
      return result
    }
    // Nothing is ever unreadable for being plain.
    if isPlain {
      if isCurrent { note(stored.key, nil) }
      return stored
    }
    throw EncryptionConfiguration.Problem(description: "\(stored.key): no matching prefix found")
  }

  private func note(_ key: String, _ provider: EncryptionConfiguration.Provider?) {
    let identity = provider?.identity ?? ""
    sealedBy.withLock { $0[key] = identity.isEmpty ? nil : identity }
  }

  /// What cannot be read is left out, and told: the rest of the cluster goes on.
  private func readable(_ stored: StoredValue, isCurrent: Bool = false) -> StoredValue? {
    do { return try opened(stored, isCurrent: isCurrent) } catch {
      logger.error("stored value cannot be decrypted", metadata: ["error": "\(error)"])
      return nil
    }
  }

  private func readable(_ event: StorageEvent) -> StorageEvent? {
    guard let current = readable(event.current, isCurrent: event.kind == .put) else { return nil }
    if event.kind == .delete { note(event.current.key, nil) }
    return StorageEvent(kind: event.kind, current: current, previous: event.previous.flatMap { readable($0) })
  }

  // MARK: Storage

  func follow(
    prefix: String, onSnapshot: @escaping @Sendable ([StoredValue], Revision) -> Void,
    onEvents: @escaping @Sendable ([StorageEvent], Revision) -> Void
  ) throws -> any StorageSubscription {
    try inner.follow(
      prefix: prefix,
      onSnapshot: { [self] values, revision in onSnapshot(values.compactMap { readable($0, isCurrent: true) }, revision)
      },
      onEvents: { [self] events, revision in
        let known = events.compactMap { readable($0) }
        if !known.isEmpty { onEvents(known, revision) }
      })
  }

  func get(_ key: String) async throws -> StoredValue? {
    try await inner.get(key).map { try opened($0, isCurrent: true) }
  }

  func list(prefix: String, after: String?, limit: Int?, at: Revision?) async throws -> StoragePage {
    var page = try await inner.list(prefix: prefix, after: after, limit: limit, at: at)
    page.items = page.items.compactMap { readable($0) }
    return page
  }

  func put(_ key: String, _ value: [UInt8], if precondition: Precondition, ttl: Int?) async throws -> WriteOutcome {
    switch try await inner.put(key, sealed(key, value), if: precondition, ttl: ttl) {
    case .committed(var stored, let previous):
      stored.value = value
      note(key, providers(key)?.first)
      return .committed(stored, previous: previous.flatMap { readable($0) })
    case .conflict(let current): return .conflict(current: current.flatMap { readable($0) })
    }
  }

  func delete(_ key: String, if precondition: Precondition) async throws -> WriteOutcome {
    switch try await inner.delete(key, if: precondition) {
    case .committed(let stored, let previous):
      let plain = readable(stored) ?? stored
      note(key, nil)
      return .committed(plain, previous: previous.flatMap { readable($0) })
    case .conflict(let current): return .conflict(current: current.flatMap { readable($0) })
    }
  }

  func events(prefix: String, after: Revision) async throws -> [StorageEvent] {
    try await inner.events(prefix: prefix, after: after).compactMap { readable($0) }
  }

  func isStale(_ key: String) -> Bool {
    sealedBy.withLock { $0[key] ?? "" } != providers(key)?.first?.identity ?? ""
  }

  var currentRevision: Revision { inner.currentRevision }
  var servesCurrentReads: Bool { inner.servesCurrentReads }
  func latestRevision() async throws -> Revision { try await inner.latestRevision() }
  func reach(_ revision: Revision) async throws { try await inner.reach(revision) }
  func checkHealth() async throws { try await inner.checkHealth() }
  var compactedRevision: Revision { inner.compactedRevision }
  func compact(to revision: Revision) async throws { try await inner.compact(to: revision) }
  func close() async { await inner.close() }
}

/// Reads the configuration again when its file changes.
struct EncryptionReloader: Sendable {
  let path: String
  let storage: EncryptedStorage
  let logger: Logger

  func run() async {
    var last = readWholeFile(path)
    while (try? await Task.sleep(for: .seconds(5))) != nil {
      guard let text = readWholeFile(path), text != last else { continue }
      last = text
      do {
        storage.use(try EncryptionConfiguration(text))
        logger.notice("encryption configuration reloaded")
      } catch { logger.error("encryption configuration not reloaded: \(error)") }
    }
  }
}
