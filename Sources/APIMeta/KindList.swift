public import APIMachinery

/// A list of objects of one kind, as the API serves it (`PodList` and its like).
public struct KindList<Item: APIObject>: JSONCodable, Sendable, Equatable {
  /// Revision and continuation.
  public var metadata = ListMeta()
  /// The objects.
  public var items: [Item] = []

  /// An empty list.
  public init() {}

  /// A list of given objects.
  public init(metadata: ListMeta = ListMeta(), items: [Item]) {
    self.metadata = metadata
    self.items = items
  }

  /// Reads a list; its kind and apiVersion are not looked at.
  public init(from reader: inout JSONReader) throws {
    if try reader.readNull() { return }
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("metadata") {
        metadata = try ListMeta(from: &reader)
      } else if key.equals("items") {
        items = try [Item](from: &reader)
      } else {
        try reader.skipValue()
      }
    }
  }

  /// Writes the list with its kind and apiVersion; items carry none, as the API server's do not.
  public func encode(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("kind")
    writer.string(Item.kind + "List")
    writer.key("apiVersion")
    writer.string(Item.apiVersion)
    writer.key("metadata")
    metadata.encode(to: &writer)
    writer.key("items")
    items.encode(to: &writer)
    writer.endObject()
  }
}
