import API
import APIMachinery
import APIMeta

/// Kinds of groups that are off by default, which have no types of their own.
func untypedCells(_ object: DynamicObject, _ context: CellContext) -> TableRowCells? {
  let name = JSONValue.string(object.metadata.name)
  let age = context.age(object.metadata)
  let spec = object.content["spec"] ?? .object([:])
  func text(_ key: String) -> JSONValue { .string(spec[key]?.stringValue ?? "") }
  switch object.kind {
  case "ClusterTrustBundle": return TableRowCells([name, text("signerName")])
  case "PodCertificateRequest":
    var state = "Pending"
    for condition in conditions(object) {
      if ["Denied", "Failed", "Issued"].contains(condition.type) { state = condition.type }
    }
    let annotations = spec["unverifiedUserAnnotations"]?.objectValue ?? [:]
    return TableRowCells([
      name, text("podName"), text("serviceAccountName"), text("nodeName"), text("signerName"), .string(state),
      context.labels(annotations.compactMapValues(\.stringValue)),
    ])
  case "LeaseCandidate":
    return TableRowCells([name, text("leaseName"), text("binaryVersion"), text("emulationVersion"), age])
  case "DeviceTaintRule":
    let taint = spec["taint"]
    let added = taint?["timeAdded"]?.stringValue.flatMap { Time(rfc3339: $0) }
    return TableRowCells([
      name, .string(taint?["key"]?.stringValue ?? ""), .string(taint?["value"]?.stringValue ?? ""),
      .string(taint?["effect"]?.stringValue ?? ""), .string(context.since(added)), age,
    ])
  case "StorageVersionMigration":
    let resource = spec["resource"]
    let group = resource?["group"]?.stringValue ?? ""
    let kind = resource?["resource"]?.stringValue ?? ""
    let state = conditions(object).last { $0.status == "True" }?.type ?? ""
    return TableRowCells([name, .string(group.isEmpty ? kind : "\(kind).\(group)"), .string(state)])
  default: return nil
  }
}

private func conditions(_ object: DynamicObject) -> [(type: String, status: String)] {
  (object.content["status"]?["conditions"]?.arrayValue ?? []).map {
    ($0["type"]?.stringValue ?? "", $0["status"]?.stringValue ?? "")
  }
}
