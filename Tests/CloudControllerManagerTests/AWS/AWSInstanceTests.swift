import API
import Logging
import Testing

@testable import CloudControllerManager

@Suite struct AWSInstanceTests {
  @Test func metadata() async throws {
    let world = try await MotoWorld("eu-west-1")
    let instance = try #require(try await world.run(1, subnet: 1).first)
    let provider = try await world.provider()
    for byName in [false, true] {
      let metadata = try await provider.instanceMetadata(MotoWorld.node(instance, byName: byName))
      #expect(metadata.providerID == "aws:///eu-west-1b/\(instance.id)")
      #expect(metadata.instanceType == "m5.large")
      #expect(metadata.zone == "eu-west-1b")
      #expect(metadata.region == "eu-west-1")
      #expect(metadata.additionalLabels["topology.k8s.aws/zone-id"]?.hasPrefix("euw1-az") == true)
      #expect(metadata.addresses.first { $0.type == "InternalIP" }?.address == instance.privateIP)
      #expect(metadata.addresses.first { $0.type == "InternalDNS" }?.address == instance.privateDNSName)
      #expect(metadata.addresses.first { $0.type == "Hostname" }?.address == instance.privateDNSName)
    }
  }

  @Test func life() async throws {
    let world = try await MotoWorld("eu-west-2")
    let instance = try #require(try await world.run(1).first)
    let provider = try await world.provider()
    let node = MotoWorld.node(instance)
    #expect(try await provider.instanceExists(node))
    #expect(try await !provider.instanceShutdown(node))
    try await world.change("StopInstances", [instance.id])
    #expect(try await provider.instanceExists(node))
    #expect(try await provider.instanceShutdown(node))
    try await world.change("TerminateInstances", [instance.id])
    #expect(try await !provider.instanceExists(node))
    #expect(try await !provider.instanceShutdown(node))
    await #expect(throws: CloudProviderError.self) { _ = try await provider.instanceMetadata(node) }
    var unknown = node
    unknown.spec.providerID = "aws:///eu-west-2a/i-0123456789abcdef0"
    #expect(try await !provider.instanceExists(unknown))
    // Without a provider ID nothing proves that the machine is gone.
    var nameless = Node()
    nameless.metadata.name = "elsewhere"
    await #expect(throws: CloudProviderError.self) { _ = try await provider.instanceExists(nameless) }
  }

  @Test func manyQuestionsAreOneRequest() async throws {
    let world = try await MotoWorld("eu-west-3")
    let instances = try await world.run(20)
    let provider = try await world.provider(lifetime: .seconds(60))
    func ask() async throws -> Int {
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for instance in instances { group.addTask { try await provider.instanceExists(MotoWorld.node(instance)) } }
        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
    }
    #expect(try await ask() == 20)
    let first = world.actions()
    #expect(!first.isEmpty && first.count <= 3)
    #expect(try await ask() == 20)
    #expect(world.actions() == [])
  }

  @Test func aClusterMustBeNamed() async throws {
    let configuration = try AWSConfiguration(
      environment: [
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent",
      ])
    await #expect(throws: AWSConfigurationError.self) {
      _ = try await AWSProvider(configuration: configuration, logger: .init(label: "t"))
    }
  }
}
