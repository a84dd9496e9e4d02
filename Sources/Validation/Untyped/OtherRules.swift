import API

extension UntypedRules {
  static let leaseCandidate = UntypedRules(
    nameProblems: { Names.isConfigMapKey($0.metadata.name) },
    check: { candidate, old, errors in
      let path = FieldPath("spec")
      let spec = candidate.spec
      checkRequired(spec.text("leaseName"), path.child("leaseName"), &errors)
      let wrong = "must be a valid semantic version"
      let (emulation, binary) = (spec.text("emulationVersion"), spec.text("binaryVersion"))
      let emulated = SemanticVersion(emulation)
      if !emulation.isEmpty, emulated == nil {
        errors.append(.invalid(path.child("emulationVersion"), emulation, wrong))
      }
      checkRequired(binary, path.child("binaryVersion"), &errors)
      let built = SemanticVersion(binary)
      if !binary.isEmpty, built == nil { errors.append(.invalid(path.child("binaryVersion"), binary, wrong)) }
      if let built, let emulated, built < emulated {
        errors.append(
          .invalid(path.child("binaryVersion"), binary, "must be greater than or equal to `emulationVersion`"))
      }
      let strategy = spec.text("strategy")
      if strategy.isEmpty {
        errors.append(.required(path.child("strategy")))
      } else {
        if strategy == "OldestEmulationVersion", emulated == nil {
          errors.append(
            .required(
              path.child("emulationVersion"), "must be specified when `strategy` is 'OldestEmulationVersion'"))
        }
        checkLeaseStrategy(strategy, path.child("strategy"), &errors)
      }
      if let old {
        checkImmutable(spec.text("leaseName"), old.spec.text("leaseName"), path.child("leaseName"), &errors)
      }
    })

  static let deviceTaintRule = UntypedRules(
    check: { rule, old, errors in
      let path = FieldPath("spec")
      if let selector = rule.spec["deviceSelector"] {
        let path = path.child("deviceSelector")
        if let driver = selector["driver"]?.stringValue { checkCSIDriverName(driver, path.child("driver"), &errors) }
        if let pool = selector["pool"]?.stringValue { checkPoolName(pool, path.child("pool"), &errors) }
        if let device = selector["device"]?.stringValue { checkDNS1123Label(device, path.child("device"), &errors) }
      }
      let taint = rule.spec.part("taint")
      checkDeviceTaint(
        key: taint.text("key"), value: taint.text("value"), effect: taint.text("effect"),
        oldEffect: old.map { $0.spec.part("taint").text("effect") }, path.child("taint"), &errors)
    },
    checkStatus: { rule, _, errors in
      let path = FieldPath("status").child("conditions")
      let conditions = conditionForms(rule.status)
      checkConditions(conditions, path, &errors)
      if conditions.count > 8 { errors.append(.tooMany(path, actual: conditions.count, max: 8)) }
    })

  static let storageVersionMigration = UntypedRules(
    check: { migration, old, errors in
      let path = FieldPath("spec").child("resource")
      let resource = migration.spec.part("resource")
      if resource.text("resource").isEmpty {
        errors.append(.required(path.child("resource"), "resource is required"))
      }
      guard let old else { return }
      let before = old.spec.part("resource")
      for field in ["group", "resource"] {
        checkImmutable(resource.text(field), before.text(field), FieldPath(field), &errors)
      }
    },
    checkStatus: checkMigrationStatus)
}

/// Checks how the leader among candidates is chosen.
func checkLeaseStrategy(_ strategy: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  // Upstream names the field twice.
  let path = path.child("strategy")
  if strategy.contains("/") {
    checkProblems(Names.isQualifiedName(strategy), strategy, path, &errors)
  } else {
    checkOneOf(strategy, ["OldestEmulationVersion"], path, &errors)
  }
}

private func checkMigrationStatus(
  _ migration: DynamicObject, _ old: DynamicObject?, _ errors: inout [FieldError]
) {
  let path = FieldPath("status")
  let version = migration.status.text("resourceVersion")
  if !version.isEmpty {
    if let number = Int64(version) {
      checkNonnegative(number, path.child("resourceVersion"), &errors)
    } else {
      errors.append(
        .invalid(
          path.child("resourceVersion"), version,
          "failed to parse resource version \(goQuoted(version)): strconv.ParseInt: parsing \(goQuoted(version)): "
            + "invalid syntax"))
    }
  }
  let place = path.child("conditions")
  let conditions = conditionForms(migration.status)
  checkConditions(conditions, place, &errors)
  let before = old?.status.text("resourceVersion") ?? ""
  if !before.isEmpty, before != version {
    errors.append(.invalid(path.child("resourceVersion"), version, "cannot be updated"))
  }
  func isTrue(_ type: String, _ object: DynamicObject?) -> Bool {
    object?.status.list("conditions").contains { $0.text("type") == type && $0.text("status") == "True" } == true
  }
  let shown = JSONValue.array(migration.status.list("conditions"))
  let (succeeded, failed) = (isTrue("Succeeded", migration), isTrue("Failed", migration))
  if succeeded && failed {
    errors.append(.invalid(place, shown, "Both success and failed conditions cannot be true at the same time"))
  }
  if succeeded && isTrue("Running", migration) {
    errors.append(
      .invalid(place, shown, "Running condition cannot be true when success condition is true"))
  }
  if failed && isTrue("Running", migration) {
    errors.append(.invalid(place, shown, "Running condition cannot be true when failed condition is true"))
  }
  if isTrue("Succeeded", old) && !succeeded {
    errors.append(.invalid(place, shown, "Success condition cannot be set to false once it is true"))
  }
  if isTrue("Failed", old) && !failed {
    errors.append(.invalid(place, shown, "Failed condition cannot be set to false once it is true"))
  }
}
