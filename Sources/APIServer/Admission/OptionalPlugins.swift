import API
import APIMachinery
import APIMeta

// Plugins that run only where they are asked for.

/// Images are pulled for every pod, so that nobody uses another's without having been let in to the registry.
struct AlwaysPullImages: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.resource.groupResource == Pod.groupResource, request.operation != .delete,
      request.subresource.isEmpty || request.subresource == "ephemeralcontainers"
    else { return }
    object.with(Pod.self) { pod in
      for index in pod.spec.containers.indices { pod.spec.containers[index].imagePullPolicy = "Always" }
      for index in pod.spec.initContainers.indices { pod.spec.initContainers[index].imagePullPolicy = "Always" }
      for index in pod.spec.ephemeralContainers.indices {
        pod.spec.ephemeralContainers[index].imagePullPolicy = "Always"
      }
    }
  }
}

/// Lets nothing in.
struct AlwaysDeny: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    throw request.forbidden(object.metadata.name, "admission control is denying all modifications")
  }
}

/// External addresses of services are not anybody's to take (CVE-2020-8554).
struct DenyServiceExternalIPs: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.subresource.isEmpty, request.operation != .delete, let service = object.as(Service.self) else {
      return
    }
    let known = Set(request.old?.as(Service.self)?.spec.externalIPs ?? [])
    if service.spec.externalIPs.allSatisfy(known.contains) { return }
    throw request.forbidden(service.metadata.name, "Use of external IPs is denied by admission control")
  }
}

/// Required anti-affinity spreads over nodes only, so that no pod keeps others out of a whole zone.
struct LimitPodHardAntiAffinityTopology: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.subresource.isEmpty, request.operation != .delete, let pod = object.as(Pod.self) else { return }
    for term in pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
    where term.topologyKey != "kubernetes.io/hostname" {
      throw request.forbidden(
        pod.metadata.name,
        "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey \(term.topologyKey) but only key "
          + "kubernetes.io/hostname is allowed")
    }
  }
}

/// Pods that ask for a device tolerate the taint that keeps others off its nodes.
struct ExtendedResourceToleration: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create) || request.isCore("pods", .update) else { return }
    object.with(Pod.self) { pod in
      var names: Set<String> = []
      for container in pod.spec.containers + pod.spec.initContainers {
        for name in container.resources.requests.keys where Self.isExtended(name) { names.insert(name) }
      }
      for name in names.sorted() {
        let has = pod.spec.tolerations.contains {
          $0.key == name && $0.operator == "Exists" && ($0.effect.isEmpty || $0.effect == "NoSchedule")
        }
        if has { continue }
        pod.spec.tolerations.append(
          Toleration {
            $0.key = name
            $0.operator = "Exists"
            $0.effect = "NoSchedule"
          })
      }
    }
  }

  private static func isExtended(_ name: String) -> Bool {
    name.contains("/") && !name.hasPrefix("kubernetes.io/") && !name.hasPrefix("requests.")
  }
}

/// Objects live in namespaces that exist; where NamespaceLifecycle runs it sees to this.
struct NamespaceExists: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, !request.namespace.isEmpty,
      registry.object(Namespace.self, name: request.namespace) == nil
    else { return }
    throw StatusError.notFound(Namespace.groupResource, request.namespace)
  }
}

/// Pods of a namespace go only where its annotation says.
struct PodNodeSelector: AdmissionPlugin {
  private static let annotation = "scheduler.alpha.kubernetes.io/node-selector"

  private func selector(_ request: AdmissionRequest, _ registry: Registry) throws -> [String: String] {
    guard let text = registry.object(Namespace.self, name: request.namespace)?.metadata.annotations[Self.annotation]
    else { return [:] }
    var selector: [String: String] = [:]
    for pair in text.split(separator: ",") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2 else { throw StatusError.internalError("invalid selector: \(goQuoted(text))") }
      selector[String(sides[0]).trimmingSpaces] = String(sides[1]).trimmingSpaces
    }
    return selector
  }

  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create), let pod = object.as(Pod.self) else { return }
    let wanted = try selector(request, registry)
    for (key, value) in wanted {
      if let own = pod.spec.nodeSelector[key], own != value {
        throw request.forbidden(
          pod.metadata.name, "pod node label selector conflicts with its namespace node label selector")
      }
    }
    object.with(Pod.self) { $0.spec.nodeSelector.merge(wanted) { own, _ in own } }
  }
}

/// Who may not delete an object may not give it an owner either, nor keep an owner that it has no say over waiting.
struct OwnerReferencesPermissionEnforcement: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, request.subresource.isEmpty else { return }
    let new = object.metadata.ownerReferences
    let old = request.old?.metadata.ownerReferences ?? []
    if new == old { return }
    let info = request.resource.info
    let mayDelete = registry.access.decide(
      request.user,
      AuthorizationAttributes(
        verb: "delete", apiGroup: info.group, resource: info.resource, namespace: request.namespace,
        name: request.operation == .create ? "" : request.name))
    if mayDelete.decision != .allowed {
      throw request.forbidden(
        object.metadata.name,
        "cannot set an ownerRef on a resource you can't delete: \(mayDelete.reason), <nil>")
    }
    let known = Set(old.filter { $0.blockOwnerDeletion == true }.map(\.uid))
    for owner in new where owner.blockOwnerDeletion == true && !known.contains(owner.uid) {
      let version = GroupVersion(apiVersion: owner.apiVersion)
      let kind = GroupVersionKind(group: version.group, version: version.version, kind: owner.kind)
      guard let resource = registry.resource(kind: kind) else {
        throw request.forbidden(
          object.metadata.name,
          "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion \(owner.apiVersion) "
            + "Kind \(owner.kind)")
      }
      let answer = registry.access.decide(
        request.user,
        AuthorizationAttributes(
          verb: "update", apiGroup: resource.info.group, resource: resource.info.resource, subresource: "finalizers",
          namespace: resource.info.namespaced ? request.namespace : "", name: owner.name))
      if answer.decision != .allowed {
        throw request.forbidden(
          object.metadata.name,
          "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "
            + "\(answer.reason), <nil>")
      }
    }
  }
}
