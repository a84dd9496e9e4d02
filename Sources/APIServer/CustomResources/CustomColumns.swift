import API
import APIMachinery
import CustomResources

/// Printer columns of custom kinds.
enum CustomColumns {
  /// The columns after the name, with where their values stand.
  static func columns(_ version: CustomResourceDefinitionVersion) -> [(column: TableColumn, path: JSONPath)] {
    let given = version.additionalPrinterColumns
    guard !given.isEmpty else {
      let description =
        "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
        + "guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It "
        + "is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More "
        + "info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
      let age = TableColumn(name: "Age", type: "date", format: "", priority: 0, description: description)
      return (try? JSONPath(".metadata.creationTimestamp")).map { [(age, $0)] } ?? []
    }
    return given.compactMap { column in
      guard let path = try? JSONPath(column.jsonPath) else { return nil }
      let described = TableColumn(
        name: column.name, type: column.type, format: column.format, priority: column.priority,
        description: column.description.isEmpty
          ? "Custom resource definition column (in JSONPath format): \(column.jsonPath)" : column.description)
      return (described, path)
    }
  }

  static let name = TableColumn(
    name: "Name", type: "string", format: "name", priority: 0,
    description: "Name must be unique within a namespace. Is required when creating resources, although some resources "
      + "may allow a client to request the generation of an appropriate name automatically. Name is primarily intended "
      + "for creation idempotence and configuration definition. Cannot be updated. More info: "
      + "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names")

  /// The cells of an object, given as its tree.
  static func cells(_ tree: JSONValue, _ custom: CustomVersion, _ context: CellContext) -> [JSONValue] {
    var cells: [JSONValue] = [.string(tree["metadata"]?["name"]?.stringValue ?? "")]
    for (column, path) in custom.columns {
      let found = path.find(in: tree)
      guard let first = found.first else {
        cells.append(.null)
        continue
      }
      cells.append(cell(first, all: found, column.type, context))
    }
    return cells
  }

  private static func cell(
    _ first: JSONValue, all: [JSONValue], _ type: String, _ context: CellContext
  ) -> JSONValue {
    if type == "string" { return .string(all.map(text).joined(separator: ",")) }
    if first == .null { return .null }
    switch (type, first) {
    case ("integer", .int), ("number", .int), ("number", .double), ("boolean", .bool): return first
    case ("integer", .double(let number)): return .int(Int64(number))
    case ("date", .string(let text)):
      guard let time = Time(rfc3339: text) else { return .string("<invalid>") }
      return .string(context.since(time))
    default: return .null
    }
  }

  /// What a field selector compares: the one scalar that a path leads to.
  static func selected(_ path: JSONPath, _ tree: JSONValue) -> String { path.find(in: tree).first.map(text) ?? "" }

  /// A value as JSON path prints it.
  private static func text(_ value: JSONValue) -> String {
    switch value {
    case .string(let text): text
    case .null: ""
    default: String(decoding: value.encoded(), as: UTF8.self)
    }
  }
}
