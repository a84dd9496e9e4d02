import APIMachinery
public import PKI

/// Settings of the API server, with upstream's defaults. What can be given as a file can be given as its text as well;
/// the text wins.
public struct APIServerConfiguration: Sendable {
  public var bindAddress = "0.0.0.0"
  /// 0 takes any free port.
  public var port = 6443
  /// Serve on a unix socket instead of TCP, without TLS.
  public var unixSocket: String?

  /// Without a certificate the server speaks plain HTTP, which is for tests.
  public var servingCertificateFile: String?
  public var servingCertificatePEM: String?
  public var servingKeyFile: String?
  public var servingKeyPEM: String?
  /// Who signs clients' certificates.
  public var clientCAFile: String?
  public var clientCAPEM: String?
  /// Who signs the front proxy's client certificate. A client with such a certificate, and one of the names below if
  /// there are any, speaks for the users that it names in these headers. All of it is published for extension servers.
  public var requestHeaderClientCAFile: String?
  public var requestHeaderClientCAPEM: String?
  public var requestHeaderAllowedNames: [String] = []
  public var requestHeaderUsernameHeaders = ["X-Remote-User"]
  public var requestHeaderGroupHeaders = ["X-Remote-Group"]
  public var requestHeaderExtraHeaderPrefixes = ["X-Remote-Extra-"]
  public var requestHeaderUIDHeaders: [String] = []
  /// Signs service-account tokens, and verifies those it signed.
  public var serviceAccountKeyFile: String?
  public var serviceAccountKeyPEM: String?
  /// Public keys that signed before.
  public var serviceAccountVerificationKeysPEM: [String] = []
  public var serviceAccountIssuer = "https://kubernetes.default.svc.cluster.local"
  /// Empty: the issuer.
  public var audiences: [String] = []
  /// Tokens live no longer; zero for no limit.
  public var serviceAccountMaxTokenExpiration: Int64 = 0
  /// Lines of `token,user,uid[,"group1,group2"]`.
  public var tokenFile: String?
  public var staticTokens: [StaticToken] = []
  public var anonymousAuth = true
  /// Ways to authenticate that ask others.
  public var authentication = AuthenticationSettings()
  /// Who decides what users may do.
  public var authorization = AuthorizationSettings()
  /// Node and RBAC rules; false allows everybody everything.
  public var rbac: Bool {
    get { authorization.modes.contains("RBAC") }
    set { authorization.modes = newValue ? ["Node", "RBAC"] : ["AlwaysAllow"] }
  }

  /// Admission plugins that run beside the default ones, by upstream's names.
  public var enabledAdmissionPlugins: Set<String> = []
  /// Default admission plugins that do not run.
  public var disabledAdmissionPlugins: Set<String> = []
  /// Every admission plugin there is, by upstream's names.
  public static let admissionPlugins = Set(AdmissionChain.all.map(\.name)).union([
    "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "PodTopologyLabels", "ResourceQuota",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook",
  ])

  /// Identify this server to extension servers, which know by it whom to believe about users.
  public var proxyClientCertificateFile: String?
  public var proxyClientCertificatePEM: String?
  public var proxyClientKeyFile: String?
  public var proxyClientKeyPEM: String?
  /// Identify this server to kubelets.
  public var kubeletClientCertificateFile: String?
  public var kubeletClientCertificatePEM: String?
  public var kubeletClientKeyFile: String?
  public var kubeletClientKeyPEM: String?
  /// Who signs kubelets' serving certificates; nil trusts any, as upstream does without the flag.
  public var kubeletCAFile: String?
  public var kubeletCAPEM: String?
  /// The address types of nodes in the order in which they are tried.
  public var kubeletPreferredAddressTypes = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"]

  /// How what is stored is encrypted; nil: not at all.
  public var encryptionFile: String?
  /// Whether that file is read again when it changes.
  public var reloadsEncryption = false
  /// What is written down about requests.
  public var audit = AuditConfiguration()
  /// Whether `metrics.k8s.io` is served from the kubelets' own figures unless an extension server serves it.
  public var servesResourceMetrics = false
  /// What clients are told to connect to; nil: 127.0.0.1.
  public var advertiseAddress: String?
  /// The name in this server's identity Lease; empty: the machine's.
  public var hostName = ""
  public var serviceCIDR = "10.96.0.0/12"
  public var serviceNodePortRange: ClosedRange<Int> = 30000...32767
  public var maxRequestsInFlight = 400
  public var maxMutatingRequestsInFlight = 200
  /// Whether flow control by FlowSchemas takes the place of these two limits, with their sum as its seats.
  public var priorityAndFairness = true
  /// The command line, as `/flagz` shows it.
  public var flags: [String: String] = [:]
  public var maxRequestBodyBytes = 3 * 1024 * 1024
  public var eventSecondsToLive = 3600
  public var minRequestTimeoutSeconds = 1800
  /// What `/version` says.
  public var gitVersion = "v1.36.2+apus"

  public init() {}

  /// Takes certificates and keys from a cluster's PKI directory.
  public mutating func use(_ pki: ClusterPKI) {
    servingCertificateFile = pki.certificatePath(.apiserver)
    servingKeyFile = pki.keyPath(.apiserver)
    clientCAFile = pki.authorityPath
    serviceAccountKeyFile = pki.serviceAccountKeyPath
    kubeletClientCertificateFile = pki.certificatePath(.apiserverKubeletClient)
    kubeletClientKeyFile = pki.keyPath(.apiserverKubeletClient)
    kubeletCAFile = pki.authorityPath
  }

  /// With the text of every file named.
  func loaded() throws -> APIServerConfiguration {
    var result = self
    func load(_ text: inout String?, _ file: String?) throws {
      guard text == nil, let file else { return }
      guard let bytes = readWholeFile(file) else { throw StatusError.internalError("cannot read \(file)") }
      text = String(decoding: bytes, as: UTF8.self)
    }
    try load(&result.servingCertificatePEM, servingCertificateFile)
    try load(&result.servingKeyPEM, servingKeyFile)
    try load(&result.clientCAPEM, clientCAFile)
    try load(&result.requestHeaderClientCAPEM, requestHeaderClientCAFile)
    try load(&result.proxyClientCertificatePEM, proxyClientCertificateFile)
    try load(&result.proxyClientKeyPEM, proxyClientKeyFile)
    try load(&result.serviceAccountKeyPEM, serviceAccountKeyFile)
    try load(&result.kubeletClientCertificatePEM, kubeletClientCertificateFile)
    try load(&result.kubeletClientKeyPEM, kubeletClientKeyFile)
    try load(&result.kubeletCAPEM, kubeletCAFile)
    var tokens: String?
    try load(&tokens, tokenFile)
    if let tokens { result.staticTokens += try StaticToken.parse(csv: tokens) }
    return result
  }
}
