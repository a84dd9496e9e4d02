import API

extension Namespace: Validated {
  static var nameRule: NameRule { .label }

  func validate(_ errors: inout [FieldError]) {
    checkCoreFinalizers(metadata.finalizers, FieldPath("metadata").child("finalizers"), &errors)
    let path = FieldPath("spec").child("finalizers")
    for finalizer in spec.finalizers {
      checkProblems(Names.isQualifiedName(finalizer), finalizer, path, &errors)
      if !finalizer.contains("/") && !["kubernetes", "orphan", "foregroundDeletion"].contains(finalizer) {
        errors.append(
          .invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified"))
      }
    }
  }

  func validateStatusChange(of old: Namespace, _ errors: inout [FieldError]) {
    let path = FieldPath("status").child("Phase")
    if metadata.deletionTimestamp == nil {
      if status.phase != "Active" {
        errors.append(.invalid(path, status.phase, "may only be 'Active' if `deletionTimestamp` is empty"))
      }
    } else if status.phase != "Terminating" {
      errors.append(.invalid(path, status.phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
    }
  }
}

extension ServiceAccount: Validated {
  func validate(_ errors: inout [FieldError]) {
    checkCoreFinalizers(metadata.finalizers, FieldPath("metadata").child("finalizers"), &errors)
  }
}

extension Event: Validated {
  func validate(_ errors: inout [FieldError]) {
    // Events about objects outside namespaces live in "default".
    let about = involvedObject.namespace
    let path = FieldPath("involvedObject").child("namespace")
    let lives = metadata.namespace
    if about.isEmpty ? !lives.isEmpty && lives != "default" : about != lives {
      errors.append(.invalid(path, about, "does not match event.namespace"))
    }
  }
}

extension EventsEvent: Validated {
  func validate(_ errors: inout [FieldError]) {
    if eventTime.isZero { errors.append(.required(FieldPath("eventTime"))) }
    if reportingController.isEmpty { errors.append(.required(FieldPath("reportingController"))) }
    if reportingInstance.isEmpty { errors.append(.required(FieldPath("reportingInstance"))) }
    if action.isEmpty { errors.append(.required(FieldPath("action"))) }
    if reason.isEmpty { errors.append(.required(FieldPath("reason"))) }
    if type != "Normal" && type != "Warning" {
      errors.append(.invalid(FieldPath("type"), type, "has invalid value: \(type)"))
    }
    if note.utf8.count > 1024 {
      errors.append(.invalid(FieldPath("message"), "", "can have at most 1024 bytes"))
    }
  }

  func validateChange(of old: EventsEvent, _ errors: inout [FieldError]) {}
}
