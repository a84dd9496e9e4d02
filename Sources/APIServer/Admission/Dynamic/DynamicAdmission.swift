import API
import APIMachinery
import APIMeta
import APISchema

/// Admission by what is configured at run time: policies and webhooks. It may wait, so it stands apart from the plugins,
/// after the mutating ones and before the quota.
final class DynamicAdmission: Sendable {
  private let webhooks = WebhookIndex()
  private let validatingPolicies = PolicyIndex<ValidatingPolicy>()
  private let mutatingPolicies = PolicyIndex<MutatingPolicy>()

  private let disabled: Set<String>

  /// `disabled`: upstream's names of the plugins that do not run.
  init(disabled: Set<String>) { self.disabled = disabled }

  func follow(_ registry: Registry) {
    if !disabled.contains("MutatingAdmissionWebhook") { webhooks.followMutating(registry) }
    if !disabled.contains("ValidatingAdmissionWebhook") { webhooks.followValidating(registry) }
    if !disabled.contains("ValidatingAdmissionPolicy") {
      validatingPolicies.follow(
        registry, ValidatingAdmissionPolicy.self, { try ValidatingPolicy($0) }, ValidatingAdmissionPolicyBinding.self,
        { try PolicyBinding($0) })
    }
    if !disabled.contains("MutatingAdmissionPolicy") {
      mutatingPolicies.follow(
        registry, MutatingAdmissionPolicy.self, { try MutatingPolicy($0) }, MutatingAdmissionPolicyBinding.self,
        { try PolicyBinding($0) })
    }
  }

  var checksQuotas: Bool { !disabled.contains("ResourceQuota") }
  var labelsTopology: Bool { !disabled.contains("PodTopologyLabels") }

  private static let exempt: Set<String> = [
    "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
  ]

  /// Nobody can be locked out of setting right what locks them out.
  private static func isExempt(_ resource: ServedResource) -> Bool {
    resource.info.group == "admissionregistration.k8s.io" && exempt.contains(resource.info.resource)
  }

  var mayMutate: Bool { !webhooks.mutating.isEmpty || !mutatingPolicies.entries.isEmpty }
  var mayRefuse: Bool { !webhooks.validating.isEmpty || !validatingPolicies.entries.isEmpty }

  /// Lets policies, then webhooks change an object. `repeat` runs the plugins on what these have made of it, before
  /// those that want to see later changes are asked again.
  func mutate(
    _ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry,
    again: (inout LiveObject) throws -> Void
  ) async throws {
    guard mayMutate, !request.context.isInternal, !Self.isExempt(request.resource) else { return }
    var view = try AdmissionView(request, object, registry)
    var passes = Passes()
    guard try await mutate(&view, request, registry, &passes) else { return }
    object = try view.live(object, registry)
    try again(&object)
    view = try AdmissionView(request, object, registry)
    guard passes.beginSecond(view.object) else { return }
    if try await mutate(&view, request, registry, &passes) { object = try view.live(object, registry) }
  }

  /// A mutation of something that is no stored object.
  func mutate(_ view: inout AdmissionView, _ request: AdmissionRequest, _ registry: Registry) async throws {
    guard mayMutate, !Self.isExempt(view.requested) else { return }
    var passes = Passes()
    guard try await mutate(&view, request, registry, &passes), passes.beginSecond(view.object) else { return }
    _ = try await mutate(&view, request, registry, &passes)
  }

  private struct Passes {
    var policies = Reinvocation()
    var webhooks = Reinvocation()

    mutating func beginSecond(_ object: JSONValue?) -> Bool {
      let first = policies.beginSecondPass(object)
      return webhooks.beginSecondPass(object) || first
    }
  }

  private func mutate(
    _ view: inout AdmissionView, _ request: AdmissionRequest, _ registry: Registry, _ passes: inout Passes
  ) async throws -> Bool {
    let policies = PolicyAdmission(registry: registry, warnings: request.warnings, annotate: request.annotate)
    let byPolicy = try await policies.mutate(&view, mutatingPolicies.entries, &passes.policies)
    let asking = WebhookAdmission(registry: registry, warnings: request.warnings, annotate: request.annotate)
    let byWebhook = try await asking.mutate(&view, webhooks.mutating, &passes.webhooks)
    return byPolicy || byWebhook
  }

  /// Throws the refusal of a policy or a webhook. `object` is nil for a deletion.
  func validate(_ object: LiveObject?, _ request: AdmissionRequest, _ registry: Registry) async throws {
    guard mayRefuse, !request.context.isInternal, !Self.isExempt(request.resource) else { return }
    try await validate(AdmissionView(request, object, registry), request, registry)
  }

  func validate(_ view: AdmissionView, _ request: AdmissionRequest, _ registry: Registry) async throws {
    guard mayRefuse, !Self.isExempt(view.requested) else { return }
    try await PolicyAdmission(registry: registry, warnings: request.warnings, annotate: request.annotate)
      .validate(view, validatingPolicies.entries)
    try await WebhookAdmission(registry: registry, warnings: request.warnings, annotate: request.annotate)
      .validate(view, webhooks.validating)
  }
}

extension Registry {
  /// Has an object admitted that is created at a subresource and not stored, such as an Eviction.
  func admit<T: APIObject>(_ object: inout T, _ context: WriteContext) async throws {
    guard dynamicAdmission.mayMutate || dynamicAdmission.mayRefuse, !context.isInternal else { return }
    let request = AdmissionRequest(context, operation: .create, old: nil)
    var view = AdmissionView(
      .create, context.resource, subresource: context.subresource, kind: T.gvk, namespace: context.namespace,
      name: context.name, user: context.user, options: request.options, dryRun: context.options.dryRun)
    let tree = try JSONValue(parsing: object.encodedWithType())
    view.object = tree
    try await dynamicAdmission.mutate(&view, request, self)
    if let changed = view.object, changed != tree { object = try T.decode(changed.encoded()) }
    try await dynamicAdmission.validate(view, request, self)
  }

  /// Has a connection to a pod, a service or a node admitted.
  func admitConnection(_ resource: ServedResource, _ request: ResourceRequest) async throws {
    guard dynamicAdmission.mayMutate || dynamicAdmission.mayRefuse else { return }
    let context = try WriteContext(resource, request, kind: "CreateOptions")
    let admitted = AdmissionRequest(context, operation: .create, old: nil, options: .null)
    var view = AdmissionView(
      .connect, resource, subresource: context.subresource, namespace: request.info.namespace, name: context.name,
      user: context.user, options: .null, dryRun: false)
    view.object = Self.connectOptions(view.kind, request.query)
    try await dynamicAdmission.mutate(&view, admitted, self)
    try await dynamicAdmission.validate(view, admitted, self)
  }

  /// The query of a connection as the object of its kind.
  private static func connectOptions(_ kind: GroupVersionKind, _ query: [(String, String)]) -> JSONValue {
    var fields: [String: JSONValue] = ["kind": .string(kind.kind), "apiVersion": .string("v1")]
    for field in builtInSchema.schema(for: kind)?.fields ?? [] where field.name != "kind" && field.name != "apiVersion"
    {
      let values = query.filter { $0.0 == field.name }.map(\.1)
      guard let first = values.first else { continue }
      switch field.type {
      case .boolean: fields[field.name] = .bool(first != "false" && first != "0")
      case .int32, .int64: fields[field.name] = Int64(first).map { .int($0) }
      case .list(let element):
        fields[field.name] = .array(
          values.compactMap { text in
            switch element {
            case .int32, .int64: Int64(text).map { .int($0) }
            default: .string(text)
            }
          })
      default: fields[field.name] = .string(first)
      }
    }
    return .object(fields)
  }
}
