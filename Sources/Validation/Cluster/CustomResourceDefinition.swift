import API

extension CustomResourceDefinition: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    let wanted = spec.names.plural + "." + spec.group
    if metadata.name != wanted {
      errors.append(
        .invalid(
          FieldPath("metadata").child("name"), metadata.name, "must be spec.names.plural+\".\"+spec.group"))
    }
    checkGroup(path.child("group"), &errors)
    checkOneOf(spec.scope, ["Cluster", "Namespaced"], path.child("scope"), &errors)
    checkVersions(path.child("versions"), &errors)
    checkNames(spec.names, path.child("names"), &errors)
    checkConversion(path.child("conversion"), &errors)
  }

  private func checkGroup(_ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.group.isEmpty {
      errors.append(.required(path))
    } else {
      checkDNS1123Subdomain(spec.group, path, &errors)
      if !spec.group.contains(".") {
        errors.append(.invalid(path, spec.group, "should be a domain with at least one dot"))
      }
    }
  }

  private func checkVersions(_ path: FieldPath, _ errors: inout [FieldError]) {
    var names: Set<String> = []
    var unique = true
    for (i, version) in spec.versions.enumerated() {
      let path = path.index(i)
      if !names.insert(version.name).inserted { unique = false }
      checkProblems(Names.isDNS1035Label(version.name), version.name, path.child("name"), &errors)
      // What is in it is checked where expressions can be compiled.
      if version.schema?.openAPIV3Schema == nil {
        errors.append(.required(path.child("schema", "openAPIV3Schema"), "schemas are required"))
      }
      for (j, column) in version.additionalPrinterColumns.enumerated() {
        let path = path.child("additionalPrinterColumns").index(j)
        checkRequired(column.name, path.child("name"), &errors)
        checkRequiredOneOf(
          column.type, ["boolean", "date", "integer", "number", "string"], path.child("type"), &errors)
        checkRequired(column.jsonPath, path.child("jsonPath"), &errors)
      }
      if let scale = version.subresources?.scale {
        let path = path.child("subresources", "scale")
        checkScalePath(scale.specReplicasPath, ".spec.", path.child("specReplicasPath"), &errors)
        checkScalePath(scale.statusReplicasPath, ".status.", path.child("statusReplicasPath"), &errors)
      }
    }
    if spec.versions.isEmpty {
      errors.append(.invalid(path, JSONValue.null, "must have exactly one version marked as storage version"))
    } else if spec.versions.filter(\.storage).count != 1 {
      errors.append(
        .invalid(path, FieldJSON(spec.versions), "must have exactly one version marked as storage version"))
    }
    if !unique {
      errors.append(.invalid(path, FieldJSON(spec.versions), "must contain unique version names"))
    }
  }

  private func checkScalePath(_ value: String, _ prefix: String, _ path: FieldPath, _ errors: inout [FieldError]) {
    if value.isEmpty {
      errors.append(.required(path))
    } else if !value.hasPrefix(prefix) {
      errors.append(.invalid(path, value, "should be a json path under \(prefix.dropLast())"))
    }
  }

  private func checkNames(
    _ names: CustomResourceDefinitionNames, _ path: FieldPath, _ errors: inout [FieldError]
  ) {
    for (field, value) in [("plural", names.plural), ("singular", names.singular)] {
      if value.isEmpty && field == "singular" { continue }
      checkProblems(Names.isDNS1035Label(value), value, path.child(field), &errors)
    }
    for (field, value) in [("kind", names.kind), ("listKind", names.listKind)] {
      checkProblems(Names.isDNS1035Label(value.lowercased()), value, path.child(field), &errors)
    }
    for (i, name) in names.shortNames.enumerated() {
      checkProblems(Names.isDNS1035Label(name), name, path.child("shortNames").index(i), &errors)
    }
    for (i, name) in names.categories.enumerated() {
      checkProblems(Names.isDNS1035Label(name), name, path.child("categories").index(i), &errors)
    }
    if !names.kind.isEmpty && names.kind == names.listKind {
      errors.append(.invalid(path.child("listKind"), names.listKind, "kind and listKind may not be the same"))
    }
  }

  private func checkConversion(_ path: FieldPath, _ errors: inout [FieldError]) {
    guard let conversion = spec.conversion else { return }
    checkRequiredOneOf(conversion.strategy, ["None", "Webhook"], path.child("strategy"), &errors)
    if conversion.strategy == "Webhook" {
      if conversion.webhook?.clientConfig == nil {
        errors.append(.required(path.child("webhookClientConfig"), "required when strategy is set to Webhook"))
      }
      if conversion.webhook?.conversionReviewVersions.isEmpty ?? true {
        errors.append(.required(path.child("conversionReviewVersions")))
      }
    } else if conversion.webhook?.clientConfig != nil {
      errors.append(
        .forbidden(path.child("webhookClientConfig"), "should not be set when strategy is not set to Webhook"))
    }
    if spec.preserveUnknownFields {
      errors.append(
        .invalid(
          FieldPath("spec").child("preserveUnknownFields"), true,
          "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"))
    }
  }

  func validateChange(of old: CustomResourceDefinition, _ errors: inout [FieldError]) {
    validate(&errors)
    checkStoredVersions(&errors)
    let path = FieldPath("spec")
    checkImmutable(spec.group, old.spec.group, path.child("group"), &errors)
    if old.status.conditions.isTrue("Established") {
      checkImmutable(spec.scope, old.spec.scope, path.child("scope"), &errors)
      checkImmutable(spec.names.kind, old.spec.names.kind, path.child("names", "kind"), &errors)
    }
    checkImmutable(spec.names.plural, old.spec.names.plural, path.child("names", "plural"), &errors)
  }
}

extension APIService: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    let wanted = spec.version + "." + spec.group
    if metadata.name != (spec.group.isEmpty ? spec.version + "." : wanted) {
      errors.append(
        .invalid(
          FieldPath("metadata").child("name"), metadata.name,
          "must be `spec.version+\".\"+spec.group`: \(goQuoted(wanted))"))
    }
    if !spec.group.isEmpty { checkDNS1123Subdomain(spec.group, path.child("group"), &errors) }
    checkProblems(Names.isDNS1035Label(spec.version), spec.version, path.child("version"), &errors)
    if spec.groupPriorityMinimum <= 0 || spec.groupPriorityMinimum > 20000 {
      errors.append(
        .invalid(
          path.child("groupPriorityMinimum"), spec.groupPriorityMinimum, "must be positive and less than 20000"))
    }
    if spec.versionPriority <= 0 || spec.versionPriority > 1000 {
      errors.append(
        .invalid(path.child("versionPriority"), spec.versionPriority, "must be positive and less than 1000"))
    }
    if let service = spec.service {
      checkRequired(service.namespace, path.child("service", "namespace"), &errors)
      checkRequired(service.name, path.child("service", "name"), &errors)
      if let port = service.port { checkPort(port, path.child("service", "port"), &errors) }
      if spec.insecureSkipTLSVerify && !spec.caBundle.isEmpty {
        errors.append(.invalid(path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present"))
      }
    } else {
      if !spec.caBundle.isEmpty {
        errors.append(
          .invalid(
            path.child("caBundle"), "\(spec.caBundle.bytes.count) bytes", "local APIServices may not have a caBundle"))
      }
      if spec.insecureSkipTLSVerify {
        errors.append(
          .invalid(
            path.child("insecureSkipTLSVerify"), true, "local APIServices may not have insecureSkipTLSVerify"))
      }
    }
  }

  static var nameRule: NameRule { .pathSegment }
}
