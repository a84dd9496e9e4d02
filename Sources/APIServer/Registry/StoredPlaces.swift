import APIMachinery
import APIMeta
import APISchema

/// Where a resource's objects lie in a store: in this server's own keys, and in those of upstream.
public struct StoredPlace: Sendable {
  /// What follows `/registry/` in this server's keys: `deployments.apps`.
  public var name: String
  /// What follows the prefix in upstream's: `deployments`.
  public var upstream: String
  /// The type of what is stored.
  public var apiVersion: String
  public var kind: String

  /// Upstream calls some of them by older names, and gives a directory to what was once an extension.
  private static let exceptions = [
    "nodes": "minions", "services": "services/specs", "endpoints": "services/endpoints",
    "replicationcontrollers": "controllers", "ingresses.networking.k8s.io": "ingress",
    "podsecuritypolicies.policy": "podsecuritypolicy",
    "customresourcedefinitions.apiextensions.k8s.io": "apiextensions.k8s.io/customresourcedefinitions",
    "apiservices.apiregistration.k8s.io": "apiregistration.k8s.io/apiservices",
  ]

  /// Of every resource that is stored.
  public static let all: [StoredPlace] = {
    let layout = StorageLayout(builtInResources)
    var places: [String: StoredPlace] = [:]
    for info in builtInResources where layout.isStored(info) {
      let (home, name) = layout.home(info)
      let version = home.group.isEmpty ? home.version : "\(home.group)/\(home.version)"
      places[name] = StoredPlace(
        name: name, upstream: exceptions[name] ?? home.resource, apiVersion: version, kind: home.kind)
    }
    return places.values.sorted { $0.name < $1.name }
  }()
}
