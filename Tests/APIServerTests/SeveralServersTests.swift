import API
import APIMachinery
import Foundation
import Logging
import Storage
import StorageSQLite
import Testing

@testable import APIServer

/// Two registries on one store, each of which learns late of what the other wrote.
@Suite struct SeveralServersTests {
  private let services = "/api/v1/namespaces/default/services"
  private let maps = "/api/v1/namespaces/default/configmaps"

  private func withTwo(
    _ configuration: RegistryConfiguration = RegistryConfiguration(),
    prepare: (SQLiteStorage) async throws -> Void = { _ in },
    _ body: (RegistryHarness, RegistryHarness) async throws -> Void
  ) async throws {
    let directory = NSTemporaryDirectory() + "servers-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let storage = try SQLiteStorage(directory: directory, logger: logger)
    try await prepare(storage)
    async let first = RegistryHarness(
      configuration, directory: directory, storage: storage, view: LateStorage(storage))
    async let second = RegistryHarness(
      configuration, directory: directory, storage: storage, view: LateStorage(storage))
    let (one, two) = try await (first, second)
    let result = await Result { try await body(one, two) }
    two.registry.stop()
    await one.close()
    try result.get()
  }

  private func claimedPorts(_ harness: RegistryHarness) async throws -> [String] {
    try await harness.storage.list(prefix: ServiceClaims.ports).items.map {
      String($0.key.dropFirst(ServiceClaims.ports.count))
    }
  }

  private func expectPorts(_ harness: RegistryHarness, _ wanted: [String], line: Int = #line) async throws {
    let claimed = try await claimedPorts(harness)
    #expect(claimed == wanted, "line \(line)")
  }

  @Test func serversThatStartTogetherMakeOneCluster() async throws {
    for _ in 0..<5 {
      try await withTwo { one, two in
        try await two.registry.catchUp()
        for harness in [one, two] {
          let service = try await harness.call("GET", services + "/kubernetes").json()
          #expect(service["spec"]?["clusterIP"] == "10.96.0.1")
        }
        try await one.registry.catchUp()
        #expect(one.registry.list(IPAddress.self).map(\.metadata.name) == ["10.96.0.1"])
      }
    }
  }

  @Test func aServerThatDiedOverTheFirstServiceIsReplaced() async throws {
    var configuration = RegistryConfiguration()
    configuration.bootstrapPatience = .milliseconds(100)
    try await withTwo(
      configuration,
      prepare: { storage in
        var left = IPAddress()
        left.metadata.name = "10.96.0.1"
        left.metadata.uid = "left"
        left.spec.parentRef = ParentReference {
          $0.resource = "services"
          $0.namespace = "default"
          $0.name = "kubernetes"
        }
        _ = try await storage.put(
          "/registry/ipaddresses.networking.k8s.io/10.96.0.1", left.encoded(), if: .absent, ttl: nil)
      }
    ) { one, two in
      try await two.registry.catchUp()
      let service = try await two.call("GET", services + "/kubernetes").json()
      #expect(service["spec"]?["clusterIP"] == "10.96.0.1")
      let address = try #require(two.registry.object(IPAddress.self, name: "10.96.0.1"))
      #expect(address.metadata.uid != "left")
      #expect(address.metadata.labels["ipaddress.kubernetes.io/managed-by"] == "ipallocator.k8s.io")
    }
  }

  @Test func everyAddressAndPortIsGivenOnce() async throws {
    var configuration = RegistryConfiguration()
    configuration.serviceClusterIPRange = "10.7.0.0/26"
    configuration.serviceNodePortRange = 30000...30063
    try await withTwo(configuration) { one, two in
      // 61 addresses are left for 60 services: servers that do not agree collide.
      let made = try await withThrowingTaskGroup(of: JSONValue.self) { group in
        for index in 0..<60 {
          let harness = index % 2 == 0 ? one : two
          group.addTask { [services] in
            try await harness.create(
              services,
              #"{"metadata":{"name":"s\#(index)"},"spec":{"type":"NodePort","ports":[{"port":80,"protocol":"TCP"}]}}"#)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      let addresses = Set(made.compactMap { $0["spec"]?["clusterIP"]?.stringValue })
      let ports = Set(made.compactMap { $0["spec"]?["ports"]?.arrayValue?.first?["nodePort"]?.intValue })
      #expect(addresses.count == 60)
      #expect(ports.count == 60)
      try await one.registry.catchUp()
      #expect(Set(one.registry.list(IPAddress.self).map(\.metadata.name)) == addresses.union(["10.7.0.1"]))
      let claimed = try await claimedPorts(one)
      #expect(Set(claimed) == Set(ports.map { String($0) }))
    }
  }

  @Test func whatOneServerGaveTheOtherRefuses() async throws {
    try await withTwo { one, two in
      try await one.create(
        services,
        #"{"metadata":{"name":"a"},"spec":{"type":"NodePort","clusterIP":"10.96.0.77","ports":[{"port":80,"nodePort":30080}]}}"#
      )
      let address = await two.call(
        "POST", services, #"{"metadata":{"name":"b"},"spec":{"clusterIP":"10.96.0.77","ports":[{"port":80}]}}"#)
      #expect(address.status == 422)
      #expect(address.message.hasSuffix("failed to allocate IP 10.96.0.77: provided IP is already allocated"))
      // Another protocol does not make it another port.
      let port = await two.call(
        "POST", services,
        #"{"metadata":{"name":"b"},"spec":{"type":"NodePort","ports":[{"port":53,"protocol":"UDP","nodePort":30080}]}}"#
      )
      #expect(port.status == 422)
      #expect(port.message.hasSuffix("Invalid value: 30080: provided port is already allocated"))
      // What the refused one had taken beside is free again.
      try await two.registry.catchUp()
      #expect(two.registry.list(IPAddress.self).map(\.metadata.name).sorted() == ["10.96.0.1", "10.96.0.77"])
      try await expectPorts(two, ["30080"])
      let gone = await two.call("DELETE", services + "/a")
      #expect(gone.status == 200)
      try await one.create(
        services,
        #"{"metadata":{"name":"b"},"spec":{"type":"NodePort","clusterIP":"10.96.0.77","ports":[{"port":80,"nodePort":30080}]}}"#
      )
    }
  }

  @Test func aDroppedPortIsFreeEverywhere() async throws {
    try await withTwo { one, two in
      try await one.create(
        services, #"{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30080}]}}"#)
      try await two.registry.catchUp()
      let moved = await two.call(
        "PATCH", services + "/a", #"{"spec":{"ports":[{"port":80,"nodePort":30081}]}}"#,
        type: "application/merge-patch+json")
      #expect(moved.status == 200, "\(moved.text)")
      try await expectPorts(one, ["30081"])
      try await one.registry.catchUp()
      let plain = await one.call(
        "PATCH", services + "/a",
        #"{"spec":{"type":"ExternalName","externalName":"a.example"}}"#,
        type: "application/merge-patch+json")
      #expect(plain.status == 200, "\(plain.text)")
      try await expectPorts(one, [])
      #expect(one.registry.list(IPAddress.self).map(\.metadata.name) == ["10.96.0.1"])
    }
  }

  @Test func aRefusedWriteLeavesNoClaim() async throws {
    try await withTwo { one, _ in
      // The address is allocated before validation finds that the port is none.
      let refused = await one.call(
        "POST", services, #"{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80000}]}}"#)
      #expect(refused.status == 422)
      let dry = await one.call(
        "POST", services + "?dryRun=All", #"{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80}]}}"#
      )
      #expect(dry.status == 201)
      try await expectPorts(one, [])
      #expect(one.registry.list(IPAddress.self).map(\.metadata.name) == ["10.96.0.1"])
    }
  }

  @Test func claimsAndServicesAreBroughtTogether() async throws {
    try await withTwo { one, two in
      try await one.create(
        services, #"{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30080}]}}"#)
      let address = try #require(one.registry.object(Service.self, namespace: "default", name: "a")).spec.clusterIP
      // A server died before it wrote its service, another lost what it had.
      _ = try await one.storage.put(
        ServiceClaims.key(port: 30099), #"{"namespace":"default","name":"never"}"#.utf8.map { $0 }, if: .absent,
        ttl: nil)
      var left = IPAddress()
      left.metadata.name = "10.96.3.4"
      left.metadata.labels = ["ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"]
      left.spec.parentRef = ParentReference {
        $0.resource = "services"
        $0.namespace = "default"
        $0.name = "never"
      }
      var foreign = left
      foreign.metadata.name = "10.96.3.5"
      foreign.spec.parentRef?.group = "gateway.networking.k8s.io"
      foreign.spec.parentRef?.resource = "gateways"
      for object in [left, foreign] {
        try await one.create(
          "/apis/networking.k8s.io/v1/ipaddresses", String(decoding: object.encodedWithType(), as: UTF8.self))
      }
      _ = try await one.storage.delete(ServiceClaims.key(port: 30080), if: .any)
      #expect(await one.call("DELETE", "/apis/networking.k8s.io/v1/ipaddresses/\(address)").status == 200)

      func names(_ harness: RegistryHarness) -> Set<String> {
        Set(harness.registry.list(IPAddress.self).map(\.metadata.name))
      }
      try await two.registry.catchUp()
      try await two.registry.repairServices(collect: true)
      #expect(names(two) == ["10.96.0.1", address, "10.96.3.4", "10.96.3.5"])
      try await expectPorts(two, ["30080", "30099"])
      // One look is not enough to take from somebody who may be about to write.
      try await two.registry.repairServices(collect: false)
      try await expectPorts(two, ["30080", "30099"])
      try await two.registry.repairServices(collect: true)
      #expect(names(two) == ["10.96.0.1", address, "10.96.3.5"])
      try await expectPorts(two, ["30080"])
    }
  }

  @Test func aLostAddressObjectIsNoticed() async throws {
    try await withTwo { one, _ in
      #expect(await one.call("DELETE", "/apis/networking.k8s.io/v1/ipaddresses/10.96.0.1").status == 200)
      var losses = one.registry.addresses.losses.makeAsyncIterator()
      await losses.next()
      try await one.registry.repairServices(collect: false)
      #expect(one.registry.object(IPAddress.self, name: "10.96.0.1") != nil)
    }
  }

  @Test func aChangeThatSeemsToBeMadeIsMade() async throws {
    try await withTwo { one, two in
      try await one.create(maps, #"{"metadata":{"name":"m"},"data":{"k":"a"}}"#)
      try await two.registry.catchUp()
      _ = await one.call("PUT", maps + "/m", #"{"metadata":{"name":"m"},"data":{"k":"b"}}"#)
      // The second server still sees "a", and is told to write "a".
      let back = await two.call("PUT", maps + "/m", #"{"metadata":{"name":"m"},"data":{"k":"a"}}"#)
      #expect(back.status == 200)
      let stored = try #require(try await one.storage.get("/registry/configmaps/default/m"))
      #expect(try JSONValue(parsing: stored.value)["data"]?["k"] == "a")
    }
  }

  @Test func patchesOfTwoServersAddUp() async throws {
    try await withTwo { one, two in
      try await one.create(maps, #"{"metadata":{"name":"m"},"data":{}}"#)
      try await two.registry.catchUp()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<40 {
          let harness = index % 2 == 0 ? one : two
          group.addTask { [maps] in
            let answer = await harness.call(
              "PATCH", maps + "/m", #"{"data":{"k\#(index)":"v"}}"#, type: "application/merge-patch+json")
            #expect(answer.status == 200, "\(answer.text)")
          }
        }
        try await group.waitForAll()
      }
      let stored = try #require(try await one.storage.get("/registry/configmaps/default/m"))
      #expect(try JSONValue(parsing: stored.value)["data"]?.objectValue?.count == 40)
    }
  }

  @Test func aDeletionThatSeemsToBeUnderWayIsLookedAtAgain() async throws {
    try await withTwo { one, two in
      try await one.create(maps, #"{"metadata":{"name":"m","finalizers":["a.example/x"]},"data":{}}"#)
      _ = await one.call("DELETE", maps + "/m")
      try await two.registry.catchUp()
      // It goes, and another one of that name comes, of which the second server does not know.
      _ = await one.call(
        "PATCH", maps + "/m", #"{"metadata":{"finalizers":null}}"#, type: "application/merge-patch+json")
      try await one.create(maps, #"{"metadata":{"name":"m"},"data":{"new":"yes"}}"#)
      let answer = await two.call("DELETE", maps + "/m")
      #expect(answer.status == 200)
      let left = try await one.storage.get("/registry/configmaps/default/m")
      #expect(left == nil)
    }
  }
}
