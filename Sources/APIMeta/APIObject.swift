public import APIMachinery

/// A kind: a type that stands at the top of a request and has metadata.
public protocol APIObject: APIType {
  /// The kind, such as `Pod`.
  static var kind: String { get }
  /// The API group; empty for the core group.
  static var group: String { get }
  /// The version within the group.
  static var version: String { get }
  /// The plural under which it is served.
  static var resource: String { get }
  /// Whether its objects live in namespaces.
  static var namespaced: Bool { get }
  /// Name, labels, owners and the like.
  var metadata: ObjectMeta { get set }
}

extension APIObject {
  /// `group/version`, or the bare version for the core group.
  public static var apiVersion: String { group.isEmpty ? version : group + "/" + version }

  /// The kind with its group and version.
  public static var gvk: GroupVersionKind { GroupVersionKind(group: group, version: version, kind: kind) }

  /// The resource with its group and version.
  public static var gvr: GroupVersionResource {
    GroupVersionResource(group: group, version: version, resource: resource)
  }

  /// The resource with its group.
  public static var groupResource: GroupResource { GroupResource(group: group, resource: resource) }

  /// Namespace and name.
  public var key: ObjectKey { ObjectKey(namespace: metadata.namespace, name: metadata.name) }

  /// The object as clients see it: `encoded()` with kind and apiVersion in front.
  public func encodedWithType() -> [UInt8] {
    var writer = JSONWriter(capacity: 1024)
    writer.beginObject()
    writer.key("kind")
    writer.string(Self.kind)
    writer.key("apiVersion")
    writer.string(Self.apiVersion)
    writer.endObject()
    return spliced(head: &writer.bytes, body: encoded())
  }
}

/// Puts the members of `body` behind those of `head`; both are objects, `head` not empty.
func spliced(head: inout [UInt8], body: [UInt8]) -> [UInt8] {
  guard body.count > 2 else { return head }
  head.removeLast()
  head.append(UInt8(ascii: ","))
  head.append(contentsOf: body[1...])
  return head
}
