import ArgumentParser
import Client
import CloudControllerManager
import Foundation
import Logging

/// Which cloud a cluster is in, for `apus server`.
struct CloudControllerOptions: ParsableArguments {
  /// The clouds that this binary knows.
  enum Provider: String, ExpressibleByArgument, CaseIterable {
    /// Machines of one's own.
    case metal
    case aws
    /// Nobody answers for nodes and load balancers, or somebody else does.
    case none
  }

  @Option(
    help: """
      The cloud that answers for nodes and load balancers: metal (machines of one's own), aws, or none.
      """)
  var cloudProvider = Provider.metal

  @Option(help: "The cloud's own configuration file.")
  var cloudConfig: String?

  @Option(
    help: """
      Addresses that load balancers get on metal, such as 10.77.0.200-10.77.0.220 or 10.77.0.192/28, separated by \
      commas; nodes answer for them on their network. Without it a load balancer has its nodes' addresses.
      """)
  var loadBalancerPool: String?

  func validate() throws {
    guard let loadBalancerPool else { return }
    guard AddressPool(loadBalancerPool) != nil else {
      throw ValidationError("--load-balancer-pool: \(loadBalancerPool) is no list of IPv4 ranges")
    }
    guard cloudProvider == .metal else {
      throw ValidationError("--load-balancer-pool is for --cloud-provider metal only")
    }
  }

  /// The provider itself; nil for `none`.
  func provider(
    client: APIClient, informers: InformerFactory, logger: Logger
  ) async throws -> (any CloudProvider)? {
    try await Self.make(
      cloudProvider, configurationFile: cloudConfig, pool: loadBalancerPool.flatMap(AddressPool.init), client: client,
      informers: informers, logger: logger)
  }

  static func make(
    _ provider: Provider, configurationFile: String?, pool: AddressPool?, client: APIClient,
    informers: InformerFactory, logger: Logger
  ) async throws -> (any CloudProvider)? {
    switch provider {
    case .none: return nil
    case .metal: return MetalProvider(pool: pool, client: client, informers: informers, logger: logger)
    case .aws:
      let text = try configurationFile.map { try String(contentsOfFile: $0, encoding: .utf8) } ?? ""
      return try await AWSProvider(configuration: AWSConfiguration(cloudConfig: text), logger: logger)
    }
  }
}
