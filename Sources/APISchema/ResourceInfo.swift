/// A served resource, as discovery shows it.
public struct ResourceInfo: Sendable, Hashable {
  /// The API group; empty for the core group.
  public var group = ""
  /// The version within the group.
  public var version = ""
  /// The plural, as it stands in URLs.
  public var resource = ""
  /// The singular.
  public var singular = ""
  /// The kind.
  public var kind = ""
  /// Whether objects live in namespaces.
  public var namespaced = false
  /// What can be done with it.
  public var verbs: [String] = []
  /// Short names, such as `po`.
  public var shortNames: [String] = []
  /// Categories, such as `all`.
  public var categories: [String] = []
  /// The group whose version objects are stored in.
  public var storageGroup = ""
  /// The version objects are stored in; empty for what is never stored.
  public var storageVersion = ""
  /// `ga` or `beta`.
  public var stage = ""
  /// Whether its group version is served unless asked not to.
  public var enabledByDefault = false
  /// Whether it is the preferred version of the resource.
  public var preferred = false
  /// Its subresources.
  public var subresources: [SubresourceInfo] = []

  /// An empty description.
  public init() {}

  /// `group/version`, or the bare version for the core group.
  public var apiVersion: String { group.isEmpty ? version : group + "/" + version }

  /// The subresource of that name.
  public func subresource(_ name: String) -> SubresourceInfo? { subresources.first { $0.name == name } }
}

/// A subresource such as `status` or `exec`.
public struct SubresourceInfo: Sendable, Hashable {
  /// The last part of its path.
  public var name = ""
  /// The kind it takes and gives.
  public var kind = ""
  /// The kind's group.
  public var group = ""
  /// The kind's version.
  public var version = ""
  /// What can be done with it.
  public var verbs: [String] = []

  /// An empty description.
  public init() {}
}

/// An API group with its versions, in the order of discovery.
public struct GroupInfo: Sendable, Hashable {
  /// The group's name; empty for the core group.
  public var name: String
  /// The version clients should use.
  public var preferred: String
  /// All known versions by priority, alpha ones included.
  public var versions: [String]

  /// A group from its parts.
  public init(name: String, preferred: String, versions: [String]) {
    self.name = name
    self.preferred = preferred
    self.versions = versions
  }
}

/// A column of a server-side table.
public struct ColumnInfo: Sendable, Hashable {
  /// The title.
  public var name: String
  /// `string`, `integer`, `date` and so on.
  public var type: String
  /// `name` for the name column.
  public var format: String
  /// Above zero: shown in wide output only.
  public var priority: Int32

  /// A column from its parts.
  public init(name: String, type: String, format: String = "", priority: Int32 = 0) {
    self.name = name
    self.type = type
    self.format = format
    self.priority = priority
  }
}
