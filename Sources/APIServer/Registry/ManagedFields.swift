import API
import APIMachinery

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

  /// An object's stored form with its managed fields after a write; `old` is the stored form before it.
  func tracked(_ bytes: [UInt8], old: [UInt8]?, _ context: WriteContext) throws -> [UInt8] {
    guard let schema = context.resource.storedSchema else { return bytes }
    let manager = fieldManager(context, schema: schema, apiVersion: context.resource.storedVersion)
    let name = context.options.fieldManager
    guard let old else { return try manager.create(bytes, manager: name, now: now()) }
    return try manager.update(live: old, new: bytes, manager: name, now: now())
  }
}
