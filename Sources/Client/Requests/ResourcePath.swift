public import API

/// Where a resource is served.
public struct ResourceLocation: Hashable, Sendable {
  /// The API group, empty for the core group.
  public var group: String
  /// The version.
  public var version: String
  /// The plural name.
  public var resource: String
  /// Whether its objects live in namespaces.
  public var namespaced: Bool

  /// Makes a location.
  public init(group: String, version: String, resource: String, namespaced: Bool) {
    self.group = group
    self.version = version
    self.resource = resource
    self.namespaced = namespaced
  }

  /// Where a typed kind is served.
  public init<T: APIObject>(_ type: T.Type) {
    self.init(group: T.group, version: T.version, resource: T.resource, namespaced: T.namespaced)
  }

  /// `group/version` as objects write it.
  public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

  /// The path of a collection, of an object, or of a subresource of one.
  public func path(namespace: String? = nil, name: String? = nil, subresource: String? = nil) -> String {
    var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    if namespaced, let namespace, !namespace.isEmpty {
      path += "/namespaces/" + PercentCoding.encode(namespace)
    }
    path += "/" + resource
    if let name { path += "/" + PercentCoding.encode(name, also: ":@!$&'()*+,;=") }
    if let subresource { path += "/" + subresource }
    return path
  }
}

/// A query string under construction; empty values are left out.
struct QueryBuilder {
  private(set) var text = ""

  mutating func add(_ name: StaticString, _ value: String) {
    guard !value.isEmpty else { return }
    text += text.isEmpty ? "?" : "&"
    text += "\(name)=" + PercentCoding.encode(value)
  }

  mutating func add(_ name: StaticString, _ value: Int64?) {
    guard let value, value != 0 else { return }
    add(name, String(value))
  }

  mutating func add(_ name: StaticString, flag: Bool?) {
    guard let flag else { return }
    add(name, flag ? "true" : "false")
  }
}
