import API
import APIMachinery
import APIMeta

// Who manages which field of an object.
extension Registry {
  private static let statusFields = FieldSet(paths: [["status"]])
  private static let specFields = FieldSet(paths: [["spec"]])
  private static let none = FieldSet()

  /// The tracker for what a request writes.
  func fieldManager(_ context: WriteContext, schema: Schema, apiVersion: String) -> FieldManager {
    let ignored: FieldSet
    switch context.subresource {
    case "": ignored = context.resource.has(subresource: "status") ? Self.statusFields : Self.none
    case "status": ignored = Self.specFields
    default: ignored = Self.none
    }
    return FieldManager(
      schema: schema, apiVersion: apiVersion, subresource: context.subresource, ignored: ignored)
  }

  /// Records what a create or update changed; `old` is the stored form before it.
  func trackFields(_ object: inout LiveObject, old: [UInt8]?, _ context: WriteContext) throws {
    guard let schema = context.resource.storedSchema else { return }
    let manager = fieldManager(context, schema: schema, apiVersion: context.resource.storedVersion)
    let after = manager.update(
      live: try old.map { try JSONValue(parsing: $0) }, new: try object.tree(),
      manager: context.options.fieldManager, now: now())
    try setManagedFields(&object, from: after)
  }

  private func setManagedFields(_ object: inout LiveObject, from tree: JSONValue) throws {
    guard let entries = tree["metadata"]?["managedFields"], entries != .null else {
      object.metadata.managedFields = []
      return
    }
    object.metadata.managedFields = try [ManagedFieldsEntry].decode(entries.encoded())
  }
}
