import API

extension Node: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    checkTaints(path.child("taints"), &errors)
    for (i, block) in spec.podCIDRs.enumerated() { checkCIDR(block, path.child("podCIDRs").index(i), &errors) }
    if spec.podCIDRs.count > 1 {
      let families = spec.podCIDRs.compactMap { CIDRBlock($0)?.address.isV4 }
      if spec.podCIDRs.count > 2 || Set(families).count != 2 {
        errors.append(
          .invalid(path.child("podCIDRs"), spec.podCIDRs, "may specify no more than one CIDR for each IP family"))
      }
    }
    checkAmounts(status.capacity, FieldPath("status").child("capacity"), &errors)
  }

  private func checkAmounts(_ amounts: ResourceList, _ path: FieldPath, _ errors: inout [FieldError]) {
    for (name, quantity) in amounts.sorted(by: { $0.key < $1.key }) {
      checkQuantity(name, quantity, path.key(name), &errors)
    }
  }

  private func checkTaints(_ path: FieldPath, _ errors: inout [FieldError]) {
    var seen: Set<String> = []
    for (i, taint) in spec.taints.enumerated() {
      let path = path.index(i)
      checkLabelName(taint.key, path.child("key"), &errors)
      let problems = Names.isLabelValue(taint.value)
      if !problems.isEmpty {
        errors.append(.invalid(path.child("value"), taint.value, problems.joined(separator: ";")))
      }
      if taint.effect.isEmpty {
        errors.append(.required(path.child("effect")))
      } else {
        checkTaintEffect(taint.effect, path.child("effect"), &errors)
      }
      if !seen.insert(taint.key + "\u{0}" + taint.effect).inserted {
        errors.append(.duplicate(path, FieldJSON(taint)))
      }
    }
  }

  func validateChange(of old: Node, _ errors: inout [FieldError]) {
    validate(&errors)
    let path = FieldPath("spec")
    if !old.spec.podCIDRs.isEmpty && spec.podCIDRs != old.spec.podCIDRs {
      errors.append(
        .forbidden(path.child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
    }
    if !old.spec.providerID.isEmpty && spec.providerID != old.spec.providerID {
      errors.append(
        .forbidden(path.child("providerID"), "node updates may not change providerID except from \"\" to valid"))
    }
    checkAddresses(&errors)
  }

  func validateStatusChange(of old: Node, _ errors: inout [FieldError]) {
    checkAmounts(status.capacity, FieldPath("status").child("capacity"), &errors)
    checkAmounts(status.allocatable, FieldPath("status").child("allocatable"), &errors)
    checkAddresses(&errors)
  }

  private func checkAddresses(_ errors: inout [FieldError]) {
    var seen: Set<NodeAddress> = []
    for (i, address) in status.addresses.enumerated() where !seen.insert(address).inserted {
      errors.append(.duplicate(FieldPath("status").child("addresses").index(i), FieldJSON(address)))
    }
  }
}
