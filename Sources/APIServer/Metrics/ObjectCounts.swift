import APIMachinery

extension Registry {
  /// How many objects are stored, under upstream's name of today and the one before.
  func writeObjectCounts(to text: inout String) {
    let counts = objectCounts
    text +=
      "# HELP apiserver_resource_objects [ALPHA] Number of stored objects at the time of last check split by kind.\n"
    text += "# TYPE apiserver_resource_objects gauge\n"
    for (resource, count) in counts {
      text += "apiserver_resource_objects{group=\"\(resource.group)\",resource=\"\(resource.resource)\"} \(count)\n"
    }
    text +=
      "# HELP apiserver_storage_objects [STABLE] Number of stored objects at the time of last check split by kind.\n"
    text += "# TYPE apiserver_storage_objects gauge\n"
    for (resource, count) in counts { text += "apiserver_storage_objects{resource=\"\(resource)\"} \(count)\n" }
  }
}
