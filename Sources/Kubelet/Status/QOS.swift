import API

/// The quality-of-service class of a pod: what was decided at its admission, else what follows from its spec.
func qosClass(of pod: Pod) -> String {
  pod.status.qosClass.isEmpty ? pod.computedQOSClass : pod.status.qosClass
}
