import API

/// What a pod's parts need to know of the pod around them.
struct PodContext {
  var volumes: [String: Volume] = [:]
  var claimNames: Set<String> = []
  var gracePeriod: Int64 = 30
  var hostNetwork = false
  var hostUsers = true
  /// A template only has to be plausible; some rules bind pods alone.
  var isTemplate = false

  init(_ spec: PodSpec, isTemplate: Bool) {
    for volume in spec.volumes { volumes[volume.name] = volume }
    claimNames = Set(spec.resourceClaims.map(\.name))
    gracePeriod = spec.terminationGracePeriodSeconds ?? 30
    hostNetwork = spec.hostNetwork
    hostUsers = spec.hostUsers ?? true
    self.isTemplate = isTemplate
  }
}

let restartPolicies = ["Always", "Never", "OnFailure"]

/// Checks the specification of a pod or of a template.
func checkPodSpec(_ spec: PodSpec, _ path: FieldPath, isTemplate: Bool, _ errors: inout [FieldError]) {
  let context = PodContext(spec, isTemplate: isTemplate)
  checkVolumes(spec.volumes, path.child("volumes"), context, &errors)
  checkResourceClaims(spec.resourceClaims, path.child("resourceClaims"), &errors)
  checkContainers(spec, path, context, &errors)
  checkRequiredOneOf(spec.restartPolicy, restartPolicies, path.child("restartPolicy"), &errors)
  checkRequiredOneOf(
    spec.dnsPolicy, ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], path.child("dnsPolicy"), &errors)
  checkLabels(spec.nodeSelector, path.child("nodeSelector"), &errors)
  checkPodSecurity(spec, path, &errors)
  // Upstream lets pull secrets without a name pass, for the sake of old clients.
  if let affinity = spec.affinity { checkAffinity(affinity, path.child("affinity"), &errors) }
  checkDNSConfig(spec.dnsConfig, policy: spec.dnsPolicy, path.child("dnsConfig"), &errors)
  for (i, gate) in spec.readinessGates.enumerated() {
    checkLabelName(gate.conditionType, path.child("readinessGates").index(i).child("conditionType"), &errors)
  }
  checkSchedulingGates(spec.schedulingGates, path.child("schedulingGates"), &errors)
  checkTopologySpread(spec.topologySpreadConstraints, path.child("topologySpreadConstraints"), &errors)
  checkNames(spec, path, &errors)
  checkTolerations(spec.tolerations, path.child("tolerations"), &errors)
  for (i, alias) in spec.hostAliases.enumerated() {
    checkIP(alias.ip, path.child("hostAliases").index(i).child("ip"), &errors)
    for (j, name) in alias.hostnames.enumerated() {
      checkDNS1123Subdomain(name, path.child("hostAliases").index(i).child("hostnames").index(j), &errors)
    }
  }
  checkPriorityAndRuntime(spec, path, &errors)
  if let own = spec.resources { checkPodResources(own, spec, path.child("resources"), &errors) }
}

private func checkNames(_ spec: PodSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  if !spec.serviceAccountName.isEmpty {
    checkDNS1123Subdomain(spec.serviceAccountName, path.child("serviceAccountName"), &errors)
  }
  if !spec.nodeName.isEmpty { checkDNS1123Subdomain(spec.nodeName, path.child("nodeName"), &errors) }
  if let deadline = spec.activeDeadlineSeconds, deadline < 1 || deadline > Int64(Int32.max) {
    errors.append(
      .invalid(path.child("activeDeadlineSeconds"), deadline, "must be between 1 and 2147483647, inclusive"))
  }
  if !spec.hostname.isEmpty { checkDNS1123Label(spec.hostname, path.child("hostname"), &errors) }
  if !spec.subdomain.isEmpty { checkDNS1123Label(spec.subdomain, path.child("subdomain"), &errors) }
  if let name = spec.hostnameOverride {
    checkDNS1123Subdomain(name, path.child("hostnameOverride"), &errors)
    if spec.hostNetwork {
      errors.append(
        .invalid(path.child("hostnameOverride"), name, "hostnameOverride cannot be set when hostNetwork is true"))
    }
    if spec.setHostnameAsFQDN == true {
      errors.append(
        .invalid(
          path.child("hostnameOverride"), name, "hostnameOverride cannot be set when setHostnameAsFQDN is true"))
    }
  }
  if let seconds = spec.terminationGracePeriodSeconds, seconds < 0 {
    errors.append(
      .invalid(path.child("terminationGracePeriodSeconds"), seconds, "must be greater than or equal to 0"))
  }
}

private func checkPriorityAndRuntime(_ spec: PodSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  if !spec.priorityClassName.isEmpty {
    checkDNS1123Subdomain(spec.priorityClassName, path.child("priorityClassName"), &errors)
  }
  if let name = spec.runtimeClassName { checkDNS1123Subdomain(name, path.child("runtimeClassName"), &errors) }
  if let policy = spec.preemptionPolicy {
    checkRequiredOneOf(policy, ["PreemptLowerPriority", "Never"], path.child("preemptionPolicy"), &errors)
  }
  for (name, quantity) in spec.overhead.sorted(by: { $0.key < $1.key }) {
    let path = path.child("overhead").key(name)
    checkContainerResourceName(name, path, &errors)
    checkQuantity(name, quantity, path, &errors)
  }
  if let os = spec.os {
    checkRequiredOneOf(os.name, ["linux", "windows"], path.child("os").child("name"), &errors)
    if os.name == "linux" && spec.securityContext?.windowsOptions != nil {
      errors.append(
        .forbidden(
          path.child("securityContext").child("windowsOptions"),
          "windows options cannot be set for a linux pod"))
    }
  }
}

private func checkResourceClaims(_ claims: [PodResourceClaim], _ path: FieldPath, _ errors: inout [FieldError]) {
  var names: Set<String> = []
  for (i, claim) in claims.enumerated() {
    let path = path.index(i)
    if claim.name.isEmpty {
      errors.append(.required(path.child("name")))
    } else if !names.insert(claim.name).inserted {
      errors.append(.duplicate(path.child("name"), claim.name))
    } else {
      checkDNS1123Label(claim.name, path.child("name"), &errors)
    }
    let given = [claim.resourceClaimName, claim.resourceClaimTemplateName].compactMap { $0 }
    if given.count > 1 {
      errors.append(
        .invalid(
          path, FieldJSON(claim), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
    } else if given.isEmpty {
      errors.append(
        .invalid(path, FieldJSON(claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
    }
    for name in given {
      let field = claim.resourceClaimName == nil ? "resourceClaimTemplateName" : "resourceClaimName"
      checkDNS1123Subdomain(name, path.child(field), &errors)
    }
  }
}

private func checkSchedulingGates(_ gates: [PodSchedulingGate], _ path: FieldPath, _ errors: inout [FieldError]) {
  var seen: Set<String> = []
  for (i, gate) in gates.enumerated() {
    checkLabelName(gate.name, path.index(i).child("name"), &errors)
    if !seen.insert(gate.name).inserted { errors.append(.duplicate(path.index(i), gate.name)) }
  }
}

/// DNS settings: at most 3 servers, 32 search paths of together 2048 characters.
private func checkDNSConfig(
  _ config: PodDNSConfig?, policy: String, _ path: FieldPath, _ errors: inout [FieldError]
) {
  if policy == "None" {
    guard let config else {
      errors.append(.required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
      return
    }
    if config.nameservers.isEmpty {
      errors.append(
        .required(path.child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"))
    }
  }
  guard let config else { return }
  if config.nameservers.count > 3 {
    errors.append(.invalid(path.child("nameservers"), config.nameservers, "must not have more than 3 nameservers"))
  }
  for (i, server) in config.nameservers.enumerated() { checkIP(server, path.child("nameservers").index(i), &errors) }
  if config.searches.count > 32 {
    errors.append(.invalid(path.child("searches"), config.searches, "must not have more than 32 search paths"))
  }
  if config.searches.joined(separator: " ").utf8.count > 2048 {
    errors.append(
      .invalid(
        path.child("searches"), config.searches,
        "must not have more than 2048 characters (including spaces) in the search list"))
  }
  for (i, search) in config.searches.enumerated() where search != "." {
    // A trailing dot, and underscores at the start of labels, are fine in search paths.
    let name = (search.hasSuffix(".") ? String(search.dropLast()) : search)
      .split(separator: ".", omittingEmptySubsequences: false)
      .map { $0.hasPrefix("_") ? String($0.dropFirst()) : String($0) }.joined(separator: ".")
    if !Names.isDNS1123Subdomain(name.replacingUnderscores).isEmpty {
      checkProblems(Names.isDNS1123Subdomain(search), search, path.child("searches").index(i), &errors)
    }
  }
  for (i, option) in config.options.enumerated() where option.name.isEmpty {
    errors.append(.required(path.child("options").index(i), "must not be empty"))
  }
}

extension String {
  /// Underscores count as dashes where only the rest of a name matters.
  fileprivate var replacingUnderscores: String { String(map { $0 == "_" ? "-" : $0 }) }
}
