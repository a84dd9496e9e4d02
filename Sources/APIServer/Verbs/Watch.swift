import API
import APIMachinery
import DequeModule
import HTTP
import NIOCore
import Protobuf
import Storage
import Synchronization

extension Registry {
  /// A watch of a collection or, by `metadata.name`, of one object.
  func watch(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    var query = try ListQuery(request.query)
    query.watch = true
    guard let cache = resource.cache else { throw StatusError.methodNotSupported(resource.groupResource, "watch") }
    var predicate = try query.predicate(resource, namespace: request.info.namespace)
    if !request.info.name.isEmpty { predicate.name = request.info.name }
    let encoder = WatchEncoder(registry: self, resource: resource, request: request)
    let asked = query.resourceVersion ?? 0
    // Where other servers write too, a client may come with a revision that is not here yet.
    let watcher = Watcher(predicate: predicate, after: asked)

    let initial = query.sendInitialEvents ?? (asked == 0)
    if asked > 0, query.sendInitialEvents == true { try await reach(asked, resource) }
    if query.resourceVersion == nil { _ = try await freshen(.latest, resource) }
    let start: ResourceCache.Start
    if query.sendInitialEvents == true || asked == 0 {
      start = cache.watch(watcher, from: nil)
    } else {
      start = cache.watch(watcher, from: asked)
    }

    var first: [CacheEvent] = []
    var state: ResourceCache.Snapshot?
    switch start {
    case .state(let snapshot): if initial { state = snapshot }
    case .events(let events): first = events
    case .tooOld(let oldest):
      do {
        first = try await history(resource, cache, watcher, after: asked)
      } catch {
        cache.remove(watcher)
        guard case StorageError.compacted = error else { throw error }
        let error = StatusError.expired("too old resource version: \(asked) (\(oldest))")
        return watchResponse(request.form.media) { writer in
          try await writer.write(encoder.frame("ERROR", error.encoded()))
        }
      }
    }

    let seconds =
      query.timeoutSeconds.flatMap { $0 > 0 ? $0 : nil }
      ?? (configuration.minRequestTimeout + Int.random(in: 0..<max(1, configuration.minRequestTimeout)))
    watches.add(
      watcher, cache: cache, seconds: seconds, bookmarkEvery: query.bookmarks ? configuration.bookmarkInterval : nil)
    let endOfInitial = query.sendInitialEvents == true && query.bookmarks
    return watchResponse(request.form.media) { [watches, first, state, predicate] writer in
      defer {
        cache.remove(watcher)
        watches.remove(watcher)
      }
      var encoder = encoder
      if let state { try await encoder.send(state, predicate, endOfInitial: endOfInitial, to: writer) }
      var items = Deque(first.compactMap { event in event.seen(by: predicate).map { Watcher.Item.event(event, $0) } })
      var ended = false
      while true {
        try await encoder.send(items, to: writer)
        if ended { return }
        (items, ended) = await watcher.next()
      }
    }
  }

  /// What happened between a revision that the ring no longer reaches and now, from the store.
  private func history(
    _ resource: ServedResource, _ cache: ResourceCache, _ watcher: Watcher, after: Revision
  ) async throws -> [CacheEvent] {
    guard case .state(let snapshot) = cache.watch(watcher, from: nil) else { return [] }
    let drop = cache.prefix.utf8.count
    func object(_ value: StoredValue) -> CachedObject {
      CachedObject(
        key: String(value.key.dropFirst(drop)), bytes: value.value, revision: value.modRevision,
        index: resource.traits.index)
    }
    return try await storage.events(prefix: cache.prefix, after: after)
      .filter { $0.current.modRevision <= snapshot.revision }
      .map { event in
        let previous = event.previous.map(object)
        let kind: CacheEvent.Kind = event.kind == .delete ? .deleted : previous == nil ? .added : .modified
        return CacheEvent(kind: kind, object: object(event.current), previous: previous)
      }
  }

  private func watchResponse(
    _ media: ResponseMedia, _ body: @escaping @Sendable (HTTPBodyWriter) async throws -> Void
  ) -> HTTPResponse {
    var response = HTTPResponse(status: 200, body: .stream(body))
    response.headers.add("content-type", media == .json ? media.rawValue : media.rawValue + ";stream=watch")
    response.headers.add("cache-control", "no-cache, private")
    return response
  }
}

/// Turns a watch's items into bytes in the form that its client asked for.
struct WatchEncoder: Sendable {
  let registry: Registry
  let resource: ServedResource
  let request: ResourceRequest
  private let output: Output
  /// Nil: lines of JSON.
  private let kind: ProtobufKind?
  private let isProtobuf: Bool
  /// Under which name an event keeps what this encoder makes of it; nil where that differs between watchers.
  private let shared: String?
  private var sentColumns = false

  init(registry: Registry, resource: ServedResource, request: ResourceRequest) {
    self.registry = registry
    self.resource = resource
    self.request = request
    output = request.form.output
    isProtobuf = request.form.media == .protobuf
    kind = isProtobuf && output == .object ? ProtobufKind.of(resource.gvk) : nil
    switch output {
    case .object:
      // Custom kinds carry their type in what is stored: the header is the same for all.
      let name = resource.custom == nil ? resource.header : "\(resource.apiVersion) \(resource.info.kind)"
      shared = isProtobuf ? "protobuf " + name : name
    case .partialMetadata: shared = isProtobuf ? "protobuf " + partialMetadataHeader : partialMetadataHeader
    case .table: shared = nil
    }
  }

  /// The objects of a state as additions, and the bookmark that ends them if that was asked for.
  mutating func send(
    _ state: ResourceCache.Snapshot, _ predicate: Predicate, endOfInitial: Bool, to writer: HTTPBodyWriter
  ) async throws {
    var objects: [CachedObject] = []
    let prefix = predicate.namespace.isEmpty ? "" : predicate.namespace + "/"
    state.objects.forEach(prefix: prefix) { _, object in
      if predicate.matches(object) { objects.append(object) }
      return true
    }
    try await resource.prepare(objects)
    var buffer: [UInt8] = []
    for object in objects {
      buffer += try event("ADDED", object)
      if buffer.count > 64 << 10 {
        try await writer.write(buffer)
        buffer = []
      }
    }
    if endOfInitial { buffer += bookmark(state.revision, initialEnd: true) }
    if !buffer.isEmpty { try await writer.write(buffer) }
  }

  mutating func send(_ items: Deque<Watcher.Item>, to writer: HTTPBodyWriter) async throws {
    guard let first = items.first else { return }
    if resource.custom?.conversion != nil {
      try await resource.prepare(
        items.compactMap { if case .event(let event, let kind) = $0 { event.shown(as: kind) } else { nil } })
    }
    if items.count == 1, case .event(let event, let kind) = first {
      return try await writer.write(try buffer(event, as: kind))
    }
    var buffer = ByteBuffer()
    for item in items {
      switch item {
      case .bookmark(let revision): buffer.writeBytes(bookmark(revision, initialEnd: false))
      case .event(let event, let kind):
        buffer.writeImmutableBuffer(try self.buffer(event, as: kind))
      }
      if buffer.readableBytes > 256 << 10 {
        try await writer.write(buffer)
        buffer = ByteBuffer()
      }
    }
    if buffer.readableBytes > 0 { try await writer.write(buffer) }
  }

  /// An event's bytes, made once for all watchers that want the same.
  private mutating func buffer(_ change: CacheEvent, as kind: CacheEvent.Kind) throws -> ByteBuffer {
    guard let shared else { return ByteBuffer(bytes: try event(kind.rawValue, change.shown(as: kind))) }
    return try change.encoded(as: kind, form: shared) { try event(kind.rawValue, $0) }
  }

  private mutating func event(_ type: String, _ object: CachedObject) throws -> [UInt8] {
    if let kind { return ProtobufKind.watchFrame(type: type, envelope: try kind.envelope(object, resource)) }
    switch output {
    case .object: return frame(type, resource.served(object))
    case .partialMetadata: return frame(type, partialMetadata(object, header: partialMetadataHeader))
    case .table:
      defer { sentColumns = true }
      return frame(
        type,
        try registry.table(resource, [object], version: String(object.revision), columns: !sentColumns, request))
    }
  }

  /// An event whose object is JSON with its type.
  func frame(_ type: String, _ object: [UInt8]) -> [UInt8] {
    guard isProtobuf, let envelope = try? KubernetesProtobuf.envelope(object) else {
      return watchLine(type: type, object: object)
    }
    return ProtobufKind.watchFrame(type: type, envelope: envelope)
  }

  private func bookmark(_ revision: Revision, initialEnd: Bool) -> [UInt8] {
    let annotations = initialEnd ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : ""
    let kind: String
    switch output {
    case .object: kind = "\"kind\":\"\(resource.info.kind)\",\"apiVersion\":\"\(resource.apiVersion)\""
    case .partialMetadata: kind = "\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\""
    case .table:
      // A table without rows: its metadata carries the revision.
      let object =
        "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"\(revision)\""
        + "},\"columnDefinitions\":[],\"rows\":[]}"
      return frame("BOOKMARK", Array(object.utf8))
    }
    let object = "{\(kind),\"metadata\":{\"resourceVersion\":\"\(revision)\"\(annotations)}}"
    return frame("BOOKMARK", Array(object.utf8))
  }
}

/// Ends watches when their time is up and asks for their bookmarks: one timer for all of them.
final class WatchTicker: Sendable {
  private struct Entry {
    let watcher: Watcher
    let cache: ResourceCache
    let deadline: ContinuousClock.Instant
    let interval: Duration?
    var nextBookmark: ContinuousClock.Instant?
  }

  private struct State {
    var entries: [ObjectIdentifier: Entry] = [:]
    var task: Task<Void, Never>?
  }

  private let state = Mutex(State())

  func add(_ watcher: Watcher, cache: ResourceCache, seconds: Int, bookmarkEvery interval: Int?) {
    let now = ContinuousClock.now
    let spacing = interval.map { Duration.seconds($0) }
    state.withLock { state in
      state.entries[ObjectIdentifier(watcher)] = Entry(
        watcher: watcher, cache: cache, deadline: now + .seconds(seconds), interval: spacing,
        nextBookmark: spacing.map { now + $0 })
      if state.task == nil {
        // The one task that outlives requests: it ends with the last watch, or with `stop`.
        state.task = Task { [self] in
          while !Task.isCancelled, tick(.now) { try? await Task.sleep(for: .seconds(1)) }
        }
      }
    }
  }

  func remove(_ watcher: Watcher) {
    state.withLock { $0.entries[ObjectIdentifier(watcher)] = nil }
  }

  func stop() {
    let (entries, task) = state.withLock { state in
      let result = (Array(state.entries.values), state.task)
      state.entries = [:]
      state.task = nil
      return result
    }
    task?.cancel()
    for entry in entries { entry.watcher.close() }
  }

  /// False when nothing is left to do.
  func tick(_ now: ContinuousClock.Instant) -> Bool {
    let (over, due, alive) = state.withLock { state -> ([Entry], [Entry], Bool) in
      var over: [Entry] = []
      var due: [Entry] = []
      for (id, entry) in state.entries {
        if entry.deadline <= now {
          over.append(entry)
          state.entries[id] = nil
        } else if let next = entry.nextBookmark, let interval = entry.interval, next <= now {
          due.append(entry)
          state.entries[id]?.nextBookmark = now + interval
        }
      }
      if state.entries.isEmpty { state.task = nil }
      return (over, due, !state.entries.isEmpty)
    }
    for entry in due { entry.cache.bookmark(entry.watcher) }
    for entry in over {
      if entry.interval != nil { entry.cache.bookmark(entry.watcher) }
      entry.watcher.close()
    }
    return alive
  }
}
