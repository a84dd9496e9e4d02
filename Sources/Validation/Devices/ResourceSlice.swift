import API

private let ownMessage = "must be either unset or set to true"

extension ResourceSlice: Validated {
  func validate(_ errors: inout [FieldError]) { check(before: nil, &errors) }

  func validateChange(of old: ResourceSlice, _ errors: inout [FieldError]) { check(before: old, &errors) }

  private func check(before old: ResourceSlice?, _ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkCSIDriverName(spec.driver, path.child("driver"), &errors)
    let pool = path.child("pool")
    checkPoolName(spec.pool.name, pool.child("name"), &errors)
    if spec.pool.resourceSliceCount <= 0 {
      errors.append(
        .invalid(pool.child("resourceSliceCount"), spec.pool.resourceSliceCount, "must be greater than zero"))
    }
    if spec.pool.generation < 0 {
      errors.append(
        .invalid(pool.child("generation"), spec.pool.generation, "must be greater than or equal to zero"))
    }
    if let old {
      checkImmutable(spec.pool.name, old.spec.pool.name, pool.child("name"), &errors)
      checkImmutable(spec.driver, old.spec.driver, path.child("driver"), &errors)
      checkImmutable(spec.nodeName, old.spec.nodeName, path.child("nodeName"), &errors)
    }
    checkNodes(path, &errors)
    if !spec.sharedCounters.isEmpty && !spec.devices.isEmpty {
      errors.append(.invalid(path, "", "only one of `sharedCounters` or `devices` is allowed"))
    }
    let advanced = spec.devices.contains { device in
      !device.taints.isEmpty || !device.consumesCounters.isEmpty || device.attributes.values.contains(where: \.isList)
    }
    let before = Dictionary((old?.spec.devices ?? []).map { ($0.name, $0) }, uniquingKeysWith: { a, _ in a })
    checkSet(spec.devices, max: advanced ? 64 : 128, key: \.name, path.child("devices"), &errors) {
      device, path, errors in
      checkDevice(device, before: before[device.name], perDevice: spec.perDeviceNodeSelection == true, path, &errors)
    }
    checkSet(spec.sharedCounters, max: 8, key: \.name, path.child("sharedCounters"), &errors) { set, path, errors in
      checkRequiredLabel(set.name, path.child("name"), &errors)
      checkCounters(set.counters, path.child("counters"), &errors)
    }
  }

  private func checkNodes(_ path: FieldPath, _ errors: inout [FieldError]) {
    var given: [String] = []
    if let name = spec.nodeName {
      if name.isEmpty {
        errors.append(
          .invalid(path.child("nodeName"), name, "must be either unset or set to a non-empty string"))
      } else {
        given.append("`nodeName`")
        checkDNS1123Subdomain(name, path.child("nodeName"), &errors)
      }
    }
    if let selector = spec.nodeSelector {
      given.append("`nodeSelector`")
      checkNodeSelector(selector, path.child("nodeSelector"), &errors)
      if selector.nodeSelectorTerms.count != 1 {
        errors.append(
          .invalid(
            path.child("nodeSelector", "nodeSelectorTerms"), selector.nodeSelectorTerms,
            "must have exactly one node selector term"))
      }
    }
    for (field, value) in [
      ("allNodes", spec.allNodes), ("perDeviceNodeSelection", spec.perDeviceNodeSelection),
    ] {
      guard let value else { continue }
      if value { given.append("`\(field)`") } else { errors.append(.invalid(path.child(field), value, ownMessage)) }
    }
    let union = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if given.isEmpty { errors.append(.required(path, union)) }
    if given.count > 1 {
      errors.append(
        .invalid(path, "{" + given.joined(separator: ", ") + "}", union + ", but multiple fields are set"))
    }
  }
}

private func checkRequiredLabel(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if name.isEmpty { errors.append(.required(path)) } else { checkDNS1123Label(name, path, &errors) }
}

private func checkCounters(_ counters: [String: Counter], _ path: FieldPath, _ errors: inout [FieldError]) {
  if counters.isEmpty { errors.append(.required(path)) }
  if counters.count > 32 {
    errors.append(.tooMany(path, actual: counters.count, max: 32))
    return
  }
  for name in counters.keys.sorted() { checkDNS1123Label(name, path, &errors) }
}

extension DeviceAttribute {
  /// Whether it holds several values.
  fileprivate var isList: Bool { listCount > 0 }

  fileprivate var listCount: Int { bools.count + ints.count + strings.count + versions.count }
}

private func checkDevice(
  _ device: Device, before: Device?, perDevice: Bool, _ path: FieldPath, _ errors: inout [FieldError]
) {
  checkDNS1123Label(device.name, path.child("name"), &errors)
  let count = device.attributes.count + device.capacity.count
  if count > 32 {
    errors.append(.invalid(path, count, "the total number of attributes and capacities must not exceed 32"))
  }
  let values = device.attributes.values.reduce(0) { $0 + max(1, $1.listCount) }
  if values > 48 { errors.append(.invalid(path, values, "the total number of attribute values must not exceed 48")) }
  let attributes = path.child("attributes")
  for (name, attribute) in device.attributes.sorted(by: { $0.key < $1.key }) {
    checkQualified(name, attributes, &errors)
    checkAttribute(attribute, attributes.key(shortened(name)), &errors)
  }
  if before == nil || before?.capacity != device.capacity {
    let place = path.child("capacity")
    for (name, capacity) in device.capacity.sorted(by: { $0.key < $1.key }) {
      checkQualified(name, place, &errors)
      guard let policy = capacity.requestPolicy else { continue }
      let policyPath = place.key(shortened(name)).child("requestPolicy")
      if device.allowMultipleAllocations == true {
        checkRequestPolicy(policy, capacity.value, policyPath, &errors)
      } else {
        errors.append(.forbidden(policyPath, "allowMultipleAllocations must be true"))
      }
    }
  }
  if before == nil || before?.taints != device.taints {
    checkList(device.taints, max: 16, path.child("taints"), &errors) { taint, path, errors in
      checkDeviceTaint(key: taint.key, value: taint.value, effect: taint.effect, path, &errors)
    }
  }
  checkSet(device.consumesCounters, max: 2, key: \.counterSet, path.child("consumesCounters"), &errors) {
    consumption, path, errors in
    checkRequiredLabel(consumption.counterSet, path.child("counterSet"), &errors)
    checkCounters(consumption.counters, path.child("counters"), &errors)
  }
  checkDeviceNodes(device, perDevice: perDevice, path, &errors)
  checkBindingConditions(device.bindingConditions, failures: device.bindingFailureConditions, path, &errors)
}

private func shortened(_ name: String) -> String {
  let most = 63 + 1 + 32
  return name.utf8.count <= most ? name : String(name.prefix(47)) + "..." + String(name.suffix(46))
}

private func checkDeviceNodes(
  _ device: Device, perDevice: Bool, _ path: FieldPath, _ errors: inout [FieldError]
) {
  guard perDevice else {
    if device.nodeName != nil || device.nodeSelector != nil || device.allNodes != nil {
      errors.append(
        .invalid(
          path, JSONValue.null,
          "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "
            + "ResourceSlice spec"))
    }
    return
  }
  var given: [String] = []
  if let name = device.nodeName {
    if name.isEmpty {
      errors.append(.invalid(path.child("nodeName"), name, "must not be empty"))
    } else {
      given.append("`nodeName`")
      checkDNS1123Subdomain(name, path.child("nodeName"), &errors)
    }
  }
  if let selector = device.nodeSelector {
    given.append("`nodeSelector`")
    checkNodeSelector(selector, path.child("nodeSelector"), &errors)
  }
  if let all = device.allNodes {
    if all { given.append("`allNodes`") } else { errors.append(.invalid(path.child("allNodes"), all, ownMessage)) }
  }
  let union =
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    + "in the ResourceSlice spec"
  if given.isEmpty { errors.append(.required(path, union)) }
  if given.count > 1 { errors.append(.invalid(path, "{" + given.joined(separator: ", ") + "}", union)) }
}

private func checkAttribute(_ attribute: DeviceAttribute, _ path: FieldPath, _ errors: inout [FieldError]) {
  if let text = attribute.string, text.utf8.count > 64 { errors.append(.tooLong(path.child("string"), max: 64)) }
  if let version = attribute.version { checkVersionText(version, path.child("version"), &errors) }
  for (i, text) in attribute.strings.enumerated() where text.utf8.count > 64 {
    errors.append(.tooLong(path.child("strings").index(i), max: 64))
  }
  for (i, version) in attribute.versions.enumerated() {
    checkVersionText(version, path.child("versions").index(i), &errors)
  }
  let given = [
    attribute.bool != nil, attribute.int != nil, attribute.string != nil, attribute.version != nil,
    !attribute.bools.isEmpty, !attribute.ints.isEmpty, !attribute.strings.isEmpty, !attribute.versions.isEmpty,
  ].filter { $0 }.count
  if given == 0 { errors.append(.invalid(path, "", "exactly one value must be specified")) }
  if given > 1 { errors.append(.invalid(path, FieldJSON(attribute), "exactly one value must be specified")) }
}

private func checkVersionText(_ version: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  if SemanticVersion(version) == nil {
    errors.append(.invalid(path, version, "must be a string compatible with semver.org spec 2.0.0"))
  }
  if version.utf8.count > 64 { errors.append(.tooLong(path, max: 64)) }
}

/// Checks which parts of a capacity can be asked for.
private func checkRequestPolicy(
  _ policy: CapacityRequestPolicy, _ most: Quantity, _ path: FieldPath, _ errors: inout [FieldError]
) {
  if !policy.validValues.isEmpty && policy.validRange != nil {
    errors.append(
      .forbidden(
        path, "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time"
      ))
    return
  }
  if !policy.validValues.isEmpty {
    guard let standard = policy.`default` else {
      errors.append(.required(path.child("default"), "required when validValues is defined"))
      return
    }
    checkValues(policy.validValues, standard, most, path.child("validValues"), &errors)
  } else if let range = policy.validRange {
    guard let standard = policy.`default` else {
      errors.append(.required(path.child("default"), "required when validRange is defined"))
      return
    }
    checkRange(range, standard, most, path.child("validRange"), &errors)
  }
}

private func checkValues(
  _ values: [Quantity], _ standard: Quantity, _ most: Quantity, _ path: FieldPath, _ errors: inout [FieldError]
) {
  for (i, (value, next)) in zip(values, values.dropFirst()).enumerated() where value > next {
    errors.append(.invalid(path.index(i + 1), next.description, "values must be sorted in ascending order"))
  }
  checkSet(values, max: 10, key: { String($0.value) }, path, &errors) { value, path, errors in
    if value > most {
      errors.append(.invalid(path, value.description, "option is larger than capacity value: \(most)"))
    }
  }
  if !values.contains(standard) {
    errors.append(
      .invalid(path, standard.description, "default value is not valid according to the requestPolicy"))
  }
}

private func checkRange(
  _ range: CapacityRequestPolicyRange, _ standard: Quantity, _ most: Quantity, _ path: FieldPath,
  _ errors: inout [FieldError]
) {
  guard let least = range.min else {
    errors.append(.required(path.child("min"), "required when validRange is defined"))
    return
  }
  func refuse(_ field: String, _ value: Quantity, _ detail: String) {
    errors.append(.invalid(path.child(field), value.description, detail))
  }
  if least > most { refuse("min", least, "min is larger than capacity value: \(most)") }
  if standard < least { refuse("default", standard, "default is less than min: \(least)") }
  if let high = range.max {
    if least > high { refuse("max", least, "min is larger than max: \(high)") }
    if high > most { refuse("max", high, "max is larger than capacity value: \(most)") }
    if standard > high { refuse("default", standard, "default is more than max: \(high)") }
  }
  guard let step = range.step else { return }
  if step.sign <= 0 {
    refuse("step", step, "must be greater than zero")
    return
  }
  if least + step > most {
    refuse("step", step, "one step \(least + step) is larger than capacity value: \(most)")
  }
  for value in [standard] + (range.max.map { [$0] } ?? [])
  where step.value != 0 && (value.value - least.value) % step.value != 0 {
    refuse("step", value, "value is not a multiple of a given step (\(step)) from (\(least))")
  }
}
