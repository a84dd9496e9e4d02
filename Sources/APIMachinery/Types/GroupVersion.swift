/// An API group and version: "apps/v1", or "v1" for the core group.
public struct GroupVersion: Hashable, Sendable, CustomStringConvertible {
  /// The group, "" for core.
  public var group: String
  /// The version.
  public var version: String

  public init(group: String, version: String) {
    self.group = group
    self.version = version
  }

  /// Splits "group/version"; a string without slash is a core version.
  public init(apiVersion: String) {
    if let slash = apiVersion.utf8.firstIndex(of: UInt8(ascii: "/")) {
      group = String(apiVersion[..<slash])
      version = String(apiVersion[apiVersion.index(after: slash)...])
    } else {
      group = ""
      version = apiVersion
    }
  }

  /// As objects say it.
  public var apiVersion: String { group.isEmpty ? version : group + "/" + version }
  public var description: String { apiVersion }
}

/// A kind in a group and version.
public struct GroupVersionKind: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var version: String
  public var kind: String

  public init(group: String, version: String, kind: String) {
    self.group = group
    self.version = version
    self.kind = kind
  }

  public init(apiVersion: String, kind: String) {
    let gv = GroupVersion(apiVersion: apiVersion)
    self.init(group: gv.group, version: gv.version, kind: kind)
  }

  /// As objects say it.
  public var apiVersion: String { groupVersion.apiVersion }
  public var groupVersion: GroupVersion { GroupVersion(group: group, version: version) }
  public var groupKind: GroupKind { GroupKind(group: group, kind: kind) }
  /// As Go prints it.
  public var description: String { "\(apiVersion), Kind=\(kind)" }
}

/// A kind in a group, whatever the version.
public struct GroupKind: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var kind: String

  public init(group: String, kind: String) {
    self.group = group
    self.kind = kind
  }

  /// "Deployment.apps", or "Pod".
  public var description: String { group.isEmpty ? kind : kind + "." + group }
}

/// A resource in a group and version.
public struct GroupVersionResource: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var version: String
  public var resource: String

  public init(group: String, version: String, resource: String) {
    self.group = group
    self.version = version
    self.resource = resource
  }

  public init(apiVersion: String, resource: String) {
    let gv = GroupVersion(apiVersion: apiVersion)
    self.init(group: gv.group, version: gv.version, resource: resource)
  }

  /// As objects say it.
  public var apiVersion: String { groupVersion.apiVersion }
  public var groupVersion: GroupVersion { GroupVersion(group: group, version: version) }
  public var groupResource: GroupResource { GroupResource(group: group, resource: resource) }
  /// As Go prints it.
  public var description: String { "\(apiVersion), Resource=\(resource)" }
}

/// A resource in a group, whatever the version.
public struct GroupResource: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var resource: String

  public init(group: String, resource: String) {
    self.group = group
    self.resource = resource
  }

  /// "deployments.apps", or "pods".
  public var description: String { group.isEmpty ? resource : resource + "." + group }
}
