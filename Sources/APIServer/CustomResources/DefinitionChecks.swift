import API
import APIMachinery
import CustomResources

extension CustomResourceDefinition {
  /// What is wrong with the schemas, columns and fields of the versions. Schemas that are left as they were are not
  /// judged again.
  func versionErrors(old: CustomResourceDefinition? = nil) -> [FieldError] {
    let schemas = spec.versions.map { $0.schema?.openAPIV3Schema }
    let before = old?.spec.versions.map { $0.schema?.openAPIV3Schema } ?? []
    // Upstream names what all versions share once, where the first form of the API had it.
    let isShared = !schemas.isEmpty && schemas.allSatisfy { $0 != nil && $0 == schemas[0] }
    var errors: [FieldError] = []
    for (at, version) in spec.versions.enumerated() {
      let path = FieldPath("spec").child("versions").index(at)
      if let schema = schemas[at], !(isShared && at > 0), !before.contains(schema),
        let tree = try? JSONValue(parsing: schema.encoded())
      {
        let place = isShared ? FieldPath("spec").child("validation") : path.child("schema")
        errors += SchemaCheck(tree, at: place.child("openAPIV3Schema")).errors
      }
      for (j, column) in version.additionalPrinterColumns.enumerated() where !column.jsonPath.isEmpty {
        let place = path.child("additionalPrinterColumns").index(j).child("jsonPath")
        if !column.jsonPath.hasPrefix(".") {
          errors.append(.invalid(place, column.jsonPath, "must be a simple json path starting with ."))
          continue
        }
        do throws(JSONPath.SyntaxError) { _ = try JSONPath(column.jsonPath) } catch {
          errors.append(.invalid(place, column.jsonPath, error.description))
        }
      }
      errors += selectableErrors(version, path.child("selectableFields"))
    }
    return errors
  }

  private func selectableErrors(_ version: CustomResourceDefinitionVersion, _ path: FieldPath) -> [FieldError] {
    var errors: [FieldError] = []
    if version.selectableFields.count > 8 {
      errors.append(.tooMany(path, actual: version.selectableFields.count, max: 8))
    }
    var seen: Set<String> = []
    let schema = version.schema?.openAPIV3Schema.flatMap { try? JSONValue(parsing: $0.encoded()) }
    for (at, field) in version.selectableFields.enumerated() {
      let place = path.index(at).child("jsonPath")
      if field.jsonPath.isEmpty {
        errors.append(.required(place))
        continue
      }
      if !seen.insert(field.jsonPath).inserted { errors.append(.duplicate(place, field.jsonPath)) }
      if field.jsonPath == ".metadata" || field.jsonPath.hasPrefix(".metadata.") {
        errors.append(.invalid(place, field.jsonPath, "must not point to fields in metadata"))
        continue
      }
      var leaf = schema
      for name in field.jsonPath.split(separator: ".") { leaf = leaf?["properties"]?[String(name)] }
      switch leaf?["type"]?.stringValue {
      case "string", "boolean", "integer":
        break
      case nil:
        errors.append(.invalid(place, field.jsonPath, "is an invalid path: does not refer to a valid field"))
      default:
        errors.append(
          .invalid(
            place, field.jsonPath,
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
          ))
      }
    }
    return errors
  }
}
