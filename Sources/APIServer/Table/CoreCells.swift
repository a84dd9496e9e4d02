import API
import APIMachinery
import APIMeta

/// Nodes, namespaces, configuration and events.
func coreCells(_ object: any APIObject, _ context: CellContext) -> TableRowCells? {
  let name = JSONValue.string(object.metadata.name)
  let age = context.age(object.metadata)
  switch object {
  case let node as Node: return nodeCells(node, context)
  case let namespace as Namespace: return TableRowCells([name, .string(namespace.status.phase), age])
  case let secret as Secret:
    return TableRowCells([name, .string(secret.type), .int(Int64(secret.data.count)), age])
  case let map as ConfigMap:
    return TableRowCells([name, .int(Int64(map.data.count + map.binaryData.count)), age])
  case is ServiceAccount: return TableRowCells([name, age])
  case let event as Event: return eventCells(event, context)
  case let quota as ResourceQuota:
    var requests: [String] = []
    var limits: [String] = []
    for (resource, hard) in quota.status.hard.sorted(by: { $0.key < $1.key }) {
      let used = quota.status.used[resource] ?? Quantity(0)
      let text = "\(resource): \(used)/\(hard)"
      if resource.hasPrefix("limits.") { limits.append(text) } else { requests.append(text) }
    }
    return TableRowCells([
      name, .string(requests.joined(separator: ", ")), .string(limits.joined(separator: ", ")), age,
    ])
  case let status as ComponentStatus:
    var cells: [JSONValue] = [name, .string("Unknown"), .string(""), .string("")]
    for condition in status.conditions where condition.type == "Healthy" {
      cells[1] = .string(condition.status == "True" ? "Healthy" : "Unhealthy")
      cells[2] = .string(condition.message)
      cells[3] = .string(condition.error)
    }
    return TableRowCells(cells)
  case let lease as Lease: return TableRowCells([name, .string(lease.spec.holderIdentity ?? ""), age])
  case let service as APIService:
    let target = service.spec.service.map { "\($0.namespace)/\($0.name)" } ?? "Local"
    var available = "Unknown"
    if let condition = service.status.conditions.condition("Available") {
      available = condition.status == "True" ? "True" : "\(condition.status) (\(condition.reason))"
    }
    return TableRowCells([name, .string(target), .string(available), age])
  default: return nil
  }
}

private func nodeCells(_ node: Node, _ context: CellContext) -> TableRowCells {
  var status: [String] = []
  if let ready = node.status.conditions.condition("Ready") {
    status.append(ready.status == "True" ? "Ready" : "NotReady")
  }
  if status.isEmpty { status.append("Unknown") }
  if node.spec.unschedulable { status.append("SchedulingDisabled") }
  var roles: Set<String> = []
  for (key, value) in node.metadata.labels {
    if key.hasPrefix("node-role.kubernetes.io/") {
      let role = String(key.dropFirst("node-role.kubernetes.io/".count))
      if !role.isEmpty { roles.insert(role) }
    } else if key == "kubernetes.io/role", !value.isEmpty {
      roles.insert(value)
    }
  }
  func address(_ type: String) -> String { node.status.addresses.first { $0.type == type }?.address ?? "" }
  let info = node.status.nodeInfo
  return TableRowCells([
    .string(node.metadata.name), .string(status.joined(separator: ",")),
    cell(roles.sorted().joined(separator: ",")), context.age(node.metadata), .string(info.kubeletVersion),
    cell(address("InternalIP")), cell(address("ExternalIP")), cell(info.osImage, none: "<unknown>"),
    cell(info.kernelVersion, none: "<unknown>"), cell(info.containerRuntimeVersion, none: "<unknown>"),
  ])
}

private func eventCells(_ event: Event, _ context: CellContext) -> TableRowCells {
  let first =
    event.firstTimestamp.isZero ? context.since(event.eventTime) : context.since(event.firstTimestamp)
  var last = event.lastTimestamp.isZero ? first : context.since(event.lastTimestamp)
  var count = event.count
  if let series = event.series {
    last = context.since(series.lastObservedTime)
    count = series.count
  } else if count == 0 {
    count = 1
  }
  let kind = event.involvedObject.kind.lowercased()
  let target = event.involvedObject.name.isEmpty ? kind : "\(kind)/\(event.involvedObject.name)"
  let component = event.source.component.isEmpty ? event.reportingComponent : event.source.component
  let instance = event.source.host.isEmpty ? event.reportingInstance : event.source.host
  let source = instance.isEmpty ? component : "\(component), \(instance)"
  var message = event.message[...]
  while let end = message.last, end.isWhitespace { message = message.dropLast() }
  while let start = message.first, start.isWhitespace { message = message.dropFirst() }
  return TableRowCells([
    .string(last), .string(event.type), .string(event.reason), .string(target),
    .string(event.involvedObject.fieldPath), .string(source), .string(String(message)), .string(first),
    cell(count), .string(event.metadata.name),
  ])
}
