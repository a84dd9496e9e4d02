import API
import APIMachinery
import Client

/// What kinds a server serves, in its own order.
struct Discovery: Sendable {
  struct Resource: Sendable, Hashable {
    var location: ResourceLocation
    var kind: String
    var verbs: Set<String>
    var groupResource: GroupResource { GroupResource(group: location.group, resource: location.resource) }
  }

  /// Every resource, in each group's preferred version or the next that has it.
  private(set) var resources: [Resource] = []
  /// Every resource in every version, by its kind.
  private(set) var byKind: [GroupVersionKind: Resource] = [:]
  /// The group versions that could not be read, with why.
  private(set) var failures: [(groupVersion: String, message: String)] = []

  /// Asks the server.
  static func fetch(_ client: APIClient) async throws -> Discovery {
    var discovery = Discovery()
    await discovery.read(client, GroupVersion(group: "", version: "v1"))
    let groups = try JSONValue(parsing: try await client.raw("GET", "/apis"))
    for group in groups["groups"]?.arrayValue ?? [] {
      guard let name = group["name"]?.stringValue else { continue }
      var versions = (group["versions"]?.arrayValue ?? []).compactMap { $0["version"]?.stringValue }
      if let preferred = group["preferredVersion"]?["version"]?.stringValue,
        let index = versions.firstIndex(of: preferred)
      {
        versions.swapAt(0, index)
      }
      for version in versions { await discovery.read(client, GroupVersion(group: name, version: version)) }
    }
    return discovery
  }

  private mutating func read(_ client: APIClient, _ version: GroupVersion) async {
    let path = version.group.isEmpty ? "/api/\(version.version)" : "/apis/\(version.group)/\(version.version)"
    do {
      add(try JSONValue(parsing: try await client.raw("GET", path)), version)
    } catch {
      failures.append((version.apiVersion, (error as? StatusError)?.message ?? "\(error)"))
    }
  }

  mutating func add(_ list: JSONValue, _ version: GroupVersion) {
    for entry in list["resources"]?.arrayValue ?? [] {
      guard let name = entry["name"]?.stringValue, !name.contains("/"), let kind = entry["kind"]?.stringValue else {
        continue
      }
      let resource = Resource(
        location: ResourceLocation(
          group: version.group, version: version.version, resource: name,
          namespaced: entry["namespaced"]?.boolValue ?? false),
        kind: kind, verbs: Set((entry["verbs"]?.arrayValue ?? []).compactMap(\.stringValue)))
      byKind[GroupVersionKind(group: version.group, version: version.version, kind: kind)] = resource
      if !resources.contains(where: { $0.groupResource == resource.groupResource }) { resources.append(resource) }
    }
  }
}
