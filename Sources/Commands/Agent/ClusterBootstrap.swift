import API
import Client
import Logging
import PKI

/// What a cluster needs so that agents can join it: the public part of its identity, and the rights that kubeadm gives
/// to joining and joined nodes. Every server makes it at its start; what is there already stays.
struct ClusterBootstrap: Sendable {
  static let joinGroup = "system:bootstrappers:kubeadm:default-node-token"

  /// With the administrator's rights.
  let client: APIClient
  let authorityPEM: String
  /// The URL that `cluster-info` names.
  let server: String
  let settings: ClusterSettings
  let logger: Logger

  /// Makes everything, trying again until it is there; then waits to be cancelled.
  func run() async throws {
    var delay = 0.2
    while true {
      do {
        try await ensure()
        break
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.debug("preparing for agents failed", metadata: ["error": "\(error)"])
        try await Task.sleep(for: .seconds(delay))
        delay = min(delay * 2, 10)
      }
    }
    while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
  }

  func ensure() async throws {
    for role in Self.clusterRoles { try await create(role) }
    try await create(CloudControllerRights.role)
    for role in Self.roles { try await create(role) }
    for binding in Self.clusterRoleBindings { try await create(binding) }
    try await create(CloudControllerRights.binding)
    for binding in Self.roleBindings { try await create(binding) }
    try await put(Self.settingsMap(settings)) { $0.data == $1.data }
    try await put(clusterInfo) { present, wanted in
      // Another server's address in it is as good as ours; another CA is not.
      Self.authorityData(present) == Self.authorityData(wanted)
    }
  }

  private func create<T: APIObject>(_ object: T) async throws {
    do { try await client.create(object) } catch let error as StatusError where error.isAlreadyExists {}
  }

  private func put(_ wanted: ConfigMap, unless isSame: (ConfigMap, ConfigMap) -> Bool) async throws {
    do {
      var present = try await client.get(
        ConfigMap.self, namespace: wanted.metadata.namespace, name: wanted.metadata.name)
      if isSame(present, wanted) { return }
      present.data.merge(wanted.data) { $1 }
      try await client.update(present)
    } catch let error as StatusError where error.code == 404 {
      try await create(wanted)
    }
  }

  // MARK: What is published

  var clusterInfo: ConfigMap {
    var map = ConfigMap()
    map.metadata.namespace = "kube-public"
    map.metadata.name = "cluster-info"
    map.data["kubeconfig"] = """
      apiVersion: v1
      clusters:
      - cluster:
          certificate-authority-data: \(Base64Bytes(Array(authorityPEM.utf8)).base64)
          server: \(server)
        name: ""
      contexts: null
      current-context: ""
      kind: Config
      users: null

      """
    return map
  }

  private static func authorityData(_ map: ConfigMap) -> Substring? {
    map.data["kubeconfig"]?.split(separator: "\n").first { $0.contains("certificate-authority-data:") }
  }

  static func settingsMap(_ settings: ClusterSettings) -> ConfigMap {
    var map = ConfigMap()
    map.metadata.namespace = ClusterSettings.namespace
    map.metadata.name = ClusterSettings.configMapName
    map.data = settings.data
    return map
  }

  // MARK: Rights

  private static let infoReader = "kubeadm:bootstrap-signer-clusterinfo"
  private static let settingsReader = "apus:node-settings"
  private static let nodeDNS = "apus:node-dns"
  private static let controllerPrefix = "apus:controller:"

  static var clusterRoles: [ClusterRole] {
    var role = ClusterRole()
    role.metadata.name = nodeDNS
    role.rules = [
      rule(["list", "watch"], "", ["services", "namespaces", "pods"]),
      rule(["list", "watch"], "discovery.k8s.io", ["endpointslices"]),
    ]
    return [role] + controllerRoles
  }

  /// What Apus's own controllers need; upstream's have theirs from the API server.
  private static var controllerRoles: [ClusterRole] {
    func role(_ account: String, _ rules: [PolicyRule]) -> ClusterRole {
      var role = ClusterRole()
      role.metadata.name = controllerPrefix + account
      role.rules = rules
      return role
    }
    return [
      role(
        "local-path-provisioner",
        [
          rule(["create", "delete"], "", ["persistentvolumes"]), rule(["create"], "storage.k8s.io", ["storageclasses"]),
          rule(["patch"], "", ["nodes"]), rule(["create", "update", "patch"], "", ["events"]),
          rule(["create", "update", "patch"], "events.k8s.io", ["events"]),
        ]),
      role(
        "kubelet-serving-certificate-approver",
        [
          rule(["update"], "certificates.k8s.io", ["certificatesigningrequests/approval"]),
          rule(["approve"], "certificates.k8s.io", ["signers"], ["kubernetes.io/kubelet-serving"]),
        ]),
    ]
  }

  static var roles: [Role] {
    func role(_ namespace: String, _ name: String, _ rules: [PolicyRule]) -> Role {
      var role = Role()
      role.metadata.namespace = namespace
      role.metadata.name = name
      role.rules = rules
      return role
    }
    return [
      role("kube-public", infoReader, [rule(["get"], "", ["configmaps"], ["cluster-info"])]),
      role(
        ClusterSettings.namespace, settingsReader, [rule(["get"], "", ["configmaps"], [ClusterSettings.configMapName])]),
      // Which slice is admission's business: a node writes its own.
      role(
        "kube-system", nodeDNS,
        [
          rule(["get"], "", ["services"], ["kube-dns"]),
          rule(["get", "create", "update", "patch", "delete"], "discovery.k8s.io", ["endpointslices"]),
        ]),
    ]
  }

  static var clusterRoleBindings: [ClusterRoleBinding] {
    let approve = "system:certificates.k8s.io:certificatesigningrequests:"
    let bindings: [(name: String, role: String, group: String)] = [
      ("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joinGroup),
      ("kubeadm:node-autoapprove-bootstrap", approve + "nodeclient", joinGroup),
      ("kubeadm:node-autoapprove-certificate-rotation", approve + "selfnodeclient", "system:nodes"),
      // One process is the node's kubelet, proxy and DNS, with one identity.
      ("apus:node-proxier", "system:node-proxier", "system:nodes"),
      (nodeDNS, nodeDNS, "system:nodes"),
    ]
    return bindings.map { entry in
      var binding = ClusterRoleBinding()
      binding.metadata.name = entry.name
      binding.roleRef = reference("ClusterRole", entry.role)
      binding.subjects = [subject("Group", entry.group)]
      return binding
    }
      + controllerRoles.map(\.metadata.name).map { name in
        var account = Subject()
        account.kind = "ServiceAccount"
        account.namespace = "kube-system"
        account.name = String(name.dropFirst(controllerPrefix.count))
        var binding = ClusterRoleBinding()
        binding.metadata.name = name
        binding.roleRef = reference("ClusterRole", name)
        binding.subjects = [account]
        return binding
      }
  }

  static var roleBindings: [RoleBinding] {
    let bindings: [(namespace: String, name: String, subject: Subject)] = [
      ("kube-public", infoReader, subject("User", "system:anonymous")),
      (ClusterSettings.namespace, settingsReader, subject("Group", "system:nodes")),
      ("kube-system", nodeDNS, subject("Group", "system:nodes")),
    ]
    return bindings.map { entry in
      var binding = RoleBinding()
      binding.metadata.namespace = entry.namespace
      binding.metadata.name = entry.name
      binding.roleRef = reference("Role", entry.name)
      binding.subjects = [entry.subject]
      return binding
    }
  }

  private static func rule(
    _ verbs: [String], _ group: String, _ resources: [String], _ names: [String] = []
  ) -> PolicyRule {
    var rule = PolicyRule()
    rule.verbs = verbs
    rule.apiGroups = [group]
    rule.resources = resources
    rule.resourceNames = names
    return rule
  }

  private static func reference(_ kind: String, _ name: String) -> RoleRef {
    var reference = RoleRef()
    reference.apiGroup = "rbac.authorization.k8s.io"
    reference.kind = kind
    reference.name = name
    return reference
  }

  private static func subject(_ kind: String, _ name: String) -> Subject {
    var subject = Subject()
    subject.apiGroup = "rbac.authorization.k8s.io"
    subject.kind = kind
    subject.name = name
    return subject
  }
}
