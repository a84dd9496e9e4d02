public import API
public import Logging
import Synchronization

/// One informer per kind, namespace and field selector, shared by all who ask: in one process every component
/// reads the same decoded objects. Whoever makes the factory runs it.
public final class InformerFactory: Sendable {
  private struct Key: Hashable {
    let type: ObjectIdentifier
    let namespace: String?
    let fieldSelector: String?
  }

  private struct Entry: Sendable {
    let informer: any Sendable
    let run: @Sendable () async -> Void
    let waitForSync: @Sendable () async throws -> Void
  }

  /// The client the informers read with.
  public let client: APIClient
  private let strategy: ReflectorMachine.Strategy
  private let logger: Logger
  private let entries = Mutex<[Key: Entry]>([:])
  private let starts: AsyncStream<Entry>
  private let start: AsyncStream<Entry>.Continuation

  /// Makes a factory. Managed fields, which no component reads, are not kept.
  public init(
    client: APIClient, strategy: ReflectorMachine.Strategy = .list, logger: Logger = Logger(label: "informer")
  ) {
    self.client = client
    self.strategy = strategy
    self.logger = logger
    (starts, start) = AsyncStream.makeStream()
  }

  deinit { start.finish() }

  /// The shared informer of a kind.
  public func informer<T: APIObject>(
    _ type: T.Type, namespace: String? = nil, fieldSelector: String? = nil
  ) -> Informer<T> {
    let key = Key(type: ObjectIdentifier(type), namespace: namespace, fieldSelector: fieldSelector)
    let (informer, fresh): (Informer<T>, Entry?) = entries.withLock { entries in
      if let known = entries[key]?.informer as? Informer<T> { return (known, nil) }
      let informer = Informer<T>(
        client: client, namespace: namespace, fieldSelector: fieldSelector, strategy: strategy, logger: logger,
        transform: { object in
          if !object.metadata.managedFields.isEmpty { object.metadata.managedFields = [] }
        })
      let entry = Entry(
        informer: informer, run: { await informer.run() }, waitForSync: { try await informer.waitForSync() })
      entries[key] = entry
      return (informer, entry)
    }
    if let fresh { start.yield(fresh) }
    return informer
  }

  /// Runs every informer asked for before or later, until cancelled. Call it once.
  public func run() async throws {
    await withDiscardingTaskGroup { group in
      for await entry in starts {
        group.addTask { await entry.run() }
      }
      group.cancelAll()
    }
  }

  /// Waits until every informer asked for so far has its first state.
  public func waitForSync() async throws {
    for entry in entries.withLock({ Array($0.values) }) { try await entry.waitForSync() }
  }
}
