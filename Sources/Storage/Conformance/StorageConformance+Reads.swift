extension StorageConformance {
  static let reads: [Case] = [
    Case(name: "get finds live keys only") { store in
      try equal(await store.get("/k/a"), nil, "before")
      let value = try committed(await store.put("/k/a", bytes("1"), if: .any))
      try equal(await store.get("/k/a"), value, "after a put")
      try equal(await store.get("/k/"), nil, "a prefix of a key")
      _ = try await store.delete("/k/a", if: .any)
      try equal(await store.get("/k/a"), nil, "after a delete")
    },
    Case(name: "a list holds exactly its prefix, in byte order") { store in
      for key in ["/p/b", "/p/a/2", "/p/a/10", "/p/a-b/1", "/q/a", "/o/z", "/p/a/1", "/p.x/a"] {
        _ = try committed(await store.put(key, bytes(key), if: .absent))
      }
      let all = try await store.list(prefix: "/p/")
      try equal(all.items.map(\.key), ["/p/a-b/1", "/p/a/1", "/p/a/10", "/p/a/2", "/p/b"], "keys")
      try equal(all.more, false, "more")
      try equal(all.revision, 9, "revision")
      let none = try await store.list(prefix: "/p/c")
      try equal(none.items, [], "a prefix without keys")
    },
    Case(name: "pages follow each other without gap or overlap, at one revision") { store in
      for number in 0..<25 { _ = try committed(await store.put("/p/\(100 + number)", bytes("old"), if: .absent)) }
      _ = try committed(await store.put("/q/1", [], if: .absent))
      let expected = try await store.list(prefix: "/p/")
      var page = try await store.list(prefix: "/p/", after: nil, limit: 10, at: nil)
      let revision = page.revision
      var found = page.items
      var sizes = [page.items.count]
      while page.more {
        // What happens between two pages must not show.
        _ = try await store.put("/p/\(100 + found.count)", bytes("new"), if: .any)
        _ = try await store.delete("/p/124", if: .any)
        _ = try await store.put("/p/11\(found.count)x", bytes("new"), if: .any)
        page = try await store.list(prefix: "/p/", after: found.last?.key, limit: 10, at: revision)
        try equal(page.revision, revision, "revision of a page")
        found += page.items
        sizes.append(page.items.count)
      }
      try equal(sizes, [10, 10, 5], "pages")
      try equal(found, expected.items, "values of all pages")
    },
    Case(name: "a limit that takes the last key leaves nothing more") { store in
      for name in ["a", "b", "c"] { _ = try committed(await store.put("/p/\(name)", [], if: .absent)) }
      _ = try committed(await store.put("/q/a", [], if: .absent))
      let exact = try await store.list(prefix: "/p/", after: nil, limit: 3, at: nil)
      try equal(exact.items.count, 3, "items")
      try equal(exact.more, false, "more")
      let rest = try await store.list(prefix: "/p/", after: "/p/b", limit: nil, at: nil)
      try equal(rest.items.map(\.key), ["/p/c"], "after b")
      let between = try await store.list(prefix: "/p/", after: "/p/aa", limit: 1, at: nil)
      try equal(between.items.map(\.key), ["/p/b"], "after a key that is not there")
      try equal(between.more, true, "more")
    },
  ]
}
