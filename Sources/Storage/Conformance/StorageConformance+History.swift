extension StorageConformance {
  static let histories: [Case] = [
    Case(name: "events after a revision are what a follower would have seen") { store in
      let box = EventBox()
      let subscription = try store.follow(prefix: "/p/", onSnapshot: { _, _ in }, onEvents: { box.add($0, $1) })
      defer { subscription.cancel() }
      try await scribble(store)
      try equal(await store.events(prefix: "/p/", after: 1), box.events, "all events")
      let middle = box.events[box.events.count / 2].revision
      let later = try await store.events(prefix: "/p/", after: middle)
      try equal(later, box.events.filter { $0.revision > middle }, "events after \(middle)")
      try equal(await store.events(prefix: "/p/", after: store.currentRevision), [], "events after the last")
      try equal(await store.events(prefix: "/none/", after: 1), [], "events of a prefix without writes")
    },
    Case(name: "a list at a past revision shows that revision") { store in
      var states: [(Revision, [StoredValue])] = []
      for round in 0..<12 {
        _ = try await store.put("/p/\(round % 5)", bytes("\(round)"), if: .any)
        if round % 3 == 2 { _ = try await store.delete("/p/\((round + 1) % 5)", if: .any) }
        let page = try await store.list(prefix: "/p/")
        states.append((page.revision, page.items))
      }
      for (revision, items) in states {
        let past = try await store.list(prefix: "/p/", after: nil, limit: nil, at: revision)
        try equal(past.items, items, "list at \(revision)")
        try equal(past.revision, revision, "revision of the answer")
      }
      let error = try await failure("a list in the future") {
        _ = try await store.list(prefix: "/p/", after: nil, limit: nil, at: 1000)
      }
      try equal(error, .future(requested: 1000, current: store.currentRevision), "error")
    },
    Case(name: "compaction forgets the past and nothing else") { store in
      try await scribble(store)
      let before = try await store.list(prefix: "/")
      let target = before.revision - 3
      let kept = try await store.list(prefix: "/", after: nil, limit: nil, at: target)
      let later = try await store.events(prefix: "/", after: target)
      try await store.compact(to: target)
      try equal(store.compactedRevision, target, "compactedRevision")
      try equal(store.currentRevision, before.revision, "currentRevision")
      try equal(await store.list(prefix: "/").items, before.items, "live keys")
      try equal(await store.list(prefix: "/", after: nil, limit: nil, at: target).items, kept.items, "its own state")
      try equal(await store.events(prefix: "/", after: target), later, "events after it")
      let gone = StorageError.compacted(requested: target - 1, compacted: target)
      let events = try await failure("events") { _ = try await store.events(prefix: "/", after: target - 1) }
      try equal(events, gone, "events before it")
      let list = try await failure("list") {
        _ = try await store.list(prefix: "/", after: nil, limit: nil, at: target - 1)
      }
      try equal(list, gone, "a list before it")
      try await store.compact(to: target - 2)
      try equal(store.compactedRevision, target, "compactedRevision after an older compaction")
      let error = try await failure("compact") { try await store.compact(to: before.revision + 1) }
      try equal(error, .future(requested: before.revision + 1, current: before.revision), "a future compaction")
    },
  ]

  /// Some writes of every kind under two prefixes.
  private static func scribble(_ store: any Storage) async throws {
    for round in 0..<40 {
      let prefix = round % 4 == 3 ? "/q/" : "/p/"
      if round % 7 == 6 {
        _ = try await store.delete("\(prefix)\((round * 3) % 6)", if: .any)
      } else {
        _ = try committed(await store.put("\(prefix)\(round % 6)", bytes("\(round)"), if: .any))
      }
    }
  }
}
