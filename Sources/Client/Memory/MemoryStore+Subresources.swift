import API
import APIMachinery

extension MemoryStore {
  mutating func postSubresource(_ resource: Resource, _ route: MemoryRoute, _ name: String) throws -> JSONValue {
    let key = route.key(name)
    guard var object = objects[resource.groupResource]?[key] else {
      throw StatusError.notFound(resource.groupResource, name)
    }
    let success = JSONValue.object([
      "kind": .string("Status"), "apiVersion": .string("v1"), "status": .string("Success"), "code": .int(201),
    ])
    let body = try route.tree()
    switch (resource.info.kind, route.subresource) {
    case ("Pod", "binding"):
      if let uid = body["metadata"]?["uid"]?.stringValue, !uid.isEmpty, uid != object["metadata"]?["uid"]?.stringValue {
        throw StatusError.conflict(resource.groupResource, name, "Precondition failed: UID in precondition: \(uid)")
      }
      var spec = object["spec"] ?? .object([:])
      if let node = spec["nodeName"]?.stringValue, !node.isEmpty {
        throw StatusError.conflict(
          GroupResource(group: "", resource: "pods/binding"), name,
          "pod \(name) is already assigned to node \"\(node)\"")
      }
      let old = object
      spec["nodeName"] = body["target"]?["name"]
      object["spec"] = spec
      object["status"] = scheduled(object["status"] ?? .object([:]))
      commit(resource, key, old: old, new: object)
      return success
    case ("Pod", "eviction"):
      let options = try body["deleteOptions"].map { try DeleteOptions.decode($0.encoded()) } ?? DeleteOptions()
      _ = try delete(resource, key, options)
      return success
    case ("ServiceAccount", "token"):
      var answer = body
      let seconds = body["spec"]?["expirationSeconds"]?.intValue ?? 3600
      answer["status"] = .object([
        "token": .string("token-of-\(name)"),
        "expirationTimestamp": .string(now().adding(seconds: seconds).description),
      ])
      return answer
    default:
      throw StatusError.notFound(resource.groupResource, name)
    }
  }

  private func scheduled(_ status: JSONValue) -> JSONValue {
    var status = status
    var conditions = (status["conditions"]?.arrayValue ?? []).filter { $0["type"]?.stringValue != "PodScheduled" }
    conditions.append(
      .object([
        "type": .string("PodScheduled"), "status": .string("True"), "lastProbeTime": .null,
        "lastTransitionTime": .string(now().description),
      ]))
    status["conditions"] = .array(conditions)
    return status
  }

  func scale(of object: JSONValue) -> JSONValue {
    let metadata = object["metadata"]
    var selector = ""
    let labels = object["spec"]?["selector"]?["matchLabels"]?.objectValue ?? object["spec"]?["selector"]?.objectValue
    if let labels {
      selector = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.stringValue ?? "")" }
        .joined(separator: ",")
    }
    return .object([
      "kind": .string("Scale"), "apiVersion": .string("autoscaling/v1"),
      "metadata": .object([
        "name": metadata?["name"] ?? .null, "namespace": metadata?["namespace"] ?? .null,
        "uid": metadata?["uid"] ?? .null, "resourceVersion": metadata?["resourceVersion"] ?? .null,
      ]),
      "spec": .object(["replicas": object["spec"]?["replicas"] ?? .int(1)]),
      "status": .object([
        "replicas": object["status"]?["replicas"] ?? .int(0), "selector": .string(selector),
      ]),
    ])
  }

  /// The discovery document at a path, if there is one.
  func discovery(_ path: String) -> JSONValue? {
    let infos = builtInResources.filter(\.enabledByDefault)
    switch path {
    case "/api":
      return .object(["kind": .string("APIVersions"), "versions": .array([.string("v1")])])
    case "/apis":
      var groups: [String: [String]] = [:]
      for info in infos where !info.group.isEmpty {
        if groups[info.group, default: []].contains(info.version) == false { groups[info.group]?.append(info.version) }
      }
      let list = groups.sorted { $0.key < $1.key }.map { name, versions -> JSONValue in
        let all = versions.sorted { a, b in a.count == b.count ? a > b : a.count < b.count }
          .map { JSONValue.object(["groupVersion": .string("\(name)/\($0)"), "version": .string($0)]) }
        return .object(["name": .string(name), "versions": .array(all), "preferredVersion": all[0]])
      }
      return .object(["kind": .string("APIGroupList"), "apiVersion": .string("v1"), "groups": .array(list)])
    default:
      let parts = path.split(separator: "/").map(String.init)
      let wanted: (group: String, version: String)
      if parts.count == 2, parts[0] == "api" {
        wanted = ("", parts[1])
      } else if parts.count == 3, parts[0] == "apis" {
        wanted = (parts[1], parts[2])
      } else {
        return nil
      }
      let found = infos.filter { $0.group == wanted.group && $0.version == wanted.version }
      guard !found.isEmpty else { return nil }
      let resources = found.map { info in
        JSONValue.object([
          "name": .string(info.resource), "singularName": .string(info.singular), "kind": .string(info.kind),
          "namespaced": .bool(info.namespaced), "verbs": .array(info.verbs.map { JSONValue.string($0) }),
        ])
      }
      let version = wanted.group.isEmpty ? wanted.version : "\(wanted.group)/\(wanted.version)"
      return .object([
        "kind": .string("APIResourceList"), "apiVersion": .string("v1"), "groupVersion": .string(version),
        "resources": .array(resources),
      ])
    }
  }
}
