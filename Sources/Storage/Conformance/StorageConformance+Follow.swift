internal import Synchronization

/// Gathers what a follower was given.
final class EventBox: Sendable {
  private struct Content {
    var events: [StorageEvent] = []
    var revisions: [Revision] = []
  }
  private let content = Mutex(Content())

  func add(_ events: [StorageEvent], _ revision: Revision) {
    content.withLock {
      $0.events += events
      $0.revisions.append(revision)
    }
  }

  var events: [StorageEvent] { content.withLock { $0.events } }
  var revisions: [Revision] { content.withLock { $0.revisions } }

  /// Waits, at most some seconds, for events that nobody's answer announces.
  func wait(for count: Int) async throws -> [StorageEvent] {
    for _ in 0..<1000 {
      let found = events
      if found.count >= count { return found }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw StorageConformance.Failure(description: "expected \(count) events, found \(events)")
  }
}

extension StorageConformance {
  static let follows: [Case] = [
    Case(name: "a follower gets the snapshot before follow returns") { store in
      let a = try committed(await store.put("/p/a", bytes("1"), if: .any))
      _ = try committed(await store.put("/q/a", bytes("1"), if: .any))
      let box = Mutex<([StoredValue], Revision)?>(nil)
      let subscription = try store.follow(
        prefix: "/p/", onSnapshot: { values, revision in box.withLock { $0 = (values, revision) } },
        onEvents: { _, _ in })
      defer { subscription.cancel() }
      guard let snapshot = box.withLock({ $0 }) else { throw Failure(description: "no snapshot") }
      try equal(snapshot.0, [a], "values")
      try equal(snapshot.1, 3, "revision")
    },
    Case(name: "a follower has an event before its writer has the answer") { store in
      let box = EventBox()
      let subscription = try store.follow(
        prefix: "/registry/pods/", onSnapshot: { _, _ in }, onEvents: { box.add($0, $1) })
      defer { subscription.cancel() }
      for round in 1...50 {
        let value = try committed(await store.put("/registry/pods/a", bytes("\(round)"), if: .any))
        try equal(box.events.last?.current, value, "last event at the answer")
        try require(store.currentRevision >= value.modRevision, "currentRevision behind an answer")
      }
    },
    Case(name: "events come once, in order, with kind and previous value") { store in
      let box = EventBox()
      let all = EventBox()
      let one = try store.follow(
        prefix: "/registry/pods/ns/", onSnapshot: { _, _ in }, onEvents: { box.add($0, $1) })
      let two = try store.follow(prefix: "/", onSnapshot: { _, _ in }, onEvents: { all.add($0, $1) })
      defer {
        one.cancel()
        two.cancel()
      }
      let created = try committed(await store.put("/registry/pods/ns/a", bytes("1"), if: .absent))
      _ = try committed(await store.put("/registry/pods/other/a", bytes("1"), if: .absent))
      _ = try conflict(await store.put("/registry/pods/ns/a", bytes("x"), if: .absent))
      let updated = try committed(await store.put("/registry/pods/ns/a", bytes("2"), if: .any))
      let deleted = try committed(await store.delete("/registry/pods/ns/a", if: .any))
      let expected = [
        StorageEvent(kind: .put, current: created, previous: nil),
        StorageEvent(kind: .put, current: updated, previous: created),
        StorageEvent(kind: .delete, current: deleted, previous: updated),
      ]
      try equal(box.events, expected, "events")
      try equal(all.events.map(\.revision), [2, 3, 4, 5], "revisions of all events")
    },
    Case(name: "under load no follower misses a revision, whenever it began") { store in
      let boxes = (0..<4).map { _ in EventBox() }
      let starts = Mutex<[Revision]>([])
      let writers = Task {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for writer in 0..<8 {
            group.addTask {
              for round in 0..<60 { _ = try await store.put("/p/\(writer)", bytes("\(round)"), if: .any) }
            }
          }
          try await group.waitForAll()
        }
      }
      var subscriptions: [any StorageSubscription] = []
      for box in boxes {
        subscriptions.append(
          try store.follow(
            prefix: "/p/", onSnapshot: { _, revision in starts.withLock { $0.append(revision) } },
            onEvents: { box.add($0, $1) }))
        try await Task.sleep(for: .milliseconds(2))
      }
      try await writers.value
      for subscription in subscriptions { subscription.cancel() }
      let last = store.currentRevision
      try equal(last, 481, "revision after all writes")
      for (box, start) in zip(boxes, starts.withLock({ $0 })) {
        try equal(box.events.map(\.revision), Array((start + 1)..<(last + 1)), "revisions after \(start)")
        try equal(box.revisions, box.revisions.sorted(), "revisions of the batches")
      }
    },
    Case(name: "a cancelled follower hears nothing more") { store in
      let box = EventBox()
      let subscription = try store.follow(prefix: "/p/", onSnapshot: { _, _ in }, onEvents: { box.add($0, $1) })
      _ = try committed(await store.put("/p/a", [], if: .any))
      subscription.cancel()
      _ = try committed(await store.put("/p/b", [], if: .any))
      try equal(box.events.count, 1, "events")
    },
  ]
}
