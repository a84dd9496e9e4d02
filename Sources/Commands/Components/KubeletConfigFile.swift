import API
import APIMachinery
import Kubelet

/// A `KubeletConfiguration` of kubelet.config.k8s.io/v1beta1.
struct KubeletConfigFile {
  private let file: ConfigFile

  init(_ path: String) throws {
    file = try ConfigFile(path, kind: "KubeletConfiguration", apiVersion: "kubelet.config.k8s.io/v1beta1")
    try file.allow(only: Self.known)
  }

  private static let known: Set<String> = [
    "address", "port", "healthzPort", "healthzBindAddress", "tlsCertFile", "tlsPrivateKeyFile", "authentication",
    "authorization", "staticPodPath", "fileCheckFrequency", "syncFrequency", "clusterDomain", "clusterDNS",
    "cgroupRoot", "cgroupDriver", "maxPods", "podPidsLimit", "resolvConf", "serializeImagePulls",
    "imageMinimumGCAge", "imageGCHighThresholdPercent", "imageGCLowThresholdPercent", "containerLogMaxSize",
    "containerLogMaxFiles", "nodeStatusUpdateFrequency", "nodeStatusReportFrequency", "nodeLeaseDurationSeconds",
    "runtimeRequestTimeout", "streamingConnectionIdleTimeout", "cpuCFSQuota", "seccompDefault", "systemReserved",
    "kubeReserved", "registerNode", "registerWithTaints", "providerID", "containerRuntimeEndpoint",
    "rotateCertificates", "serverTLSBootstrap", "failSwapOn", "featureGates", "logging", "evictionHard",
    "readOnlyPort", "volumeStatsAggPeriod", "volumePluginDir", "shutdownGracePeriod",
    "shutdownGracePeriodCriticalPods", "memorySwap", "enableServer", "enableDebuggingHandlers",
    "cpuManagerReconcilePeriod", "httpCheckFrequency",
  ]

  /// Fills what the command line does not say.
  func fill(_ settings: inout KubeletConfiguration, _ values: inout FlagValues) throws {
    func text(_ name: String) -> String? { file.value(name)?.stringValue }
    func number(_ name: String) -> Int? { file.value(name)?.intValue.map { Int($0) } }
    func strings(_ name: String) -> String? {
      file.value(name)?.arrayValue?.compactMap(\.stringValue).joined(separator: ",")
    }
    values.fill("address", text("address"))
    values.fill("port", number("port").map(String.init))
    values.fill("healthz-port", number("healthzPort").map(String.init))
    values.fill("tls-cert-file", text("tlsCertFile"))
    values.fill("tls-private-key-file", text("tlsPrivateKeyFile"))
    values.fill("client-ca-file", file.value("authentication", "x509", "clientCAFile")?.stringValue)
    values.fill("pod-manifest-path", text("staticPodPath"))
    values.fill("cluster-domain", text("clusterDomain"))
    values.fill("cluster-dns", strings("clusterDNS"))
    values.fill("cgroup-root", text("cgroupRoot"))
    values.fill("cgroup-driver", text("cgroupDriver"))
    values.fill("max-pods", number("maxPods").map(String.init))
    values.fill("resolv-conf", text("resolvConf"))
    values.fill("provider-id", text("providerID"))
    values.fill("container-runtime-endpoint", text("containerRuntimeEndpoint"))
    values.fill("register-node", file.value("registerNode")?.boolValue.map { "\($0)" })
    if let taints = file.value("registerWithTaints")?.arrayValue {
      values.fill(
        "register-with-taints",
        taints.map { taint in
          "\(taint["key"]?.stringValue ?? "")=\(taint["value"]?.stringValue ?? ""):\(taint["effect"]?.stringValue ?? "")"
        }.joined(separator: ","))
    }
    if let period = try file.duration("fileCheckFrequency") { settings.fileCheckFrequency = period }
    if let period = try file.duration("syncFrequency") { settings.syncFrequency = period }
    if let period = try file.duration("nodeStatusUpdateFrequency") { settings.nodeStatusUpdateFrequency = period }
    if let period = try file.duration("nodeStatusReportFrequency") { settings.nodeStatusReportFrequency = period }
    if let period = try file.duration("runtimeRequestTimeout") { settings.runtimeRequestTimeout = period }
    if let period = try file.duration("streamingConnectionIdleTimeout") {
      settings.streamingConnectionIdleTimeout = period
    }
    if let age = try file.duration("imageMinimumGCAge") { settings.imageMinimumGCAge = age }
    if let seconds = number("nodeLeaseDurationSeconds") { settings.nodeLeaseDurationSeconds = Int32(seconds) }
    if let limit = number("podPidsLimit") { settings.podPidsLimit = Int64(limit) }
    if let percent = number("imageGCHighThresholdPercent") { settings.imageGCHighThresholdPercent = percent }
    if let percent = number("imageGCLowThresholdPercent") { settings.imageGCLowThresholdPercent = percent }
    if let files = number("containerLogMaxFiles") { settings.containerLogMaxFiles = files }
    if let size = text("containerLogMaxSize") { settings.containerLogMaxSize = try Quantity(parsing: size).value }
    if let serialize = file.value("serializeImagePulls")?.boolValue { settings.serializeImagePulls = serialize }
    if let quota = file.value("cpuCFSQuota")?.boolValue { settings.cpuCFSQuota = quota }
    if let seccomp = file.value("seccompDefault")?.boolValue { settings.seccompDefault = seccomp }
    settings.systemReserved = table("systemReserved")
    settings.kubeReserved = table("kubeReserved")
  }

  private func table(_ name: String) -> [String: String] {
    file.value(name)?.objectValue?.compactMapValues(\.stringValue) ?? [:]
  }
}
