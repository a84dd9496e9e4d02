import API
import Client
import Testing

@testable import ClusterDNS

private struct FixedSource: ClusterZone.Source {
  var services: [Service] = []
  var slices: [EndpointSlice] = []

  func service(namespace: String, name: String) -> Service? {
    services.first { $0.metadata.namespace == namespace && $0.metadata.name == name }
  }
  func service(withAddress address: String) -> Service? { services.first { $0.spec.clusterIP == address } }
  func slices(namespace: String, service: String) -> [EndpointSlice] {
    slices.filter { $0.metadata.namespace == namespace && $0.metadata.labels["kubernetes.io/service-name"] == service }
  }
  func slices(withAddress address: String) -> [EndpointSlice] {
    slices.filter { $0.endpoints.contains { $0.addresses.contains(address) } }
  }
  func namespaceExists(_ name: String) -> Bool { name == "shop" }
}

private func makeZone() -> ClusterZone {
  func service(_ name: String, _ address: String) -> Service {
    var service = Service()
    service.metadata.name = name
    service.metadata.namespace = "shop"
    service.spec.clusterIP = address
    var port = ServicePort()
    port.name = "http"
    port.port = 80
    service.spec.ports = [port]
    return service
  }
  var outside = service("outside", "")
  outside.spec.type = "ExternalName"
  outside.spec.externalName = "Example.org"
  var slice = EndpointSlice()
  slice.metadata.namespace = "shop"
  slice.metadata.labels = ["kubernetes.io/service-name": "db"]
  slice.addressType = "IPv4"
  var port = DiscoveryEndpointPort()
  port.name = "http"
  port.protocol = "TCP"
  port.port = 5432
  slice.ports = [port]
  slice.endpoints = [("10.1.0.1", "db-0", true), ("10.1.0.2", nil, true), ("10.1.0.3", nil, false)].map {
    var endpoint = Endpoint()
    endpoint.addresses = [$0.0]
    endpoint.hostname = $0.1
    endpoint.conditions.ready = $0.2
    return endpoint
  }
  let source = FixedSource(services: [service("web", "10.96.0.9"), service("db", "None"), outside], slices: [slice])
  return ClusterZone(domain: "cluster.local", source: source)
}

private func ask(_ name: String, _ type: UInt16 = RecordType.a) -> ClusterZone.Outcome {
  makeZone().resolve(Question(name: DNSName(name), type: type, recordClass: 1))
}

private func addresses(_ outcome: ClusterZone.Outcome) -> [String]? {
  guard case .answer(let records, _) = outcome else { return nil }
  return records.compactMap {
    guard case .a(let bytes) = $0.data else { return nil }
    return bytes.map(String.init).joined(separator: ".")
  }
}

@Suite struct ClusterZoneTests {
  @Test func services() {
    #expect(addresses(ask("WEB.shop.svc.cluster.local.")) == ["10.96.0.9"])
    #expect(addresses(ask("web.shop.svc.cluster.local", RecordType.aaaa)) == [])
    #expect(ask("none.shop.svc.cluster.local") == .absent)
    #expect(addresses(ask("shop.svc.cluster.local")) == [])
    #expect(ask("absent.svc.cluster.local") == .absent)
    #expect(ask("example.org") == .notMine)
  }

  @Test func headless() {
    #expect(addresses(ask("db.shop.svc.cluster.local")) == ["10.1.0.1", "10.1.0.2"])
    #expect(addresses(ask("db-0.db.shop.svc.cluster.local")) == ["10.1.0.1"])
    #expect(addresses(ask("10-1-0-2.db.shop.svc.cluster.local")) == ["10.1.0.2"])
    #expect(ask("10-1-0-3.db.shop.svc.cluster.local") == .absent)
  }

  @Test func serviceRecords() {
    guard case .answer(let records, let additional) = ask("_http._tcp.db.shop.svc.cluster.local", RecordType.srv) else {
      Issue.record("no SRV answer")
      return
    }
    #expect(
      records.map(\.data) == [
        .srv(priority: 0, weight: 100, port: 5432, target: DNSName("db-0.db.shop.svc.cluster.local")),
        .srv(priority: 0, weight: 100, port: 5432, target: DNSName("10-1-0-2.db.shop.svc.cluster.local")),
      ])
    #expect(additional.count == 2)
    #expect(ask("_no._tcp.db.shop.svc.cluster.local", RecordType.srv) == .absent)
  }

  @Test func podsAndReverse() {
    #expect(addresses(ask("10-1-0-9.shop.pod.cluster.local")) == ["10.1.0.9"])
    #expect(ask("10-1-0-9.absent.pod.cluster.local") == .absent)
    guard case .answer(let web, _) = ask("9.0.96.10.in-addr.arpa", RecordType.ptr),
      case .answer(let database, _) = ask("1.0.1.10.in-addr.arpa", RecordType.ptr)
    else {
      Issue.record("no PTR answer")
      return
    }
    #expect(web.map(\.data) == [.ptr(DNSName("web.shop.svc.cluster.local"))])
    #expect(database.map(\.data) == [.ptr(DNSName("db-0.db.shop.svc.cluster.local"))])
    #expect(ask("8.8.8.8.in-addr.arpa", RecordType.ptr) == .notMine)
  }

  @Test func externalName() {
    guard case .alias(let records, let target) = ask("outside.shop.svc.cluster.local") else {
      Issue.record("no alias")
      return
    }
    #expect(target == DNSName("example.org"))
    #expect(records.map(\.data) == [.cname(DNSName("example.org"))])
  }
}

@Suite struct MessageTests {
  @Test func aQueryIsReadBack() throws {
    let question = Question(name: DNSName("web.shop.svc.cluster.local"), type: RecordType.a, recordClass: 1)
    let query = try #require(Query(parsing: Query.message(id: 77, question)))
    #expect(query.id == 77)
    #expect(query.question == question)
    #expect(query.payloadSize == 512)
  }

  @Test func answersAreCompressedAndCut() throws {
    let question = Question(name: DNSName("db.shop.svc.cluster.local"), type: RecordType.a, recordClass: 1)
    let query = try #require(Query(parsing: Query.message(id: 1, question)))
    let records = (0..<100).map { Record(name: question.name, timeToLive: 5, data: .a([10, 1, 0, UInt8($0)])) }
    let response = Response(query: query, code: .noError, authoritative: true, answers: records)
    let whole = response.encoded(limit: 65535)
    // Twelve bytes of header, the question, and sixteen for each record: its name is a pointer.
    #expect(whole.count == 12 + question.name.description.utf8.count + 1 + 4 + 100 * 16)
    #expect(Query.addresses(inAnswer: whole) == records)
    let cut = response.encoded(limit: 512)
    #expect(cut.count <= 512)
    #expect(cut[2] & 2 != 0)
  }

  @Test(arguments: [[], [0, 1, 2], Array(repeating: UInt8(0xc0), count: 40), Array(repeating: UInt8(63), count: 30)])
  func nonsenseIsRefused(_ bytes: [UInt8]) {
    #expect(Query(parsing: bytes) == nil)
  }

  @Test func pointersCannotLoop() {
    var bytes = [UInt8](repeating: 0, count: 12)
    bytes[5] = 1
    bytes += [0xc0, 12, 0, 1, 0, 1]
    #expect(Query(parsing: bytes) == nil)
  }
}

@Suite struct PublicationTests {
  /// Runs a body with a publisher whose informers follow an API server in memory.
  private func withPublication(
    makesService: Bool, _ body: (MemoryAPI, Publication) async throws -> Void
  ) async throws {
    let api = MemoryAPI()
    let informers = InformerFactory(client: api.client())
    let source = InformerSource(informers: informers)
    let following = Task { try await informers.run() }
    defer { following.cancel() }
    try await source.waitForSync()
    try await body(
      api,
      Publication(
        client: api.client(), source: source, serviceAddress: "10.96.0.10", nodeName: "a", address: "10.0.0.1",
        port: 10053, makesService: makesService))
  }

  @Test func everyNodeHasASliceOfItsOwn() async throws {
    try await withPublication(makesService: true) { api, publication in
      await #expect(throws: Publication.NotYet.self) { try await publication.reconcile() }
      let service = try #require(api.object(Service.self, namespace: "kube-system", name: "kube-dns"))
      #expect(service.spec.trafficDistribution == "PreferSameNode")
      try api.seed(
        Node {
          $0.metadata.name = "a"
          $0.metadata.uid = "uid-a"
        })
      while publication.source.service(namespace: "kube-system", name: "kube-dns") == nil { await Task.yield() }
      try await publication.reconcile()
      let slice = try #require(api.object(EndpointSlice.self, namespace: "kube-system", name: "kube-dns-a"))
      #expect(slice.metadata.ownerReferences.map(\.uid) == [api.object(Node.self, name: "a")?.metadata.uid])
      #expect(slice.endpoints.map(\.nodeName) == ["a"])
      #expect(slice.endpoints.first?.hints?.forNodes.map(\.name) == ["a"])
    }
  }

  @Test func anAgentMakesNoService() async throws {
    try await withPublication(makesService: false) { api, publication in
      try api.seed(Node { $0.metadata.name = "a" })
      try await publication.reconcile()
      #expect(api.objects(Service.self).isEmpty)
      #expect(api.objects(EndpointSlice.self).count == 1)
    }
  }
}
