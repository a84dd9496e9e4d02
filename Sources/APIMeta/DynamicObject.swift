public import APIMachinery

/// An object of a kind without a type of its own: custom resources and kinds that only pass through.
public struct DynamicObject: JSONCodable, Sendable, Equatable {
  /// `group/version`.
  public var apiVersion = ""
  /// The kind.
  public var kind = ""
  /// Name, labels, owners and the like.
  public var metadata = ObjectMeta()
  /// Everything else, as an object.
  public var content: JSONValue = .object([:])

  /// An empty object.
  public init() {}

  /// An object of a kind.
  public init(apiVersion: String, kind: String, metadata: ObjectMeta = ObjectMeta(), content: JSONValue = .object([:]))
  {
    self.apiVersion = apiVersion
    self.kind = kind
    self.metadata = metadata
    self.content = content
  }

  /// Reads an object with or without its type.
  public init(from reader: inout JSONReader) throws {
    if try reader.readNull() { return }
    try reader.beginObject()
    var members: [String: JSONValue] = [:]
    while let key = try reader.nextKey() {
      if key.equals("apiVersion") {
        apiVersion = try String(from: &reader)
      } else if key.equals("kind") {
        kind = try String(from: &reader)
      } else if key.equals("metadata") {
        metadata = try ObjectMeta(from: &reader)
      } else {
        let name = key.string
        members[name] = try reader.value()
      }
    }
    content = .object(members)
  }

  /// Writes metadata first and no type, as objects are stored.
  public func encode(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("metadata")
    metadata.encode(to: &writer)
    if case .object(let members) = content {
      for name in members.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
        writer.key(name)
        writer.value(members[name] ?? .null)
      }
    }
    writer.endObject()
  }

  /// The object as clients see it.
  public func encodedWithType() -> [UInt8] {
    var writer = JSONWriter(capacity: 1024)
    writer.beginObject()
    writer.key("kind")
    writer.string(kind)
    writer.key("apiVersion")
    writer.string(apiVersion)
    writer.endObject()
    return spliced(head: &writer.bytes, body: encoded())
  }

  /// Namespace and name.
  public var key: ObjectKey { ObjectKey(namespace: metadata.namespace, name: metadata.name) }

  /// The kind with its group and version.
  public var gvk: GroupVersionKind {
    guard let slash = apiVersion.utf8.firstIndex(of: UInt8(ascii: "/")) else {
      return GroupVersionKind(group: "", version: apiVersion, kind: kind)
    }
    let version = apiVersion[apiVersion.utf8.index(after: slash)...]
    return GroupVersionKind(group: String(apiVersion[..<slash]), version: String(version), kind: kind)
  }
}
