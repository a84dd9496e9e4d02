import API
import APIMachinery

/// A column as a Table shows it.
struct TableColumn: Sendable {
  var name: String
  var type: String
  var format: String
  var priority: Int32
  var description = ""

  static func columns(group: String, kind: String) -> [TableColumn] {
    tableColumns(group: group, kind: kind).map {
      TableColumn(name: $0.name, type: $0.type, format: $0.format, priority: $0.priority)
    }
  }
}
