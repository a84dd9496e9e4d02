import API

/// Names a pod gives itself.
enum HostNames {
  /// The host name and the domain of a pod; the domain is empty without a subdomain.
  static func of(_ pod: Pod, clusterDomain: String) throws -> (host: String, domain: String) {
    if let own = pod.spec.hostnameOverride, !own.isEmpty { return (own, "") }
    var host = pod.spec.hostname.isEmpty ? pod.metadata.name : pod.spec.hostname
    if host.utf8.count > 63 {
      host = String(host.prefix(63))
      while let last = host.last, last == "-" || last == "." { host.removeLast() }
    }
    guard !pod.spec.subdomain.isEmpty else { return (host, "") }
    return (host, "\(pod.spec.subdomain).\(pod.metadata.namespace).svc.\(clusterDomain)")
  }

  /// What the kernel is told: the short name, or the full one when the pod asks for it.
  static func kernelName(_ pod: Pod, host: String, domain: String) throws -> String {
    guard pod.spec.setHostnameAsFQDN == true, !domain.isEmpty else { return host }
    let full = "\(host).\(domain)"
    guard full.utf8.count <= 64 else {
      throw ContainerConfigError(
        description:
          "failed to construct FQDN from pod hostname and cluster domain, FQDN \(full) is too long (64 characters is the max, \(full.utf8.count) characters requested)"
      )
    }
    return full
  }

  /// The pod's `/etc/hosts`. `hostFile` is the node's own, used by pods in the node's network.
  static func hostsFile(pod: Pod, host: String, domain: String, podIPs: [String], hostFile: String?) -> String {
    var out: String
    if let hostFile {
      out = "# Kubernetes-managed hosts file (host network).\n" + hostFile
    } else {
      out = """
        # Kubernetes-managed hosts file.
        127.0.0.1\tlocalhost
        ::1\tlocalhost ip6-localhost ip6-loopback
        fe00::0\tip6-localnet
        fe00::0\tip6-mcastprefix
        fe00::1\tip6-allnodes
        fe00::2\tip6-allrouters

        """
      for ip in podIPs { out += domain.isEmpty ? "\(ip)\t\(host)\n" : "\(ip)\t\(host).\(domain)\t\(host)\n" }
    }
    if !pod.spec.hostAliases.isEmpty {
      out += "\n# Entries added by HostAliases.\n"
      for alias in pod.spec.hostAliases { out += "\(alias.ip)\t\(alias.hostnames.joined(separator: "\t"))\n" }
    }
    return out
  }
}
