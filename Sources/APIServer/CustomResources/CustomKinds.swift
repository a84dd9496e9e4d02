import API
import APIMachinery
import APISchema
import CustomResources
import Storage
import Synchronization

/// The custom resources that are served, looked up as the built-in ones are.
final class CustomKinds: Sendable {
  private struct State {
    var byVersion: [GroupVersionResource: ServedResource] = [:]
    var byGroup: [GroupResource: ServedResource] = [:]
    var byKind: [GroupVersionKind: ServedResource] = [:]
    var definitions: [String: Definition] = [:]
  }
  /// What one CustomResourceDefinition gives.
  struct Definition: Sendable {
    var uid: String
    var generation: Int64
    var names: CustomResourceDefinitionNames
    var isTerminating: Bool
    var resources: [ServedResource]
  }
  private let state = Mutex(State())
  private let follower = Mutex<@Sendable (CustomKinds) -> Void>({ _ in })

  /// Calls `body` now and after every change.
  func follow(_ body: @escaping @Sendable (CustomKinds) -> Void) {
    follower.withLock { $0 = body }
    body(self)
  }

  func resource(_ key: GroupVersionResource) -> ServedResource? { state.withLock { $0.byVersion[key] } }
  func resource(_ key: GroupResource) -> ServedResource? { state.withLock { $0.byGroup[key] } }
  func resource(kind: GroupVersionKind) -> ServedResource? { state.withLock { $0.byKind[kind] } }

  /// All served versions of all definitions, by name of definition.
  var all: [ServedResource] {
    state.withLock { state in state.definitions.sorted { $0.key < $1.key }.flatMap(\.value.resources) }
  }

  /// The served versions of one resource.
  func versions(of resource: GroupResource) -> [ServedResource] {
    state.withLock { $0.definitions["\(resource.resource).\(resource.group)"]?.resources ?? [] }
  }

  func definition(_ name: String) -> Definition? { state.withLock { $0.definitions[name] } }

  /// Serves what a definition says, or nothing of it. Returns whether that is a change.
  @discardableResult
  func set(_ name: String, _ definition: Definition?) -> Bool {
    let isChange = state.withLock { state in
      let old = state.definitions[name]
      if let old, let definition, old.uid == definition.uid, old.generation == definition.generation,
        old.names == definition.names, old.isTerminating == definition.isTerminating
      {
        return false
      }
      if old == nil, definition == nil { return false }
      state.definitions[name] = definition
      state.byVersion = [:]
      state.byGroup = [:]
      state.byKind = [:]
      for resource in state.definitions.values.flatMap(\.resources) {
        let info = resource.info
        state.byVersion[GroupVersionResource(group: info.group, version: info.version, resource: info.resource)] =
          resource
        state.byKind[resource.gvk] = resource
        // The version it is stored in stands for the resource, or any other if that is not served.
        if info.version == info.storageVersion || state.byGroup[resource.groupResource] == nil {
          state.byGroup[resource.groupResource] = resource
        }
      }
      return true
    }
    if isChange { follower.withLock { $0 }(self) }
    return isChange
  }

  /// What discovery says of them.
  var discovery: LiveDiscovery.Addition {
    var addition = LiveDiscovery.Addition()
    var groups: [String: Set<String>] = [:]
    for resource in all {
      addition.resources.append(resource.info)
      groups[resource.info.group, default: []].insert(resource.info.version)
    }
    for (name, versions) in groups.sorted(by: { $0.key < $1.key }) {
      let ordered = versions.sorted { VersionPriority($0) > VersionPriority($1) }
      addition.groups.append(GroupInfo(name: name, preferred: ordered.first ?? "", versions: ordered))
    }
    return addition
  }
}

/// The order of versions: `v10`, `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`, then all others by name.
struct VersionPriority: Comparable {
  private let stage: Int
  private let major: Int
  private let minor: Int
  private let text: String

  init(_ version: String) {
    text = version
    var rest = version.utf8.dropFirst(version.hasPrefix("v") ? 1 : 0)
    func number() -> Int? {
      let digits = rest.prefix { $0 >= 0x30 && $0 <= 0x39 }
      rest = rest.dropFirst(digits.count)
      return digits.first == 0x30 ? nil : Int(String(decoding: digits, as: UTF8.self))
    }
    guard version.hasPrefix("v"), let major = number() else {
      (stage, self.major, minor) = (0, 0, 0)
      return
    }
    if rest.isEmpty {
      (stage, self.major, minor) = (3, major, 0)
      return
    }
    for (name, stage) in [("beta", 2), ("alpha", 1)] where rest.starts(with: name.utf8) {
      rest = rest.dropFirst(name.utf8.count)
      if let minor = number(), rest.isEmpty {
        (self.stage, self.major, self.minor) = (stage, major, minor)
        return
      }
    }
    (stage, self.major, minor) = (0, 0, 0)
  }

  static func < (a: VersionPriority, b: VersionPriority) -> Bool {
    if a.stage != b.stage { return a.stage < b.stage }
    if a.stage == 0 { return a.text > b.text }
    return (a.major, a.minor) < (b.major, b.minor)
  }
}

extension ServedResource {
  /// The served versions of a definition, by its accepted names. `trustedSince`: objects written later went through
  /// this schema.
  static func resources(
    of definition: CustomResourceDefinition, cache: ResourceCache, trustedSince: Revision, registry: Registry
  ) -> [ServedResource] {
    let names = definition.status.acceptedNames
    let storage = definition.spec.versions.first { $0.storage }?.name ?? ""
    return definition.spec.versions.filter(\.served).map { version in
      var info = ResourceInfo()
      info.group = definition.spec.group
      info.version = version.name
      info.resource = names.plural
      info.singular = names.singular
      info.kind = names.kind
      info.namespaced = definition.spec.scope == "Namespaced"
      info.verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
      info.shortNames = names.shortNames
      info.categories = names.categories
      info.storageGroup = definition.spec.group
      info.storageVersion = storage
      info.stage = "ga"
      info.enabledByDefault = true
      var status = SubresourceInfo()
      status.name = "status"
      status.verbs = ["get", "patch", "update"]
      status.kind = names.kind
      status.group = info.group
      status.version = info.version
      if version.subresources?.status != nil { info.subresources.append(status) }
      if version.subresources?.scale != nil {
        var scale = status
        scale.name = "scale"
        scale.kind = "Scale"
        scale.group = "autoscaling"
        scale.version = "v1"
        info.subresources.append(scale)
      }
      let custom = CustomVersion(definition, version, trustedSince: trustedSince, registry: registry)
      return ServedResource(info: info, custom: custom, listKind: names.listKind, cache: cache)
    }
  }
}

extension CustomVersion {
  /// How a custom kind differs from the plain case.
  var traits: Traits {
    var traits = Traits()
    traits.generation = hasStatus ? .content : .everything
    traits.unconditionalUpdate = false
    return traits
  }
}
