import API

/// Collects the files of configMap, secret, downwardAPI and projected volumes.
struct VolumePayload: Sendable {
  let pod: Pod
  let objects: any VolumeObjects
  let hostIPs: [String]
  let podIPs: [String]
  let allocatable: [String: Quantity]

  /// The files of a volume; nil when it is not of such a kind.
  func files(_ volume: Volume) async throws -> [String: ProjectedFile]? {
    if let source = volume.configMap {
      return try await configMap(
        source.name, source.items, optional: source.optional ?? false, mode: source.defaultMode ?? 0o644)
    }
    if let source = volume.secret {
      return try await secret(
        source.secretName, source.items, optional: source.optional ?? false, mode: source.defaultMode ?? 0o644)
    }
    if let source = volume.downwardAPI { return try downward(source.items, mode: source.defaultMode ?? 0o644) }
    guard let source = volume.projected else { return nil }
    let mode = source.defaultMode ?? 0o644
    var out: [String: ProjectedFile] = [:]
    for projection in source.sources {
      if let part = projection.configMap {
        out.merge(
          try await configMap(part.name, part.items, optional: part.optional ?? false, mode: mode)
        ) { $1 }
      }
      if let part = projection.secret {
        out.merge(try await secret(part.name, part.items, optional: part.optional ?? false, mode: mode)) { $1 }
      }
      if let part = projection.downwardAPI { out.merge(try downward(part.items, mode: mode)) { $1 } }
      if let part = projection.serviceAccountToken {
        out[part.path] = try await token(part, mode: mode)
      }
    }
    return out
  }

  private func configMap(_ name: String, _ items: [KeyToPath], optional: Bool, mode: Int32) async throws
    -> [String: ProjectedFile]
  {
    guard let map = try await objects.configMap(pod.metadata.namespace, name) else {
      if optional { return [:] }
      throw ContainerConfigError(description: "configmap \"\(name)\" not found")
    }
    var data = map.data.mapValues { Array($0.utf8) }
    for (key, value) in map.binaryData { data[key] = value.bytes }
    return try select(data, items, optional: optional, mode: mode, what: "configmap references non-existent config key")
  }

  private func secret(_ name: String, _ items: [KeyToPath], optional: Bool, mode: Int32) async throws
    -> [String: ProjectedFile]
  {
    guard let secret = try await objects.secret(pod.metadata.namespace, name) else {
      if optional { return [:] }
      throw ContainerConfigError(description: "secret \"\(name)\" not found")
    }
    return try select(
      secret.data.mapValues(\.bytes), items, optional: optional, mode: mode,
      what: "references non-existent secret key")
  }

  private func select(
    _ data: [String: [UInt8]], _ items: [KeyToPath], optional: Bool, mode: Int32, what: String
  ) throws -> [String: ProjectedFile] {
    if items.isEmpty { return data.mapValues { ProjectedFile(data: $0, mode: UInt32(mode)) } }
    var out: [String: ProjectedFile] = [:]
    for item in items {
      guard let value = data[item.key] else {
        if optional { continue }
        throw ContainerConfigError(description: "\(what): \(item.key)")
      }
      out[item.path] = ProjectedFile(data: value, mode: UInt32(item.mode ?? mode))
    }
    return out
  }

  private func downward(_ items: [DownwardAPIVolumeFile], mode: Int32) throws -> [String: ProjectedFile] {
    var out: [String: ProjectedFile] = [:]
    for item in items {
      let text: String
      if let field = item.fieldRef {
        guard let value = FieldPaths.value(field.fieldPath, pod: pod, hostIPs: hostIPs, podIPs: podIPs) else {
          throw ContainerConfigError(description: "unsupported fieldPath: \(field.fieldPath)")
        }
        text = value
      } else if let resource = item.resourceFieldRef {
        guard let container = pod.allContainers.first(where: { $0.name == resource.containerName }) else {
          throw ContainerConfigError(description: "container \(resource.containerName) not found")
        }
        text = try FieldPaths.resource(resource, container: container, allocatable: allocatable)
      } else {
        continue
      }
      out[item.path] = ProjectedFile(data: Array(text.utf8), mode: UInt32(item.mode ?? mode))
    }
    return out
  }

  /// A token is for the pod's processes alone: if one user or a group can be told, nobody else may read it.
  private func token(_ source: ServiceAccountTokenProjection, mode: Int32) async throws -> ProjectedFile {
    let text = try await objects.token(
      pod, audience: source.audience, expirationSeconds: source.expirationSeconds ?? 3600)
    var file = ProjectedFile(data: Array(text.utf8), mode: UInt32(mode))
    if pod.spec.securityContext?.fsGroup != nil {
      file.mode = 0o600
    } else if let user = commonUser() {
      file.mode = 0o600
      file.user = UInt32(truncatingIfNeeded: user)
    }
    return file
  }

  private func commonUser() -> Int64? {
    let users = Set(pod.allContainers.map { SecurityContexts.runAsUser(pod, $0) })
    return users.count == 1 ? users.first.flatMap { $0 } : nil
  }
}
