import API
import Client
import Testing

@Suite struct InformerTests {
  private func configMap(_ name: String, namespace: String = "default", _ data: [String: String] = [:]) -> ConfigMap {
    var map = ConfigMap()
    map.metadata.name = name
    map.metadata.namespace = namespace
    map.data = data
    return map
  }

  private func eventually(_ condition: @Sendable () -> Bool) async {
    for _ in 0..<20_000 where !condition() { try? await Task.sleep(for: .microseconds(100)) }
  }

  private func run(
    _ api: MemoryAPI, strategy: ReflectorMachine.Strategy = .list,
    _ body: @Sendable (APIClient, InformerFactory) async throws -> Void
  ) async throws {
    let client = api.client()
    let factory = InformerFactory(client: client, strategy: strategy)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await factory.run() }
      try await body(client, factory)
      group.cancelAll()
    }
  }

  @Test(arguments: [ReflectorMachine.Strategy.list, .stream])
  func followsCreatesUpdatesAndDeletes(strategy: ReflectorMachine.Strategy) async throws {
    let api = MemoryAPI()
    try api.seed(configMap("a"))
    try await run(api, strategy: strategy) { client, factory in
      let seen = Locked<[String]>([])
      let informer = factory.informer(ConfigMap.self)
      informer.addHandler { event in
        seen.withLock { seen in
          switch event {
          case .added(let object): seen.append("+\(object.metadata.name)")
          case .updated(_, let new): seen.append("~\(new.metadata.name)")
          case .deleted(let object): seen.append("-\(object.metadata.name)")
          }
        }
      }
      try await factory.waitForSync()
      #expect(informer.lister.get(namespace: "default", name: "a") != nil)
      var made = try await client.create(configMap("b"))
      made.data = ["x": "1"]
      try await client.update(made)
      try await client.delete(ConfigMap.self, namespace: "default", name: "a")
      await eventually { seen.withLock { $0.count } == 4 }
      #expect(seen.withLock { $0 } == ["+a", "+b", "~b", "-a"])
      #expect(informer.lister.list().map(\.metadata.name) == ["b"])
      #expect(informer.lister.list(namespace: "other").isEmpty)
    }
  }

  @Test func missesNothingWhenWatchesBreak() async throws {
    let api = MemoryAPI()
    try await run(api) { client, factory in
      let informer = factory.informer(ConfigMap.self)
      try await factory.waitForSync()
      for index in 0..<5 {
        try await client.create(configMap("m\(index)"))
        await eventually { informer.lister.count == index + 1 }
        api.endWatches()
      }
      await eventually { informer.lister.count == 5 }
      #expect(informer.lister.count == 5)
      #expect(api.requests.filter { $0.method == "GET" }.count == 1)
    }
  }

  @Test func relistsWhenHistoryIsGone() async throws {
    let api = MemoryAPI()
    try api.seed(configMap("stays"))
    try api.seed(configMap("goes"))
    try await run(api) { client, factory in
      let deleted = Locked<[String]>([])
      let informer = factory.informer(ConfigMap.self)
      informer.addHandler { event in
        if case .deleted(let object) = event { deleted.withLock { $0.append(object.metadata.name) } }
      }
      try await factory.waitForSync()
      // The deletion happens while nobody watches, and its history is forgotten.
      let blocked = Locked(true)
      api.intercept { request in
        if request.path.contains("watch=true"), blocked.withLock({ $0 }) {
          throw StatusError.expired("too old")
        }
        if request.method == "GET", !request.path.contains("watch=true") { blocked.withLock { $0 = false } }
      }
      try await client.delete(ConfigMap.self, namespace: "default", name: "goes")
      api.endWatches()
      await eventually { informer.lister.count == 1 }
      #expect(deleted.withLock { $0 } == ["goes"])
    }
  }

  @Test func aLateHandlerHearsOfWhatIsThere() async throws {
    let api = MemoryAPI()
    for index in 0..<10 { try api.seed(configMap("m\(index)")) }
    try await run(api) { _, factory in
      let informer = factory.informer(ConfigMap.self)
      try await factory.waitForSync()
      let count = Locked(0)
      informer.addHandler { _ in count.withLock { $0 += 1 } }
      #expect(count.withLock { $0 } == 10)
    }
  }

  @Test func indexesFollowChanges() async throws {
    let api = MemoryAPI()
    try await run(api) { client, factory in
      let informer = factory.informer(ConfigMap.self)
      informer.addIndex("color") { object in object.data["color"].map { [$0] } ?? [] }
      try await factory.waitForSync()
      var made = try await client.create(configMap("a", ["color": "red"]))
      await eventually { informer.lister.byIndex("color", "red").count == 1 }
      made.data["color"] = "blue"
      try await client.update(made)
      await eventually { informer.lister.byIndex("color", "blue").count == 1 }
      #expect(informer.lister.byIndex("color", "red").isEmpty)
      try await client.delete(ConfigMap.self, namespace: "default", name: "a")
      await eventually { informer.lister.count == 0 }
      #expect(informer.lister.byIndex("color", "blue").isEmpty)
    }
  }

  @Test func oneInformerPerKindIsShared() {
    let factory = InformerFactory(client: MemoryAPI().client())
    #expect(factory.informer(Pod.self) === factory.informer(Pod.self))
    #expect(factory.informer(Pod.self) !== factory.informer(Pod.self, fieldSelector: "spec.nodeName=n"))
  }
}
