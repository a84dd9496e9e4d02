import API
import APIMachinery
import APIMeta

extension Registry {
  /// Objects as a Table. `columns` is false for the later events of a watch.
  func table(
    _ resource: ServedResource, _ objects: [CachedObject], version: String, continueToken: String? = nil,
    remaining: Int? = nil, columns: Bool = true, _ request: ResourceRequest
  ) throws -> [UInt8] {
    let include = request.parameter("includeObject") ?? ""
    guard ["", "None", "Metadata", "Object"].contains(include) else {
      throw StatusError.badRequest(
        "Invalid value for includeObject: \"\(include)\": must be 'Metadata', 'Object', 'None', or empty")
    }
    var writer = JSONWriter(capacity: 512 + objects.count * 512)
    writer.beginObject()
    writer.key("kind")
    writer.string("Table")
    writer.key("apiVersion")
    writer.string("meta.k8s.io/v1")
    writer.key("metadata")
    writer.beginObject()
    if version != "0" {
      writer.key("resourceVersion")
      writer.string(version)
    }
    if let continueToken {
      writer.key("continue")
      writer.string(continueToken)
    }
    if let remaining {
      writer.key("remainingItemCount")
      writer.int(Int64(remaining))
    }
    writer.endObject()
    writer.key("columnDefinitions")
    writer.beginArray()
    if columns { for column in resource.columns { write(column, &writer) } }
    writer.endArray()
    writer.key("rows")
    writer.beginArray()
    let now = now()
    for object in objects {
      let row = rowOf(resource, object, now)
      writer.beginObject()
      writer.key("cells")
      writer.beginArray()
      for cell in row.cells { writer.value(cell) }
      writer.endArray()
      if let condition = row.completed {
        writer.key("conditions")
        writer.beginArray()
        writer.value(
          .object([
            "type": .string("Completed"), "status": .string("True"), "reason": .string(condition.reason),
            "message": .string(condition.message),
          ]))
        writer.endArray()
      }
      writer.key("object")
      switch include {
      case "None": writer.null()
      case "Object": writer.raw(resource.served(object))
      default: writer.raw(partialMetadata(object, header: partialMetadataHeader))
      }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return writer.bytes
  }

  private func write(_ column: TableColumn, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("name")
    writer.string(column.name)
    writer.key("type")
    writer.string(column.type)
    writer.key("format")
    writer.string(column.format)
    writer.key("description")
    writer.string(column.description)
    writer.key("priority")
    writer.int(Int64(column.priority))
    writer.endObject()
  }

  private func rowOf(_ resource: ServedResource, _ cached: CachedObject, _ now: Time) -> TableRowCells {
    if let custom = resource.custom {
      let tree = (try? JSONValue(parsing: resource.live(cached).bytes)) ?? .object([:])
      return TableRowCells(CustomColumns.cells(tree, custom, CellContext(now: now, registry: self)))
    }
    guard let object = try? LiveObject(resource, bytes: cached.bytes) else {
      return TableRowCells([.string(cached.name)])
    }
    let context = CellContext(now: now, registry: self)
    var row = cells(object, context) ?? generic(resource, object, context)
    // A printer that knows fewer columns than the facts list leaves the rest empty.
    while row.cells.count < resource.columns.count { row.cells.append(.string("")) }
    return row
  }

  /// Kinds without a printer: name, age and creation time, and what a condition tells.
  private func generic(_ resource: ServedResource, _ object: LiveObject, _ context: CellContext) -> TableRowCells {
    TableRowCells(
      resource.columns.map { column in
        switch column.name {
        case "Name": .string(object.metadata.name)
        case "Age": context.age(object.metadata)
        case "Created At": .string(object.metadata.creationTimestamp.description)
        default: .string("<none>")
        }
      })
  }

  private func cells(_ object: LiveObject, _ context: CellContext) -> TableRowCells? {
    guard case .typed(let typed) = object else {
      if case .dynamic(let dynamic) = object { return untypedCells(dynamic, context) }
      return nil
    }
    return workloadCells(typed, context) ?? networkCells(typed, context) ?? coreCells(typed, context)
      ?? policyCells(typed, context) ?? storageCells(typed, context)
  }
}

/// The cells of a row, and whether its object has finished.
struct TableRowCells {
  var cells: [JSONValue]
  var completed: (reason: String, message: String)?

  init(_ cells: [JSONValue]) { self.cells = cells }
}

/// What printers need beside the object, and the ways they show common things.
struct CellContext {
  let now: Time
  let registry: Registry

  func age(_ metadata: ObjectMeta) -> JSONValue { .string(since(metadata.creationTimestamp)) }

  /// Time gone by, or `<unknown>`.
  func since(_ time: Time?) -> String {
    guard let time, !time.isZero else { return "<unknown>" }
    return humanDuration(now.seconds(since: time))
  }

  func since(_ time: MicroTime) -> String {
    time.isZero ? "<unknown>" : humanDuration(now.seconds - time.seconds)
  }

  func labels(_ labels: [String: String]) -> JSONValue {
    if labels.isEmpty { return .string("<none>") }
    return .string(labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ","))
  }

  func selector(_ selector: LabelSelector?) -> JSONValue {
    guard let selector else { return .string("<none>") }
    let text = selectorText(selector)
    return .string(text.isEmpty ? "<none>" : text)
  }

  func containers(_ spec: PodSpec) -> (names: JSONValue, images: JSONValue) {
    (
      .string(spec.containers.map(\.name).joined(separator: ",")),
      .string(spec.containers.map(\.image).joined(separator: ","))
    )
  }

  func flag(_ value: Bool?, unset: String = "<unset>") -> JSONValue {
    .string(value.map { $0 ? "True" : "False" } ?? unset)
  }
}

func cell(_ number: Int32) -> JSONValue { .int(Int64(number)) }
func cell(_ text: String, none: String = "<none>") -> JSONValue { .string(text.isEmpty ? none : text) }

/// A label selector as upstream prints it: `app=web,tier in (a,b),!x`.
func selectorText(_ selector: LabelSelector) -> String {
  var parts: [(key: String, text: String)] = selector.matchLabels.map { ($0.key, "\($0.key)=\($0.value)") }
  for expression in selector.matchExpressions {
    let key = expression.key
    let values = expression.values.sorted().joined(separator: ",")
    switch expression.operator {
    case "In": parts.append((key, "\(key) in (\(values))"))
    case "NotIn": parts.append((key, "\(key) notin (\(values))"))
    case "Exists": parts.append((key, key))
    default: parts.append((key, "!\(key)"))
    }
  }
  return parts.sorted { $0.key < $1.key }.map(\.text).joined(separator: ",")
}

/// A duration with as much detail as a table wants: `5m10s`, `3h`, `12d`.
func humanDuration(_ seconds: Int64) -> String {
  if seconds < -1 { return "<invalid>" }
  if seconds < 0 { return "0s" }
  if seconds < 120 { return "\(seconds)s" }
  let minutes = seconds / 60
  if minutes < 10 {
    let rest = seconds % 60
    return rest == 0 ? "\(minutes)m" : "\(minutes)m\(rest)s"
  }
  if minutes < 180 { return "\(minutes)m" }
  let hours = minutes / 60
  if hours < 8 {
    let rest = minutes % 60
    return rest == 0 ? "\(hours)h" : "\(hours)h\(rest)m"
  }
  if hours < 48 { return "\(hours)h" }
  if hours < 192 {
    let rest = hours % 24
    return rest == 0 ? "\(hours / 24)d" : "\(hours / 24)d\(rest)h"
  }
  if hours < 24 * 365 * 2 { return "\(hours / 24)d" }
  if hours < 24 * 365 * 8 {
    let rest = hours / 24 % 365
    return rest == 0 ? "\(hours / 24 / 365)y" : "\(hours / 24 / 365)y\(rest)d"
  }
  return "\(hours / 24 / 365)y"
}
