import API

/// Checks all containers of a pod: each by itself, and their names and host ports together.
func checkContainers(_ spec: PodSpec, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  let mainPath = path.child("containers")
  if spec.containers.isEmpty { errors.append(.required(mainPath)) }
  var names: Set<String> = []
  for (i, container) in spec.containers.enumerated() {
    let path = mainPath.index(i)
    checkContainer(container, path, context, &errors)
    if !names.insert(container.name).inserted { errors.append(.duplicate(path.child("name"), container.name)) }
    checkLifecycle(container.lifecycle, path.child("lifecycle"), context, &errors)
    checkProbes(container, path, context, &errors)
    checkContainerRestart(container, path, isInit: false, &errors)
  }
  checkHostPortConflicts(spec.containers, mainPath, &errors)
  checkInitContainers(spec, path.child("initContainers"), names, context, &errors)
  for container in spec.initContainers { names.insert(container.name) }
  checkEphemeralContainers(spec.ephemeralContainers, names, path.child("ephemeralContainers"), context, &errors)
}

private func checkInitContainers(
  _ spec: PodSpec, _ path: FieldPath, _ mainNames: Set<String>, _ context: PodContext, _ errors: inout [FieldError]
) {
  var names = mainNames
  for (i, container) in spec.initContainers.enumerated() {
    let path = path.index(i)
    checkContainer(container, path, context, &errors)
    if !names.insert(container.name).inserted { errors.append(.duplicate(path.child("name"), container.name)) }
    checkContainerRestart(container, path, isInit: true, &errors)
    if container.isSidecar {
      checkLifecycle(container.lifecycle, path.child("lifecycle"), context, &errors)
      checkProbes(container, path, context, &errors)
    } else {
      let message = "may not be set for init containers without restartPolicy=Always"
      if container.lifecycle != nil { errors.append(.forbidden(path.child("lifecycle"), message)) }
      if container.livenessProbe != nil { errors.append(.forbidden(path.child("livenessProbe"), message)) }
      if container.readinessProbe != nil { errors.append(.forbidden(path.child("readinessProbe"), message)) }
      if container.startupProbe != nil { errors.append(.forbidden(path.child("startupProbe"), message)) }
    }
    checkHostPortConflicts([container], path, &errors, isOne: true)
  }
}

/// Checks what every container has.
func checkContainer(_ container: Container, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  let namePath = path.child("name")
  if container.name.isEmpty {
    errors.append(.required(namePath))
  } else {
    checkDNS1123Label(container.name, namePath, &errors)
  }
  if container.image.isEmpty {
    errors.append(.required(path.child("image")))
  } else if !isTrimmed(container.image) {
    errors.append(
      .invalid(path.child("image"), container.image, "must not have leading or trailing whitespace"))
  }
  checkRequiredOneOf(
    container.terminationMessagePolicy, ["File", "FallbackToLogsOnError"], path.child("terminationMessagePolicy"),
    &errors)
  checkContainerPorts(container.ports, path.child("ports"), hostNetwork: context.hostNetwork, &errors)
  checkEnv(container.env, path.child("env"), context, &errors)
  checkEnvFrom(container.envFrom, path.child("envFrom"), &errors)
  checkVolumeMounts(container, path.child("volumeMounts"), context, &errors)
  checkVolumeDevices(container, path.child("volumeDevices"), context, &errors)
  checkRequiredOneOf(
    container.imagePullPolicy, ["Always", "IfNotPresent", "Never"], path.child("imagePullPolicy"), &errors)
  checkResources(container.resources, path.child("resources"), claims: context.claimNames, &errors)
  checkResizePolicy(container.resizePolicy, path.child("resizePolicy"), &errors)
  if let security = container.securityContext {
    checkSecurityContext(security, path.child("securityContext"), context, &errors)
  }
}

private func checkContainerRestart(
  _ container: Container, _ path: FieldPath, isInit: Bool, _ errors: inout [FieldError]
) {
  if let policy = container.restartPolicy {
    checkOneOf(policy, restartPolicies, path.child("restartPolicy"), &errors)
  }
  let rulesPath = path.child("restartPolicyRules")
  if container.restartPolicyRules.isEmpty { return }
  if container.restartPolicy == nil {
    errors.append(
      .required(path.child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
  }
  if container.restartPolicyRules.count > 20 {
    errors.append(.tooLong(rulesPath, max: 20))
  }
  for (i, rule) in container.restartPolicyRules.enumerated() {
    checkRequiredOneOf(rule.action, ["Restart", "RestartAllContainers"], rulesPath.index(i).child("action"), &errors)
    guard let codes = rule.exitCodes else {
      errors.append(.required(rulesPath.index(i).child("exitCodes"), "must be specified"))
      continue
    }
    let path = rulesPath.index(i).child("exitCodes")
    checkRequiredOneOf(codes.`operator`, ["In", "NotIn"], path.child("operator"), &errors)
    if codes.values.isEmpty || codes.values.count > 255 {
      errors.append(.invalid(path.child("values"), codes.values, "must have between 1 and 255 values"))
    }
  }
}

/// Checks declared ports.
func checkContainerPorts(
  _ ports: [ContainerPort], _ path: FieldPath, hostNetwork: Bool, _ errors: inout [FieldError]
) {
  var names: Set<String> = []
  for (i, port) in ports.enumerated() {
    let path = path.index(i)
    if !port.name.isEmpty {
      let problems = portNameProblems(port.name)
      checkProblems(problems, port.name, path.child("name"), &errors)
      if problems.isEmpty, !names.insert(port.name).inserted {
        errors.append(.duplicate(path.child("name"), port.name))
      }
    }
    if port.containerPort == 0 {
      errors.append(.required(path.child("containerPort")))
    } else {
      checkPort(port.containerPort, path.child("containerPort"), &errors)
    }
    if port.hostPort != 0 { checkPort(port.hostPort, path.child("hostPort"), &errors) }
    checkRequiredOneOf(port.`protocol`, ["TCP", "UDP", "SCTP"], path.child("protocol"), &errors)
    if !port.hostIP.isEmpty { checkIP(port.hostIP, path.child("hostIP"), &errors) }
    if hostNetwork && port.hostPort != port.containerPort {
      errors.append(
        .invalid(
          path.child("containerPort"), port.containerPort, "must match `hostPort` when `hostNetwork` is true"))
    }
  }
}

private func checkHostPortConflicts(
  _ containers: [Container], _ path: FieldPath, _ errors: inout [FieldError], isOne: Bool = false
) {
  var seen: Set<String> = []
  for (i, container) in containers.enumerated() {
    for (j, port) in container.ports.enumerated() where port.hostPort != 0 {
      let text = "\(port.`protocol`)/\(port.hostIP)/\(port.hostPort)"
      if !seen.insert(text).inserted {
        let place = isOne ? path : path.index(i)
        errors.append(.duplicate(place.child("ports").index(j).child("hostPort"), text))
      }
    }
  }
}

private func checkEphemeralContainers(
  _ containers: [EphemeralContainer], _ otherNames: Set<String>, _ path: FieldPath, _ context: PodContext,
  _ errors: inout [FieldError]
) {
  var names = otherNames
  for (i, container) in containers.enumerated() {
    let path = path.index(i)
    if container.name.isEmpty {
      errors.append(.required(path.child("name")))
    } else {
      checkDNS1123Label(container.name, path.child("name"), &errors)
      if !names.insert(container.name).inserted { errors.append(.duplicate(path.child("name"), container.name)) }
    }
    if container.image.isEmpty { errors.append(.required(path.child("image"))) }
    if !container.targetContainerName.isEmpty, !otherNames.contains(container.targetContainerName) {
      errors.append(.notFound(path.child("targetContainerName"), container.targetContainerName))
    }
    checkRequiredOneOf(
      container.terminationMessagePolicy, ["File", "FallbackToLogsOnError"], path.child("terminationMessagePolicy"),
      &errors)
    checkRequiredOneOf(
      container.imagePullPolicy, ["Always", "IfNotPresent", "Never"], path.child("imagePullPolicy"), &errors)
    checkEnv(container.env, path.child("env"), context, &errors)
    checkEnvFrom(container.envFrom, path.child("envFrom"), &errors)
    let message = "cannot be set for an Ephemeral Container"
    if !container.ports.isEmpty { errors.append(.forbidden(path.child("ports"), message)) }
    if container.lifecycle != nil { errors.append(.forbidden(path.child("lifecycle"), message)) }
    if container.livenessProbe != nil { errors.append(.forbidden(path.child("livenessProbe"), message)) }
    if container.readinessProbe != nil { errors.append(.forbidden(path.child("readinessProbe"), message)) }
    if container.startupProbe != nil { errors.append(.forbidden(path.child("startupProbe"), message)) }
    if container.resources != ResourceRequirements() { errors.append(.forbidden(path.child("resources"), message)) }
    for (j, mount) in container.volumeMounts.enumerated() where !mount.subPath.isEmpty || !mount.subPathExpr.isEmpty {
      let field = mount.subPath.isEmpty ? "subPathExpr" : "subPath"
      errors.append(.forbidden(path.child("volumeMounts").index(j).child(field), message))
    }
  }
}
