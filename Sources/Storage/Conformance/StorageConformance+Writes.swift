extension StorageConformance {
  static let writes: [Case] = [
    Case(name: "an empty store stands at revision 1") { store in
      try equal(store.currentRevision, 1, "currentRevision")
      try equal(store.compactedRevision, 0, "compactedRevision")
    },
    Case(name: "every write takes the next revision, conflicts take none") { store in
      let first = try committed(await store.put("/registry/a/x", bytes("1"), if: .absent))
      try equal(first.modRevision, 2, "first revision")
      _ = try conflict(await store.put("/registry/a/x", bytes("2"), if: .absent))
      let second = try committed(await store.put("/registry/a/x", bytes("3"), if: .any))
      try equal(second.modRevision, 3, "second revision")
      try equal(second.createRevision, 2, "create revision of an update")
      let gone = try committed(await store.delete("/registry/a/x", if: .any))
      try equal(gone.modRevision, 4, "revision of a delete")
      try equal(gone.value, bytes("3"), "value of a delete")
      let again = try committed(await store.put("/registry/a/x", bytes("4"), if: .absent))
      try equal(again.createRevision, 5, "create revision of a key that was deleted before")
      try equal(store.currentRevision, 5, "currentRevision")
    },
    Case(name: "committed outcomes carry the previous value") { store in
      let first = try await store.put("/k/a", bytes("1"), if: .any)
      let one = try committed(first)
      try equal(first, .committed(one, previous: nil), "create")
      let second = try await store.put("/k/a", bytes("2"), if: .revision(one.modRevision))
      try equal(second, .committed(committed(second), previous: one), "update")
      let third = try await store.delete("/k/a", if: .any)
      try equal(third, .committed(committed(third), previous: committed(second)), "delete")
    },
    Case(name: "a conflict shows what stands there") { store in
      let value = try committed(await store.put("/k/a", bytes("1"), if: .any))
      try equal(conflict(await store.put("/k/a", [], if: .absent)), value, "absent")
      try equal(conflict(await store.put("/k/a", [], if: .revision(77))), value, "put with another revision")
      try equal(conflict(await store.delete("/k/a", if: .revision(77))), value, "delete with another revision")
      try equal(conflict(await store.put("/k/b", [], if: .revision(2))), nil, "put of nothing")
      try equal(conflict(await store.delete("/k/b", if: .any)), nil, "delete of nothing")
      try equal(conflict(await store.delete("/k/a", if: .absent)), value, "delete if absent")
      try equal(await store.get("/k/a"), value, "value after conflicts")
    },
    Case(name: "of writers that race with one revision, one wins") { store in
      let start = try committed(await store.put("/k/race", bytes("0"), if: .absent))
      let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
        for writer in 0..<16 {
          group.addTask {
            let outcome = try await store.put("/k/race", bytes("\(writer)"), if: .revision(start.modRevision))
            if case .committed = outcome { return true }
            return false
          }
        }
        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      try equal(wins, 1, "winners")
      try equal(store.currentRevision, start.modRevision + 1, "revisions taken")
    },
    Case(name: "many writers add up") { store in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<8 {
          group.addTask {
            for round in 0..<25 {
              _ = try committed(await store.put("/k/\(writer)/\(round)", bytes("\(round)"), if: .absent))
            }
          }
        }
        try await group.waitForAll()
      }
      let page = try await store.list(prefix: "/k/")
      try equal(page.items.count, 200, "keys")
      try equal(Set(page.items.map(\.modRevision)).count, 200, "distinct revisions")
      try equal(page.revision, 201, "revision")
    },
    Case(name: "empty and large values come back as they were") { store in
      let large = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      _ = try committed(await store.put("/k/empty", [], if: .any))
      _ = try committed(await store.put("/k/large", large, if: .any))
      try equal(await store.get("/k/empty")?.value, [], "empty value")
      try require(await store.get("/k/large")?.value == large, "the large value changed")
    },
    Case(name: "a key with a time to live is deleted by an ordinary delete") { store in
      let box = EventBox()
      let subscription = try store.follow(
        prefix: "/k/short", onSnapshot: { _, _ in }, onEvents: { box.add($0, $1) })
      defer { subscription.cancel() }
      // Written again without a time to live; the first one's ends before that of the other key.
      _ = try committed(await store.put("/k/renewed", bytes("1"), if: .any, ttl: 1))
      let kept = try committed(await store.put("/k/renewed", bytes("2"), if: .any))
      let short = try committed(await store.put("/k/short", bytes("1"), if: .any, ttl: 1))
      let events = try await box.wait(for: 2)
      try equal(events[1].kind, .delete, "event")
      try equal(events[1].previous, short, "what expired")
      try require(events[1].revision > short.modRevision, "the delete took no revision of its own")
      try equal(await store.get("/k/short"), nil, "expired key")
      try equal(await store.get("/k/renewed"), kept, "key that was written again without a time to live")
    },
    Case(name: "a closed store refuses everything") { store in
      _ = try committed(await store.put("/k/a", [], if: .any))
      await store.close()
      try equal(await failure("put") { _ = try await store.put("/k/a", [], if: .any) }, .closed, "put")
      try equal(await failure("delete") { _ = try await store.delete("/k/a", if: .any) }, .closed, "delete")
      try equal(await failure("get") { _ = try await store.get("/k/a") }, .closed, "get")
      try equal(await failure("list") { _ = try await store.list(prefix: "/") }, .closed, "list")
      try equal(await failure("events") { _ = try await store.events(prefix: "/", after: 1) }, .closed, "events")
      try equal(await failure("compact") { try await store.compact(to: 1) }, .closed, "compact")
      let follow = try await failure("follow") {
        _ = try store.follow(prefix: "/", onSnapshot: { _, _ in }, onEvents: { _, _ in })
      }
      try equal(follow, .closed, "follow")
      await store.close()
    },
  ]
}
