import API
import Client

/// What every node must know of its cluster. Servers publish it, so that an agent needs no flags for it.
struct ClusterSettings: Sendable, Equatable {
  static let namespace = "kube-system"
  static let configMapName = "apus-config"

  var clusterCIDR: String
  var serviceCIDR: String
  var clusterDNS: String
  var clusterDomain: String
  /// Who answers for nodes, as in `--cloud-provider`.
  var cloudProvider: String

  init(
    clusterCIDR: String, serviceCIDR: String, clusterDNS: String, clusterDomain: String, cloudProvider: String = "metal"
  ) {
    self.clusterCIDR = clusterCIDR
    self.serviceCIDR = serviceCIDR
    self.clusterDNS = clusterDNS
    self.clusterDomain = clusterDomain
    self.cloudProvider = cloudProvider
  }

  /// Nil when something is missing.
  init?(_ data: [String: String]) {
    guard let clusterCIDR = data["clusterCIDR"], let serviceCIDR = data["serviceCIDR"],
      let clusterDNS = data["clusterDNS"], let clusterDomain = data["clusterDomain"]
    else { return nil }
    self.init(
      clusterCIDR: clusterCIDR, serviceCIDR: serviceCIDR, clusterDNS: clusterDNS, clusterDomain: clusterDomain,
      cloudProvider: data["cloudProvider"] ?? "metal")
  }

  var data: [String: String] {
    [
      "clusterCIDR": clusterCIDR, "serviceCIDR": serviceCIDR, "clusterDNS": clusterDNS,
      "clusterDomain": clusterDomain, "cloudProvider": cloudProvider,
    ]
  }

  /// Asks the cluster.
  static func fetch(_ client: APIClient) async throws -> ClusterSettings {
    let map = try await client.get(ConfigMap.self, namespace: namespace, name: configMapName)
    guard let settings = ClusterSettings(map.data) else {
      throw AgentError("the ConfigMap \(namespace)/\(configMapName) is not complete: is this an Apus cluster?")
    }
    return settings
  }
}

/// Why an agent cannot go on, in one line.
struct AgentError: Error, CustomStringConvertible, Equatable {
  var description: String
  init(_ description: String) { self.description = description }
}
