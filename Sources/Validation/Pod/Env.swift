import API

private let downwardEnvPaths = [
  "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
  "status.hostIPs", "status.podIP", "status.podIPs",
]
private let resourceEnvNames = [
  "limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory",
  "requests.ephemeral-storage",
]

/// What is wrong with the name of an environment variable.
func envNameProblems(_ name: String) -> [String] {
  if name.isEmpty { return ["environment variable name must be non-empty"] }
  if name.utf8.contains(where: { $0 < 0x20 || $0 > 0x7E || $0 == UInt8(ascii: "=") }) {
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
  }
  return []
}

/// Checks environment variables.
func checkEnv(_ variables: [EnvVar], _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  for (i, variable) in variables.enumerated() {
    let path = path.index(i)
    if variable.name.isEmpty {
      errors.append(.required(path.child("name")))
    } else {
      checkProblems(envNameProblems(variable.name), variable.name, path.child("name"), &errors)
    }
    if let source = variable.valueFrom {
      checkEnvSource(source, value: variable.value, path.child("valueFrom"), context, &errors)
    }
  }
}

private func checkEnvSource(
  _ source: EnvVarSource, value: String, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  var count = 0
  if let field = source.fieldRef {
    count += 1
    checkFieldRef(field, path.child("fieldRef"), allowed: downwardEnvPaths, &errors)
  }
  if let resource = source.resourceFieldRef {
    count += 1
    checkResourceFieldRef(resource, path.child("resourceFieldRef"), isVolume: false, &errors)
  }
  if let key = source.configMapKeyRef {
    count += 1
    checkKeyRef(name: key.name, key: key.key, path.child("configMapKeyRef"), &errors)
  }
  if let key = source.secretKeyRef {
    count += 1
    checkKeyRef(name: key.name, key: key.key, path.child("secretKeyRef"), &errors)
  }
  if let key = source.fileKeyRef {
    count += 1
    let path = path.child("fileKeyRef")
    if key.volumeName.isEmpty {
      errors.append(.required(path.child("volumeName")))
    } else if context.volumes[key.volumeName] == nil {
      errors.append(.notFound(path.child("volumeName"), key.volumeName))
    }
    if key.path.isEmpty {
      errors.append(.required(path.child("path")))
    } else {
      checkDescendingPath(key.path, path.child("path"), &errors)
    }
    if key.key.isEmpty {
      errors.append(.required(path.child("key")))
    } else {
      checkProblems(envNameProblems(key.key), key.key, path.child("key"), &errors)
    }
  }
  if count == 0 {
    errors.append(
      .invalid(
        path, "",
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
  } else if !value.isEmpty {
    errors.append(.invalid(path, "", "may not be specified when `value` is not empty"))
  } else if count > 1 {
    errors.append(.invalid(path, "", "may not have more than one field specified at a time"))
  }
}

private func checkKeyRef(name: String, key: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if key.isEmpty {
    errors.append(.required(path.child("key")))
  } else {
    checkProblems(configKeyProblems(key), key, path.child("key"), &errors)
  }
  if !name.isEmpty { checkDNS1123Subdomain(name, path.child("name"), &errors) }
}

/// Checks a reference to a field of the pod; labels and annotations may be chosen by key.
func checkFieldRef(
  _ field: ObjectFieldSelector, _ path: FieldPath, allowed: [String], _ errors: inout [FieldError]
) {
  if field.apiVersion.isEmpty {
    errors.append(.required(path.child("apiVersion")))
    return
  }
  if field.fieldPath.isEmpty {
    errors.append(.required(path.child("fieldPath")))
    return
  }
  let fieldPath = path.child("fieldPath")
  if let open = field.fieldPath.firstIndex(of: "["), field.fieldPath.hasSuffix("']") {
    let base = String(field.fieldPath[..<open])
    let key = String(field.fieldPath[open...].dropFirst(2).dropLast(2))
    switch base {
    case "metadata.annotations": checkProblems(Names.isQualifiedName(key.lowercased()), key, path, &errors)
    case "metadata.labels": checkProblems(Names.isQualifiedName(key), key, path, &errors)
    default: errors.append(.invalid(path, base, "does not support subscript"))
    }
    return
  }
  if !allowed.contains(field.fieldPath) { errors.append(.notSupported(fieldPath, field.fieldPath, allowed)) }
}

/// Checks a reference to a container's request or limit.
func checkResourceFieldRef(
  _ selector: ResourceFieldSelector, _ path: FieldPath, isVolume: Bool, _ errors: inout [FieldError]
) {
  if isVolume && selector.containerName.isEmpty {
    errors.append(.required(path.child("containerName")))
  } else if selector.resource.isEmpty {
    errors.append(.required(path.child("resource")))
  } else if !resourceEnvNames.contains(selector.resource) && !selector.resource.contains("hugepages-") {
    errors.append(.notSupported(path.child("resource"), selector.resource, resourceEnvNames))
  }
  checkDivisor(selector, path.child("divisor"), &errors)
}

private func checkDivisor(_ selector: ResourceFieldSelector, _ path: FieldPath, _ errors: inout [FieldError]) {
  let text = selector.divisor.description
  if text == "0" { return }
  let isCPU = selector.resource.hasSuffix(".cpu")
  let allowed =
    isCPU
    ? ["1m", "1"] : ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]
  if allowed.contains(text) { return }
  errors.append(
    .invalid(
      path, selector.divisor,
      isCPU
        ? "only divisor's values 1m and 1 are supported with the cpu resource"
        : "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the "
          + (selector.resource.hasSuffix("memory") ? "memory resource" : "local ephemeral storage resource")))
}

/// Checks sources of whole sets of variables.
func checkEnvFrom(_ sources: [EnvFromSource], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, source) in sources.enumerated() {
    let path = path.index(i)
    if !source.prefix.isEmpty {
      checkProblems(envNameProblems(source.prefix), source.prefix, path.child("prefix"), &errors)
    }
    var count = 0
    for (field, name) in [("configMapRef", source.configMapRef?.name), ("secretRef", source.secretRef?.name)] {
      guard let name else { continue }
      count += 1
      if name.isEmpty {
        errors.append(.required(path.child(field).child("name")))
      } else {
        checkDNS1123Subdomain(name, path.child(field).child("name"), &errors)
      }
    }
    if count == 0 {
      errors.append(.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
    } else if count > 1 {
      errors.append(.invalid(path, "", "may not have more than one field specified at a time"))
    }
  }
}
