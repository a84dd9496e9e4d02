import API

extension PersistentVolumeClaim: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkCoreFinalizers(metadata.finalizers, FieldPath("metadata").child("finalizers"), &errors)
    checkClaimSpec(spec, FieldPath("spec"), &errors)
  }

  func validateChange(of old: PersistentVolumeClaim, _ errors: inout [FieldError]) {
    validate(&errors)
    let path = FieldPath("spec")
    var level = spec
    let isBound = old.status.phase == "Bound"
    if old.spec.volumeName.isEmpty { level.volumeName = "" }
    if isBound {
      level.resources.requests["storage"] = old.spec.resources.requests["storage"]
      level.volumeAttributesClassName = old.spec.volumeAttributesClassName
    }
    // A claim from before there was a default class may still be given one.
    if old.spec.storageClassName == nil && old.spec.volumeName.isEmpty { level.storageClassName = nil }
    if level != old.spec {
      errors.append(
        .forbidden(
          path,
          "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"))
    }
    let wanted = spec.resources.requests["storage"] ?? Quantity()
    let had = old.spec.resources.requests["storage"] ?? Quantity()
    if wanted < had {
      let capacity = old.status.capacity["storage"] ?? Quantity()
      if !isBound || wanted <= capacity {
        errors.append(
          .forbidden(
            path.child("resources", "requests", "storage"), "field can not be less than status.capacity"))
      }
    }
    checkImmutable(spec.volumeMode, old.spec.volumeMode, path.child("volumeMode"), &errors)
    if old.spec.volumeAttributesClassName != nil && spec.volumeAttributesClassName == nil {
      errors.append(
        .forbidden(
          path.child("volumeAttributesClassName"), "update from non-nil value to nil is forbidden"))
    }
  }

  func validateStatusChange(of old: PersistentVolumeClaim, _ errors: inout [FieldError]) {
    let path = FieldPath("status").child("capacity")
    if spec.resources.requests.isEmpty {
      errors.append(.required(FieldPath("spec").child("resources", "requests")))
    }
    for (name, quantity) in status.capacity.sorted(by: { $0.key < $1.key }) {
      checkQuantity(name, quantity, path.key(name), &errors)
    }
  }
}

/// Checks the specification of a claim.
func checkClaimSpec(_ spec: PersistentVolumeClaimSpec, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkAccessModes(
    spec.accessModes, path.child("accessModes"), &errors, hint: "at least 1 access mode is required")
  checkLabelSelector(spec.selector, path.child("selector"), &errors)
  let requestPath = path.child("resources").key("storage")
  if let storage = spec.resources.requests["storage"] {
    if storage.sign <= 0 {
      errors.append(.invalid(requestPath, storage.description, "must be greater than zero"))
    }
  } else {
    errors.append(.required(requestPath))
  }
  if let name = spec.storageClassName, !name.isEmpty {
    checkDNS1123Subdomain(name, path.child("storageClassName"), &errors)
  }
  if let mode = spec.volumeMode { checkOneOf(mode, ["Block", "Filesystem"], path.child("volumeMode"), &errors) }
  if let source = spec.dataSource {
    let path = path.child("dataSource")
    checkRequired(source.name, path.child("name"), &errors)
    checkRequired(source.kind, path.child("kind"), &errors)
    if (source.apiGroup ?? "").isEmpty && source.kind != "PersistentVolumeClaim" {
      errors.append(
        .invalid(path, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    }
  }
  if let source = spec.dataSourceRef {
    let path = path.child("dataSourceRef")
    checkRequired(source.name, path.child("name"), &errors)
    checkRequired(source.kind, path.child("kind"), &errors)
    if (source.apiGroup ?? "").isEmpty && source.kind != "PersistentVolumeClaim" {
      errors.append(
        .invalid(path, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    }
  }
}
