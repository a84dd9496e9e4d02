import API

/// Keeps pods with scheduling gates out of the queue (KEP-3521).
struct SchedulingGates: PreEnqueuePlugin {
  let name = "SchedulingGates"

  func preEnqueue(_ pod: Pod) -> Refusal? {
    guard !pod.spec.schedulingGates.isEmpty else { return nil }
    let gates = pod.spec.schedulingGates.map { "\"\($0.name)\"" }.joined(separator: " ")
    return Refusal(plugin: name, reasons: ["waiting for scheduling gates: [\(gates)]"], unresolvable: true)
  }
}
