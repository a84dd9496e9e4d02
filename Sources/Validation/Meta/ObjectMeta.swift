public import API

private let annotationSizeLimit = 256 * 1024

/// Checks the metadata of an object whose kind has no type: what every kind's must fulfil.
public func validateObjectMeta(_ meta: ObjectMeta, namespaced: Bool) -> [FieldError] {
  var errors: [FieldError] = []
  NameRule.subdomain.checkMetadata(meta, namespaced: namespaced, &errors)
  return errors
}

/// Checks a change of the metadata of an object whose kind has no type.
public func validateObjectMetaUpdate(_ meta: ObjectMeta, old: ObjectMeta) -> [FieldError] {
  var errors: [FieldError] = []
  checkMetadataUpdate(meta, old: old, &errors)
  return errors
}

/// Labels, annotations, owners, finalizers, field managers.
func checkCommonMetadata(_ meta: ObjectMeta, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkLabels(meta.labels, path.child("labels"), &errors)
  checkAnnotations(meta.annotations, path.child("annotations"), &errors)
  if !meta.ownerReferences.isEmpty { checkOwners(meta.ownerReferences, path.child("ownerReferences"), &errors) }
  if !meta.finalizers.isEmpty { checkFinalizers(meta.finalizers, path.child("finalizers"), &errors) }
  checkManagedFields(meta.managedFields, path.child("managedFields"), &errors)
}

/// Checks a change of metadata.
func checkMetadataUpdate(_ new: ObjectMeta, old: ObjectMeta, _ errors: inout [FieldError]) {
  let path = FieldPath("metadata")
  if old.deletionTimestamp != nil {
    let added = Set(new.finalizers).subtracting(old.finalizers).sorted()
    if !added.isEmpty {
      let list = added.map(goQuoted).joined(separator: ", ")
      errors.append(
        .forbidden(
          path.child("finalizers"),
          "no new finalizers can be added if the object is being deleted, found new finalizers []string{\(list)}"))
    }
  }
  if new.generation < old.generation {
    errors.append(.invalid(path.child("generation"), new.generation, "must not be decremented"))
  }
  checkImmutable(new.name, old.name, path.child("name"), &errors)
  checkImmutable(new.namespace, old.namespace, path.child("namespace"), &errors)
  checkImmutable(new.uid, old.uid, path.child("uid"), &errors)
  checkImmutable(new.creationTimestamp, old.creationTimestamp, path.child("creationTimestamp"), &errors)
  checkImmutable(new.deletionTimestamp, old.deletionTimestamp, path.child("deletionTimestamp"), &errors)
  checkImmutable(
    new.deletionGracePeriodSeconds, old.deletionGracePeriodSeconds, path.child("deletionGracePeriodSeconds"), &errors)
  checkCommonMetadata(new, path, &errors)
}

/// Checks the keys and values of labels.
func checkLabels(_ labels: [String: String], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (name, value) in labels.sorted(by: { $0.key < $1.key }) {
    checkLabelName(name, path, &errors)
    for problem in Names.isLabelValue(value) { errors.append(.invalid(path, value, problem)) }
  }
}

/// Checks a label's key.
func checkLabelName(_ name: String, _ path: FieldPath, _ errors: inout [FieldError]) {
  for problem in Names.isQualifiedName(name) { errors.append(.invalid(path, name, problem)) }
}

/// Checks the keys of annotations, whose case does not matter, and their size.
func checkAnnotations(_ annotations: [String: String], _ path: FieldPath, _ errors: inout [FieldError]) {
  var size = 0
  for (name, value) in annotations {
    size += name.utf8.count + value.utf8.count
    for problem in Names.isQualifiedName(name.lowercased()) { errors.append(.invalid(path, name, problem)) }
  }
  if size > annotationSizeLimit { errors.append(.tooLong(path, max: annotationSizeLimit)) }
}

private func checkOwners(_ owners: [OwnerReference], _ path: FieldPath, _ errors: inout [FieldError]) {
  var controller: String?
  for owner in owners {
    let group = GroupVersion(apiVersion: owner.apiVersion)
    if group.version.isEmpty {
      errors.append(.invalid(path.child("apiVersion"), owner.apiVersion, "version must not be empty"))
    }
    if owner.kind.isEmpty { errors.append(.invalid(path.child("kind"), owner.kind, "must not be empty")) }
    if owner.name.isEmpty { errors.append(.invalid(path.child("name"), owner.name, "must not be empty")) }
    if owner.uid.isEmpty { errors.append(.invalid(path.child("uid"), owner.uid, "must not be empty")) }
    if owner.apiVersion == "v1" && owner.kind == "Event" {
      errors.append(.invalid(path, FieldJSON(owner), "/v1, Kind=Event is disallowed from being an owner"))
    }
    guard owner.controller == true else { continue }
    let name = owner.kind + "/" + owner.name
    if let controller {
      errors.append(
        .invalid(
          path, owners,
          "Only one reference can have Controller set to true. Found \"true\" in references for \(controller) and \(name)"
        ))
    } else {
      controller = name
    }
  }
}

private func checkFinalizers(_ finalizers: [String], _ path: FieldPath, _ errors: inout [FieldError]) {
  for finalizer in finalizers {
    for problem in Names.isQualifiedName(finalizer) { errors.append(.invalid(path, finalizer, problem)) }
  }
  if finalizers.contains("orphan") && finalizers.contains("foregroundDeletion") {
    errors.append(.invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"))
  }
}

/// Core kinds want finalizers to be known or to have a domain.
func checkCoreFinalizers(_ finalizers: [String], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, finalizer) in finalizers.enumerated() where !finalizer.contains("/") {
    if !["kubernetes", "orphan", "foregroundDeletion"].contains(finalizer) {
      errors.append(
        .invalid(path.index(i), finalizer, "name is neither a standard finalizer name nor is it fully qualified"))
    }
  }
}

private func checkManagedFields(_ entries: [ManagedFieldsEntry], _ path: FieldPath, _ errors: inout [FieldError]) {
  for (i, entry) in entries.enumerated() {
    if entry.operation != "Apply" && entry.operation != "Update" {
      errors.append(.invalid(path.index(i).child("operation"), entry.operation, "must be `Apply` or `Update`"))
    }
    if !entry.fieldsType.isEmpty && entry.fieldsType != "FieldsV1" {
      errors.append(.invalid(path.index(i).child("fieldsType"), entry.fieldsType, "must be `FieldsV1`"))
    }
    if entry.manager.utf8.count > 128 { errors.append(.tooLong(path.index(i).child("manager"), max: 128)) }
    if entry.subresource.utf8.count > 256 { errors.append(.tooLong(path.index(i).child("subresource"), max: 256)) }
  }
}
