import API
import APIMachinery
import APIMeta

/// Access, admission, certificates and priorities.
func policyCells(_ object: any APIObject, _ context: CellContext) -> TableRowCells? {
  let name = JSONValue.string(object.metadata.name)
  let age = context.age(object.metadata)
  switch object {
  case let binding as RoleBinding:
    return TableRowCells(
      [name, .string("\(binding.roleRef.kind)/\(binding.roleRef.name)"), age] + subjects(binding.subjects))
  case let binding as ClusterRoleBinding:
    return TableRowCells(
      [name, .string("\(binding.roleRef.kind)/\(binding.roleRef.name)"), age] + subjects(binding.subjects))
  case let request as CertificateSigningRequest:
    var state = "Pending"
    if request.status.conditions.contains(where: { $0.type == "Approved" }) { state = "Approved" }
    if request.status.conditions.contains(where: { $0.type == "Denied" }) { state = "Denied" }
    if request.status.conditions.contains(where: { $0.type == "Failed" }) { state += ",Failed" }
    if !request.status.certificate.isEmpty { state += ",Issued" }
    return TableRowCells([
      name, age, cell(request.spec.signerName), .string(request.spec.username),
      .string(request.spec.expirationSeconds.map { humanDuration(Int64($0)) } ?? "<none>"), .string(state),
    ])
  case let budget as PodDisruptionBudget:
    return TableRowCells([
      name, .string(budget.spec.minAvailable?.description ?? "N/A"),
      .string(budget.spec.maxUnavailable?.description ?? "N/A"), cell(budget.status.disruptionsAllowed), age,
    ])
  case let priority as PriorityClass:
    return TableRowCells([
      name, cell(priority.value), .bool(priority.globalDefault), age, .string(priority.preemptionPolicy ?? ""),
    ])
  case let runtime as RuntimeClass: return TableRowCells([name, .string(runtime.handler), age])
  case let configuration as ValidatingWebhookConfiguration:
    return TableRowCells([name, .int(Int64(configuration.webhooks.count)), age])
  case let configuration as MutatingWebhookConfiguration:
    return TableRowCells([name, .int(Int64(configuration.webhooks.count)), age])
  case let policy as ValidatingAdmissionPolicy:
    let kind = policy.spec.paramKind.map { "\($0.apiVersion)/\($0.kind)" } ?? "<unset>"
    return TableRowCells([name, .int(Int64(policy.spec.validations.count)), .string(kind), age])
  case let binding as ValidatingAdmissionPolicyBinding:
    let parameter = parameter(binding.spec.paramRef, context)
    return TableRowCells([name, .string(binding.spec.policyName), .string(parameter), age])
  case let policy as MutatingAdmissionPolicy:
    let kind = policy.spec.paramKind.map { "\($0.apiVersion)/\($0.kind)" } ?? "<unset>"
    return TableRowCells([name, .int(Int64(policy.spec.mutations.count)), .string(kind), age])
  case let binding as MutatingAdmissionPolicyBinding:
    let parameter = parameter(binding.spec.paramRef, context)
    return TableRowCells([name, .string(binding.spec.policyName), .string(parameter), age])
  case let flow as FlowSchema:
    let dangling = flow.status.conditions.condition("Dangling")?.status ?? "?"
    return TableRowCells([
      name, .string(flow.spec.priorityLevelConfiguration.name), cell(flow.spec.matchingPrecedence),
      .string(flow.spec.distinguisherMethod?.type ?? "<none>"), age, .string(dangling),
    ])
  case let level as PriorityLevelConfiguration:
    let shares =
      level.spec.limited?.nominalConcurrencyShares ?? level.spec.exempt?.nominalConcurrencyShares
    let queuing = level.spec.limited?.limitResponse.queuing
    func number(_ value: Int32?) -> JSONValue { value.map { cell($0) } ?? .string("<none>") }
    return TableRowCells([
      name, .string(level.spec.type), number(shares), number(queuing?.queues), number(queuing?.handSize),
      number(queuing?.queueLengthLimit), age,
    ])
  default: return nil
  }
}

/// What a binding gives its policy: one object, or those that a selector finds.
private func parameter(_ reference: ParamRef?, _ context: CellContext) -> String {
  guard let reference else { return "<unset>" }
  if !reference.name.isEmpty {
    return "\(reference.namespace.isEmpty ? "*" : reference.namespace)/\(reference.name)"
  }
  if reference.selector != nil, case .string(let text) = context.selector(reference.selector) { return text }
  return "<unset>"
}

private func subjects(_ subjects: [Subject]) -> [JSONValue] {
  func names(_ kind: String, _ text: (Subject) -> String) -> JSONValue {
    .string(subjects.filter { $0.kind == kind }.map(text).joined(separator: ", "))
  }
  return [
    names("User", \.name), names("Group", \.name), names("ServiceAccount") { "\($0.namespace)/\($0.name)" },
  ]
}
