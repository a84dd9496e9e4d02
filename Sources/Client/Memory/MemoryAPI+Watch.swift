import API
import APIMachinery
import Synchronization

extension MemoryAPI {
  func startWatch(_ route: MemoryRoute) throws -> AsyncThrowingStream<[UInt8], any Error> {
    let selection = try route.selection()
    let (stream, continuation) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
    let id = try store.withLock { store in
      let resource = try store.resource(route.location)
      let from = route.query["resourceVersion"] ?? ""
      let wantsInitial = route.query["sendInitialEvents"] == "true"
      if wantsInitial || from.isEmpty || from == "0" {
        for (_, object) in (store.objects[resource.groupResource] ?? [:]).sorted(by: { $0.key < $1.key })
        where selection.matches(object) {
          continuation.yield(MemoryStore.line("ADDED", object))
        }
        if wantsInitial { continuation.yield(store.initialEventsEnd(resource)) }
      } else {
        guard let version = UInt64(from) else {
          throw StatusError.badRequest("Invalid resource version: \"\(from)\"")
        }
        if version < store.forgottenBefore {
          throw StatusError.expired("too old resource version: \(version) (\(store.forgottenBefore))")
        }
        for change in store.log where change.revision > version && change.resource == resource.groupResource {
          if let bytes = MemoryStore.event(change, for: selection) { continuation.yield(bytes) }
        }
      }
      store.nextWatcher += 1
      store.watchers[store.nextWatcher] = MemoryStore.Watcher(
        resource: resource.groupResource, selection: selection, continuation: continuation)
      return store.nextWatcher
    }
    continuation.onTermination = { [weak self] _ in
      // Dropping a continuation under the lock that its termination wants would deadlock.
      _ = self?.store.withLock { $0.watchers.removeValue(forKey: id) }
    }
    return stream
  }
}

extension MemoryStore {
  mutating func endWatches() {
    let ended = watchers
    watchers = [:]
    for watcher in ended.values {
      watcher.continuation.onTermination = nil
      watcher.continuation.finish()
    }
  }

  mutating func expireHistory() {
    log = []
    forgottenBefore = revision
  }

  func initialEventsEnd(_ resource: Resource) -> [UInt8] {
    Self.line(
      "BOOKMARK",
      .object([
        "kind": .string(resource.info.kind), "apiVersion": .string(resource.apiVersion),
        "metadata": .object([
          "resourceVersion": .string(String(revision)),
          "annotations": .object(["k8s.io/initial-events-end": .string("true")]),
        ]),
      ]))
  }

  /// What a watcher hears of a change: an object that begins to match is added, one that ceases to is deleted.
  static func event(_ change: Change, for selection: MemorySelection) -> [UInt8]? {
    let before = change.old.map(selection.matches) ?? false
    guard let new = change.new else {
      guard before, let old = change.old else { return nil }
      return line("DELETED", old)
    }
    let after = selection.matches(new)
    switch (before, after) {
    case (false, true): return line("ADDED", new)
    case (true, true): return line("MODIFIED", new)
    case (true, false):
      // The last matching state, at the version at which it ceased to match.
      guard var old = change.old, var metadata = old["metadata"] else { return nil }
      metadata["resourceVersion"] = new["metadata"]?["resourceVersion"]
      old["metadata"] = metadata
      return line("DELETED", old)
    case (false, false): return nil
    }
  }

  static func line(_ type: String, _ object: JSONValue) -> [UInt8] {
    var bytes = Array("{\"type\":\"\(type)\",\"object\":".utf8)
    bytes += object.encoded()
    bytes += Array("}\n".utf8)
    return bytes
  }
}
