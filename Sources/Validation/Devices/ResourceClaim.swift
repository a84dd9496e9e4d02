import API

extension ResourceResourceClaim: Validated {
  func validate(_ errors: inout [FieldError]) { checkClaim(spec, FieldPath("spec"), &errors) }

  /// Nobody can mend what stands in a specification that cannot change, so nothing else is looked at.
  func validateChange(of old: ResourceResourceClaim, _ errors: inout [FieldError]) {
    checkImmutableJSON(spec, old.spec, FieldPath("spec"), &errors)
  }
}

extension ResourceClaimTemplate: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkCommonMetadata(spec.metadata, path.child("metadata"), &errors)
    checkClaim(spec.spec, path.child("spec"), &errors)
  }

  func validateChange(of old: ResourceClaimTemplate, _ errors: inout [FieldError]) {
    checkImmutableJSON(spec, old.spec, FieldPath("spec"), &errors)
  }
}

extension DeviceClass: Validated {
  func validate(_ errors: inout [FieldError]) { check(before: nil, &errors) }

  func validateChange(of old: DeviceClass, _ errors: inout [FieldError]) { check(before: old, &errors) }

  private func check(before old: DeviceClass?, _ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkSelectors(spec.selectors, path.child("selectors"), &errors)
    let stored = old?.spec.config == spec.config
    checkList(spec.config, max: 32, path.child("config"), &errors) { config, path, errors in
      checkDeviceConfiguration(config.opaque, path, stored: stored, &errors)
    }
    if let name = spec.extendedResourceName, !isExtendedResource(name) {
      errors.append(.invalid(path.child("extendedResourceName"), name, "must be a valid extended resource name"))
    }
  }
}

/// Checks what a claim asks for.
func checkClaim(_ spec: ResourceClaimSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  let path = path.child("devices")
  let claim = spec.devices
  let names = requestNames(claim)
  checkSet(claim.requests, max: 32, key: \.name, path.child("requests"), &errors, checkRequest)
  checkList(claim.constraints, max: 32, path.child("constraints"), &errors) { constraint, path, errors in
    checkReferences(constraint.requests, names, path, &errors)
    if let name = constraint.matchAttribute {
      checkFullyQualified(name, path.child("matchAttribute"), &errors)
    } else if let name = constraint.distinctAttribute {
      checkFullyQualified(name, path.child("distinctAttribute"), &errors)
    } else {
      errors.append(
        .required(
          path,
          "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set"))
    }
  }
  checkList(claim.config, max: 32, path.child("config"), &errors) { config, path, errors in
    checkReferences(config.requests, names, path, &errors)
    checkDeviceConfiguration(config.opaque, path, &errors)
  }
}

/// The names that other parts of a claim can refer to: of requests, and of their alternatives behind a slash.
private func requestNames(_ claim: DeviceClaim) -> Set<String> {
  var names: Set<String> = []
  for request in claim.requests {
    names.insert(request.name)
    for alternative in request.firstAvailable { names.insert(request.name + "/" + alternative.name) }
  }
  return names
}

private func checkReferences(
  _ references: [String], _ names: Set<String>, _ path: FieldPath, _ errors: inout [FieldError]
) {
  checkSet(references, max: 32, key: { $0 }, path.child("requests"), &errors) { name, path, errors in
    checkReference(name, names, path, &errors)
  }
}

private func checkReference(_ name: String, _ names: Set<String>, _ path: FieldPath, _ errors: inout [FieldError]) {
  let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
  if parts.count > 2 {
    errors.append(.invalid(path, name, requestReferenceMessage))
    return
  }
  for part in parts { checkDNS1123Label(part, path, &errors) }
  if !names.contains(name) { errors.append(.invalid(path, name, requestReferenceMessage)) }
}

private func checkRequest(_ request: DeviceRequest, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkDNS1123Label(request.name, path.child("name"), &errors)
  let union = "exactly one of `exactly` or `firstAvailable` is required"
  switch (request.exactly, request.firstAvailable.isEmpty) {
  case (nil, true): errors.append(.required(path, union))
  case (.some, false): errors.append(.invalid(path, JSONValue.null, union + ", but multiple fields are set"))
  case (let exactly?, true):
    let path = path.child("exactly")
    checkDevices(
      of: exactly.deviceClassName, exactly.selectors, mode: exactly.allocationMode, exactly.count,
      exactly.tolerations, path, &errors)
  case (nil, false):
    checkSet(request.firstAvailable, max: 8, key: \.name, path.child("firstAvailable"), &errors) {
      alternative, path, errors in
      checkDNS1123Label(alternative.name, path.child("name"), &errors)
      checkDevices(
        of: alternative.deviceClassName, alternative.selectors, mode: alternative.allocationMode, alternative.count,
        alternative.tolerations, path, &errors)
    }
  }
}

private func checkDevices(
  of name: String, _ selectors: [DeviceSelector], mode: String, _ count: Int64, _ tolerations: [DeviceToleration],
  _ path: FieldPath, _ errors: inout [FieldError]
) {
  if name.isEmpty {
    errors.append(.required(path.child("deviceClassName")))
  } else {
    checkDNS1123Subdomain(name, path.child("deviceClassName"), &errors)
  }
  checkSelectors(selectors, path.child("selectors"), &errors)
  switch mode {
  case "All":
    if count != 0 {
      errors.append(.invalid(path.child("count"), count, "must not be specified when allocationMode is 'All'"))
    }
  case "ExactCount":
    if count <= 0 { errors.append(.invalid(path.child("count"), count, "must be greater than zero")) }
  default: errors.append(.notSupported(path.child("allocationMode"), mode, ["All", "ExactCount"]))
  }
  checkList(tolerations, max: 16, path.child("tolerations"), &errors, checkDeviceToleration)
}

// MARK: Status

/// Checks a change of what a claim got and who uses it.
func checkClaimStatus(
  _ claim: ResourceResourceClaim, old: ResourceResourceClaim, _ errors: inout [FieldError]
) {
  let path = FieldPath("status")
  let status = claim.status
  let names = requestNames(claim.spec.devices)
  checkSet(status.reservedFor, max: 256, key: \.uid, path.child("reservedFor"), &errors) { consumer, path, errors in
    checkRequired(consumer.resource, path.child("resource"), &errors)
    checkRequired(consumer.name, path.child("name"), &errors)
    checkRequired(consumer.uid, path.child("uid"), &errors)
  }
  let given = Set(
    (status.allocation?.devices.results ?? []).map { deviceID($0.driver, $0.pool, $0.device, $0.shareID) })
  checkSet(
    status.devices, max: nil, key: { deviceID($0.driver, $0.pool, $0.device, $0.shareID) }, path.child("devices"),
    &errors
  ) { device, path, errors in checkDeviceStatus(device, given, path, &errors) }
  if !status.reservedFor.isEmpty {
    if status.allocation == nil {
      errors.append(
        .forbidden(path.child("reservedFor"), "may not be specified when `allocated` is not set"))
    } else if claim.metadata.deletionTimestamp != nil,
      status.reservedFor.contains(where: { !old.status.reservedFor.contains($0) })
    {
      errors.append(
        .forbidden(
          path.child("reservedFor"),
          "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"))
    }
  }
  guard let allocation = status.allocation else { return }
  let place = path.child("allocation")
  if let before = old.status.allocation {
    checkImmutableJSON(allocation, before, place, &errors)
    return
  }
  checkList(allocation.devices.results, max: 32, place.child("devices", "results"), &errors) {
    result, path, errors in
    checkReference(result.request, names, path.child("request"), &errors)
    checkCSIDriverName(result.driver, path.child("driver"), &errors)
    checkPoolName(result.pool, path.child("pool"), &errors)
    checkDNS1123Label(result.device, path.child("device"), &errors)
    checkBindingConditions(result.bindingConditions, failures: result.bindingFailureConditions, path, &errors)
    checkList(result.tolerations, max: 16, path.child("tolerations"), &errors, checkDeviceToleration)
    if let share = result.shareID { checkUUID(share, path.child("shareID"), &errors) }
  }
  checkList(allocation.devices.config, max: 64, place.child("devices", "config"), &errors) { config, path, errors in
    checkRequiredOneOf(config.source, ["FromClaim", "FromClass"], path.child("source"), &errors)
    checkReferences(config.requests, names, path, &errors)
    checkDeviceConfiguration(config.opaque, path, &errors)
  }
  if let selector = allocation.nodeSelector { checkNodeSelector(selector, place.child("nodeSelector"), &errors) }
}

private func deviceID(_ driver: String, _ pool: String, _ device: String, _ share: String?) -> String {
  [driver, pool, device].joined(separator: "/") + (share.map { "/" + $0 } ?? "")
}

private func checkDeviceStatus(
  _ device: AllocatedDeviceStatus, _ given: Set<String>, _ path: FieldPath, _ errors: inout [FieldError]
) {
  checkCSIDriverName(device.driver, path.child("driver"), &errors)
  checkPoolName(device.pool, path.child("pool"), &errors)
  checkDNS1123Label(device.device, path.child("device"), &errors)
  if let share = device.shareID { checkUUID(share, path.child("shareID"), &errors) }
  let id = deviceID(device.driver, device.pool, device.device, device.shareID)
  if !given.contains(id) { errors.append(.invalid(path, id, "must be an allocated device in the claim")) }
  if device.conditions.count > 8 {
    errors.append(.tooMany(path.child("conditions"), actual: device.conditions.count, max: 8))
  }
  checkConditions(device.conditions, path.child("conditions"), &errors)
  if let data = device.data { checkRawObject(data, path.child("data"), max: 10 * 1024, &errors) }
  guard let network = device.networkData else { return }
  let path = path.child("networkData")
  if network.interfaceName.utf8.count > 256 { errors.append(.tooLong(path.child("interfaceName"), max: 256)) }
  if network.hardwareAddress.utf8.count > 128 { errors.append(.tooLong(path.child("hardwareAddress"), max: 128)) }
  checkSet(network.ips, max: 16, key: { $0 }, path.child("ips"), &errors) { address, path, errors in
    if CIDRBlock(address) == nil {
      errors.append(
        .invalid(path, address, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"))
    } else if let wanted = canonicalBlock(address), wanted != address {
      errors.append(.invalid(path, address, "must be in canonical form (\(goQuoted(wanted)))"))
    }
  }
}
