/// Go's embedded structs: JSON shows their fields as if they were the outer type's, protobuf nests them in a message.
enum InlineMessages {
  /// The number under which a type carries its embedded message, and that message's type.
  static func of(_ type: String) -> (number: Int, type: String)? { table[type] }

  private static let table: [String: (number: Int, type: String)] = {
    let core = "io.k8s.api.core.v1."
    var result: [String: (number: Int, type: String)] = [
      core + "EphemeralContainer": (1, core + "EphemeralContainerCommon"),
      core + "PersistentVolumeSpec": (2, core + "PersistentVolumeSource"),
      core + "Probe": (1, core + "ProbeHandler"),
      core + "Volume": (2, core + "VolumeSource"),
      "io.k8s.api.networking.v1.IngressRule": (2, "io.k8s.api.networking.v1.IngressRuleValue"),
    ]
    for name in [
      "ConfigMapEnvSource", "ConfigMapKeySelector", "ConfigMapProjection", "ConfigMapVolumeSource", "SecretEnvSource",
      "SecretKeySelector", "SecretProjection",
    ] {
      result[core + name] = (1, core + "LocalObjectReference")
    }
    let admission = "io.k8s.api.admissionregistration."
    result[admission + "v1.RuleWithOperations"] = (2, admission + "v1.Rule")
    for version in ["v1", "v1beta1"] {
      result[admission + version + ".NamedRuleWithOperations"] = (2, admission + "v1.RuleWithOperations")
    }
    for version in ["v1", "v1beta1", "v1beta2"] {
      let package = "io.k8s.api.resource.\(version)."
      result[package + "DeviceAllocationConfiguration"] = (3, package + "DeviceConfiguration")
      result[package + "DeviceClaimConfiguration"] = (2, package + "DeviceConfiguration")
      result[package + "DeviceClassConfiguration"] = (1, package + "DeviceConfiguration")
    }
    return result
  }()
}
