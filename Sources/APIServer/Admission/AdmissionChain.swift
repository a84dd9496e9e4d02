import API
import APIMachinery

/// What admission knows of a request.
struct AdmissionRequest: Sendable {
  enum Operation: Sendable { case create, update, delete }

  let operation: Operation
  let resource: ServedResource
  let subresource: String
  let namespace: String
  let name: String
  let user: UserInfo
  let old: LiveObject?
  let warnings: Warnings
  let context: WriteContext
  /// The options of the request, as webhooks see them.
  let options: JSONValue
  /// Called when the change is decided, with whether it was committed.
  private var endings: [@Sendable (Bool) -> Void] = []

  init(_ context: WriteContext, operation: Operation, old: LiveObject?, options: JSONValue? = nil) {
    self.operation = operation
    self.context = context
    self.options = options ?? context.optionsTree(operation)
    self.old = old
    resource = context.resource
    subresource = context.subresource
    namespace = context.namespace
    name = context.name
    user = context.user
    warnings = context.warnings
  }

  mutating func atEnd(_ body: @escaping @Sendable (_ committed: Bool) -> Void) { endings.append(body) }

  /// Notes something for the audit log.
  var annotate: @Sendable (_ key: String, _ value: String) -> Void {
    { [audit = context.request.audit] key, value in audit?.annotate(key, value) }
  }

  func finish(committed: Bool) { for ending in endings { ending(committed) } }

  /// Whether the request is `operation` of the core resource itself.
  func isCore(_ name: String, _ operation: Operation) -> Bool {
    self.operation == operation && subresource.isEmpty && resource.info.resource == name
      && resource.info.group.isEmpty
  }

  func isFor(_ group: String, _ name: String, _ operation: Operation) -> Bool {
    self.operation == operation && subresource.isEmpty && resource.info.resource == name
      && resource.info.group == group
  }

  func forbidden(_ objectName: String, _ message: String) -> StatusError {
    .forbidden(resource.groupResource, objectName, message)
  }
}

/// A check or change between a request and the store.
protocol AdmissionPlugin: Sendable {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws
}

extension AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {}
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {}
}

/// The plugins in their order.
struct AdmissionChain: Sendable {
  let plugins: [any AdmissionPlugin]

  /// Every plugin that can wait for nothing, by upstream's name and in upstream's order. Policies, webhooks and quotas
  /// follow them.
  static let all: [(name: String, plugin: any AdmissionPlugin, isDefault: Bool)] = [
    ("NamespaceExists", NamespaceExists(), false), ("NamespaceLifecycle", NamespaceLifecycle(), true),
    ("AlwaysPullImages", AlwaysPullImages(), false), ("ServiceAccount", ServiceAccountAdmission(), true),
    ("NodeRestriction", NodeRestriction(), false), ("TaintNodesByCondition", TaintNodesByCondition(), true),
    ("PodNodeSelector", PodNodeSelector(), false), ("Priority", PriorityAdmission(), true),
    ("DefaultTolerationSeconds", DefaultTolerationSeconds(), true),
    ("ExtendedResourceToleration", ExtendedResourceToleration(), false),
    ("DefaultStorageClass", DefaultStorageClass(), true), ("DefaultIngressClass", DefaultIngressClass(), true),
    ("StorageObjectInUseProtection", StorageObjectInUseProtection(), true),
    ("OwnerReferencesPermissionEnforcement", OwnerReferencesPermissionEnforcement(), false),
    ("PersistentVolumeClaimResize", PersistentVolumeClaimResize(), true),
    ("RuntimeClass", RuntimeClassAdmission(), true), ("LimitRanger", LimitRanger(), true),
    ("LimitPodHardAntiAffinityTopology", LimitPodHardAntiAffinityTopology(), false),
    ("PodSecurity", PodSecurityAdmission(), true), ("CertificateApproval", CertificateApproval(), true),
    ("CertificateSigning", CertificateSigning(), true), ("ClusterTrustBundleAttest", ClusterTrustBundleAttest(), true),
    ("CertificateSubjectRestriction", CertificateSubjectRestriction(), true),
    ("DenyServiceExternalIPs", DenyServiceExternalIPs(), false), ("AlwaysDeny", AlwaysDeny(), false),
  ]

  /// Upstream's default plugins, without those that are disabled and with those that are asked for.
  init(enabled: Set<String> = [], disabled: Set<String> = []) {
    plugins =
      [EscalationCheck()]
      + Self.all.filter { enabled.contains($0.name) || ($0.isDefault && !disabled.contains($0.name)) }.map(\.plugin)
  }

  func mutate(_ object: inout LiveObject, _ request: inout AdmissionRequest, _ registry: Registry) throws {
    for plugin in plugins { try plugin.mutate(&object, request, registry) }
  }

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    for plugin in plugins { try plugin.validate(object, request, registry) }
  }
}

extension WriteContext {
  /// The options as an object of their own kind.
  fileprivate func optionsTree(_ operation: AdmissionRequest.Operation) -> JSONValue {
    var fields: [String: JSONValue] = ["apiVersion": "meta.k8s.io/v1"]
    switch operation {
    case .create: fields["kind"] = "CreateOptions"
    case .update: fields["kind"] = request.info.verb == "patch" ? "PatchOptions" : "UpdateOptions"
    case .delete: fields["kind"] = "DeleteOptions"
    }
    if options.dryRun { fields["dryRun"] = .array(["All"]) }
    if operation != .delete {
      if !options.fieldManager.isEmpty { fields["fieldManager"] = .string(options.fieldManager) }
      fields["fieldValidation"] = .string(options.fieldValidation.rawValue)
      if let force = options.force { fields["force"] = .bool(force) }
    }
    return .object(fields)
  }
}
