import API
import CRI

/// Settings of a pod's sandbox.
enum SandboxConfigs {
  /// The directory of a pod's container logs.
  static func logDirectory(_ pod: Pod, root: String) -> String {
    "\(root)/\(pod.metadata.namespace)_\(pod.metadata.name)_\(pod.metadata.uid)"
  }

  static func make(
    pod: Pod, attempt: UInt32, dns: ResolverConfig, configuration: KubeletConfiguration, cgroupParent: String?
  ) throws -> CRIPodSandboxConfig {
    var out = CRIPodSandboxConfig()
    out.metadata.name = pod.metadata.name
    out.metadata.namespace = pod.metadata.namespace
    out.metadata.uid = pod.metadata.uid
    out.metadata.attempt = attempt
    out.labels = sandboxLabels(pod)
    out.annotations = pod.metadata.annotations
    out.logDirectory = logDirectory(pod, root: configuration.podLogsDirectory)
    out.dnsConfig = dns.cri
    if !pod.spec.hostNetwork {
      let names = try HostNames.of(pod, clusterDomain: configuration.clusterDomain)
      out.hostname = try HostNames.kernelName(pod, host: names.host, domain: names.domain)
      for port in (pod.spec.initContainers.filter(\.isSidecar) + pod.spec.containers).flatMap(\.ports) {
        var mapping = CRIPortMapping()
        mapping.containerPort = port.containerPort
        mapping.hostPort = port.hostPort
        mapping.hostIp = port.hostIP
        mapping.protocol = port.protocol == "UDP" ? .udp : port.protocol == "SCTP" ? .sctp : .tcp
        out.portMappings.append(mapping)
      }
    }
    out.linux.securityContext = SecurityContexts.sandbox(pod, seccompDefault: configuration.seccompDefault)
    for sysctl in pod.spec.securityContext?.sysctls ?? [] { out.linux.sysctls[sysctl.name] = sysctl.value }
    if let cgroupParent { out.linux.cgroupParent = cgroupParent }
    return out
  }
}
