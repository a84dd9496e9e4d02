import API

private let deadAnnotations = [
  (
    "scheduler.alpha.kubernetes.io/critical-pod",
    #"non-functional in v1.16+; use the "priorityClassName" field instead"#
  ),
  ("security.alpha.kubernetes.io/sysctls", #"non-functional in v1.11+; use the "sysctls" field instead"#),
  ("security.alpha.kubernetes.io/unsafe-sysctls", #"non-functional in v1.11+; use the "sysctls" field instead"#),
]
private let noMatch = "a null labelSelector results in matching no pod"
private let useSeccomp = #"non-functional in v1.27+; use the "seccompProfile" field instead"#

/// What containers of all three sorts have.
private struct AnyContainer {
  var name: String
  var path: FieldPath
  var env: [EnvVar]
  var ports: [ContainerPort]
  var resources: ResourceRequirements
  var security: SecurityContext?
}

extension Notes {
  mutating func pod(_ pod: Pod) {
    hostName(pod.metadata.name, "the Pod's hostname")
    podSpec(pod.spec, pod.metadata, FieldPath(), isTemplate: false)
  }

  mutating func template(_ template: PodTemplateSpec, _ path: FieldPath) {
    podSpec(template.spec, template.metadata, path, isTemplate: true)
  }

  private mutating func podSpec(_ spec: PodSpec, _ meta: ObjectMeta, _ root: FieldPath, isTemplate: Bool) {
    let path = root.child("spec")
    placement(spec, path)
    let annotations = root.child("metadata", "annotations")
    for (key, text) in deadAnnotations where meta.annotations[key] != nil { add(annotations.key(key), text) }
    for (i, volume) in spec.volumes.enumerated() { self.volume(volume, path.child("volumes").index(i)) }
    tokenPaths(spec.volumes, path.child("volumes"))
    overlaps(spec.volumes)
    duplicates(spec.hostAliases.map(\.ip), "ip", path.child("hostAliases"))
    duplicates(spec.imagePullSecrets.map(\.name), "name", path.child("imagePullSecrets"))
    for (i, secret) in spec.imagePullSecrets.enumerated() where secret.name.isEmpty {
      add(path.child("imagePullSecrets").index(i).child("name"), "invalid empty name \"\"")
    }
    wholeBytes(spec.overhead, ["memory", "ephemeral-storage"], path.child("overhead"))
    let podSeccomp = "seccomp.security.alpha.kubernetes.io/pod"
    if spec.securityContext?.seccompProfile == nil, meta.annotations[podSeccomp] != nil {
      add(annotations.key(podSeccomp), useSeccomp)
    }
    let containers = containers(spec, path)
    for container in containers {
      profiles(container, spec, meta, annotations, isTemplate: isTemplate)
      let resources = container.path.child("resources")
      for name in ["memory", "ephemeral-storage"] {
        wholeBytes(container.resources.limits, [name], resources.child("limits"))
        wholeBytes(container.resources.requests, [name], resources.child("requests"))
      }
      environment(container)
    }
    ports(containers)
    if let grace = spec.terminationGracePeriodSeconds, grace < 0 {
      add(
        path.child("terminationGracePeriodSeconds"),
        "must be >= 0; negative values are invalid and will be treated as 1")
    }
    podTerms(spec, path)
    for (i, server) in (spec.dnsConfig?.nameservers ?? []).enumerated() {
      address(server, path.child("dnsConfig", "nameservers").index(i))
    }
    for (i, alias) in spec.hostAliases.enumerated() {
      address(alias.ip, path.child("hostAliases").index(i).child("ip"))
    }
  }

  private mutating func placement(_ spec: PodSpec, _ path: FieldPath) {
    for key in spec.nodeSelector.keys.sorted() {
      if let text = deprecatedLabels[key] { add(path.child("nodeSelector").key(key), text) }
    }
    if let affinity = spec.affinity?.nodeAffinity {
      let path = path.child("affinity", "nodeAffinity")
      let terms = affinity.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
      for (i, term) in terms.enumerated() {
        nodeTerm(term, path.child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms").index(i))
      }
      for (i, term) in affinity.preferredDuringSchedulingIgnoredDuringExecution.enumerated() {
        nodeTerm(
          term.preference, values: true,
          path.child("preferredDuringSchedulingIgnoredDuringExecution").index(i).child("preference"))
      }
    }
    for (i, constraint) in spec.topologySpreadConstraints.enumerated() {
      let path = path.child("topologySpreadConstraints").index(i)
      if let text = deprecatedLabels[constraint.topologyKey] {
        add(path.child("topologyKey"), "\(constraint.topologyKey) is \(text)")
      }
      if constraint.labelSelector == nil { add(path.child("labelSelector"), noMatch) }
    }
  }

  private mutating func podTerms(_ spec: PodSpec, _ path: FieldPath) {
    let path = path.child("affinity")
    func look(
      _ required: [PodAffinityTerm], _ preferred: [WeightedPodAffinityTerm], _ path: FieldPath, _ notes: inout Notes
    ) {
      for (i, term) in required.enumerated() where term.labelSelector == nil {
        notes.add(
          path.child("requiredDuringSchedulingIgnoredDuringExecution").index(i).child("labelSelector"), noMatch)
      }
      for (i, term) in preferred.enumerated() where term.podAffinityTerm.labelSelector == nil {
        notes.add(
          path.child("preferredDuringSchedulingIgnoredDuringExecution").index(i)
            .child("podAffinityTerm", "labelSelector"), noMatch)
      }
    }
    if let affinity = spec.affinity?.podAffinity {
      look(
        affinity.requiredDuringSchedulingIgnoredDuringExecution,
        affinity.preferredDuringSchedulingIgnoredDuringExecution, path.child("podAffinity"), &self)
    }
    if let affinity = spec.affinity?.podAntiAffinity {
      look(
        affinity.requiredDuringSchedulingIgnoredDuringExecution,
        affinity.preferredDuringSchedulingIgnoredDuringExecution, path.child("podAntiAffinity"), &self)
    }
  }

  private mutating func duplicates(_ values: [String], _ field: String, _ path: FieldPath) {
    var seen: Set<String> = []
    for (i, value) in values.enumerated() where !seen.insert(value).inserted {
      add(path.index(i).child(field), "duplicate \(field) \(goQuoted(value))")
    }
  }

  private func containers(_ spec: PodSpec, _ path: FieldPath) -> [AnyContainer] {
    let initial = spec.initContainers.enumerated().map { i, c in
      AnyContainer(
        name: c.name, path: path.child("initContainers").index(i), env: c.env, ports: c.ports, resources: c.resources,
        security: c.securityContext)
    }
    let main = spec.containers.enumerated().map { i, c in
      AnyContainer(
        name: c.name, path: path.child("containers").index(i), env: c.env, ports: c.ports, resources: c.resources,
        security: c.securityContext)
    }
    let ephemeral = spec.ephemeralContainers.enumerated().map { i, c in
      AnyContainer(
        name: c.name, path: path.child("ephemeralContainers").index(i), env: c.env, ports: c.ports,
        resources: c.resources, security: c.securityContext)
    }
    return initial + main + ephemeral
  }

  private mutating func profiles(
    _ container: AnyContainer, _ spec: PodSpec, _ meta: ObjectMeta, _ path: FieldPath, isTemplate: Bool
  ) {
    let seccomp = "container.seccomp.security.alpha.kubernetes.io/" + container.name
    if container.security?.seccompProfile == nil, meta.annotations[seccomp] != nil {
      add(path.key(seccomp), useSeccomp)
    }
    let armor = "container.apparmor.security.beta.kubernetes.io/" + container.name
    let hasField = spec.securityContext?.appArmorProfile != nil || container.security?.appArmorProfile != nil
    if meta.annotations[armor] != nil, !hasField, isTemplate {
      add(path.key(armor), #"deprecated since v1.30; use the "appArmorProfile" field instead"#)
    }
  }

  /// A second value of a variable is fine only if it is made from the first.
  private mutating func environment(_ container: AnyContainer) {
    var seen: Set<String> = []
    for (i, variable) in container.env.enumerated() {
      if seen.insert(variable.name).inserted { continue }
      let reference = "$(\(variable.name))"
      if variable.valueFrom == nil, variable.value != reference, variable.value.asciiRange(of: reference) != nil {
        continue
      }
      add(
        container.path.child("env").index(i),
        "hides previous definition of \(goQuoted(variable.name)), which may be dropped when using apply")
    }
  }

  private mutating func ports(_ containers: [AnyContainer]) {
    var known: [String: [(path: FieldPath, port: ContainerPort)]] = [:]
    for container in containers {
      for (i, port) in container.ports.enumerated() {
        let path = container.path.child("ports").index(i)
        if !port.hostIP.isEmpty, port.hostPort == 0 {
          add(
            path,
            "hostIP set without hostPort: {Name:\(port.name) HostPort:0 ContainerPort:\(port.containerPort) "
              + "Protocol:\(port.`protocol`) HostIP:\(port.hostIP)}")
        }
        let key = "\(port.containerPort)/\(port.`protocol`)"
        for other in known[key] ?? [] {
          if port.hostIP == other.port.hostIP, port.hostPort == other.port.hostPort {
            add(path, "duplicate port definition with \(other.path)")
          } else if port.hostPort == 0 || other.port.hostPort == 0 {
            add(path, "overlapping port definition with \(other.path)")
          } else if port.hostPort == other.port.hostPort, port.hostIP.isEmpty != other.port.hostIP.isEmpty {
            add(path, "dangerously ambiguous port definition with \(other.path)")
          }
        }
        known[key, default: []].append((path, port))
      }
    }
  }
}
