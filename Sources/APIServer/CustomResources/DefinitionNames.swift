import API
import APIMachinery

/// Which names a CustomResourceDefinition gets, and its conditions about them: upstream's naming and establishing
/// controllers, as pure functions.
enum DefinitionNames {
  /// The status that a definition should have, given the other definitions of its group.
  static func status(
    of definition: CustomResourceDefinition, others: [CustomResourceDefinition], now: Time
  ) -> CustomResourceDefinitionStatus {
    var status = definition.status
    let wanted = definition.spec.names
    var taken: Set<String> = []
    var takenKinds: Set<String> = []
    for other in others where other.metadata.name != definition.metadata.name {
      let names = other.status.acceptedNames
      taken.formUnion([names.plural, names.singular] + names.shortNames)
      takenKinds.formUnion([names.kind, names.listKind])
    }
    taken.remove("")
    takenKinds.remove("")
    var accepted = status.acceptedNames
    var conflict: (reason: String, message: String)?
    func check(_ names: [String], _ taken: Set<String>, _ reason: String) -> Bool {
      let clashes = names.filter(taken.contains)
      if clashes.isEmpty { return true }
      if conflict == nil {
        conflict = (reason, clashes.map { "\(goQuoted($0)) is already in use" }.joined(separator: ", "))
      }
      return false
    }
    if check([wanted.plural], taken, "PluralConflict") { accepted.plural = wanted.plural }
    if check([wanted.singular], taken, "SingularConflict") { accepted.singular = wanted.singular }
    if check(wanted.shortNames, taken, "ShortNamesConflict") { accepted.shortNames = wanted.shortNames }
    if check([wanted.kind], takenKinds, "KindConflict") { accepted.kind = wanted.kind }
    if check([wanted.listKind], takenKinds, "ListKindConflict") { accepted.listKind = wanted.listKind }
    accepted.categories = wanted.categories
    status.acceptedNames = accepted
    if let conflict {
      set(&status, "NamesAccepted", "False", conflict.reason, conflict.message, now)
      if !isTrue(status, "Established") {
        set(&status, "Established", "False", "NotAccepted", "not all names are accepted", now)
      }
    } else {
      set(&status, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
      if !isTrue(status, "Established") {
        set(
          &status, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)
      }
    }
    approval(definition, &status, now)
    return status
  }

  /// Groups that belong to Kubernetes need an approval by annotation (KEP-1111).
  private static func approval(
    _ definition: CustomResourceDefinition, _ status: inout CustomResourceDefinitionStatus, _ now: Time
  ) {
    let group = definition.spec.group
    let isProtected =
      group == "k8s.io" || group == "kubernetes.io" || group.hasSuffix(".k8s.io") || group.hasSuffix(".kubernetes.io")
    guard isProtected else { return status.conditions.removeAll { $0.type == approvalType } }
    let text = definition.metadata.annotations["api-approved.kubernetes.io"] ?? ""
    if text.isEmpty {
      set(
        &status, approvalType, "False", "MissingAnnotation",
        "protected groups must have approval annotation \"api-approved.kubernetes.io\", see "
          + "https://github.com/kubernetes/enhancements/pull/1111", now)
    } else if text.hasPrefix("unapproved") {
      set(&status, approvalType, "False", "UnapprovedAnnotation", "not approved: \(goQuoted(text))", now)
    } else if text.contains("://") {
      set(&status, approvalType, "True", "ApprovedAnnotation", "approved in \(text)", now)
    } else {
      set(
        &status, approvalType, "False", "InvalidAnnotation",
        "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason "
          + "starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111", now)
    }
  }

  private static let approvalType = "KubernetesAPIApprovalPolicyConformant"

  static func isTrue(_ status: CustomResourceDefinitionStatus, _ type: String) -> Bool {
    status.conditions.contains { $0.type == type && $0.status == "True" }
  }

  /// Sets a condition; its time moves with its status only.
  static func set(
    _ status: inout CustomResourceDefinitionStatus, _ type: String, _ value: String, _ reason: String,
    _ message: String, _ now: Time
  ) {
    let condition = CustomResourceDefinitionCondition {
      $0.type = type
      $0.status = value
      $0.reason = reason
      $0.message = message
      $0.lastTransitionTime = now
    }
    guard let at = status.conditions.firstIndex(where: { $0.type == type }) else {
      return status.conditions.append(condition)
    }
    var present = status.conditions[at]
    if present.status != value { present.lastTransitionTime = now }
    present.status = value
    present.reason = reason
    present.message = message
    status.conditions[at] = present
  }
}
