public import APIMachinery
internal import Crypto

/// The keys and certificates of a cluster, in a directory laid out as kubeadm's `/etc/kubernetes/pki`:
///
///     ca.crt ca.key                        front-proxy-ca.crt front-proxy-ca.key          sa.key sa.pub
///     apiserver.crt .key                   front-proxy-client.crt .key
///     apiserver-kubelet-client.crt .key
///
/// and beside them, since the parts of one binary read files rather than kubeconfigs with embedded keys: `admin`,
/// `controller-manager`, `scheduler`, `kubelet-client` and `kube-proxy` (clients), `kubelet` (serving).
public struct ClusterPKI: Sendable {
  /// A certificate that one of the two authorities signs.
  public enum Leaf: String, Sendable, CaseIterable {
    case apiserver
    case apiserverKubeletClient = "apiserver-kubelet-client"
    case frontProxyClient = "front-proxy-client"
    case admin
    case controllerManager = "controller-manager"
    case scheduler
    case kubelet
    case kubeletClient = "kubelet-client"
    case kubeProxy = "kube-proxy"
  }

  /// The files' directory.
  public let directory: String

  /// Names the directory; nothing is read or written yet.
  public init(directory: String) {
    self.directory = directory
  }

  // MARK: Paths

  /// The cluster's authority: signs servers and clients.
  public var authorityPath: String { path("ca.crt") }
  /// The key of the cluster's authority.
  public var authorityKeyPath: String { path("ca.key") }
  /// The authority of the front proxy's client certificate.
  public var frontProxyAuthorityPath: String { path("front-proxy-ca.crt") }
  /// The key service account tokens are signed with.
  public var serviceAccountKeyPath: String { path("sa.key") }
  /// The key service account tokens are verified with.
  public var serviceAccountPublicKeyPath: String { path("sa.pub") }
  /// A leaf's certificate.
  public func certificatePath(_ leaf: Leaf) -> String { path("\(leaf.rawValue).crt") }
  /// A leaf's key.
  public func keyPath(_ leaf: Leaf) -> String { path("\(leaf.rawValue).key") }

  private func path(_ name: String) -> String { directory + "/" + name }

  // MARK: Reading

  /// The cluster's authority, with its key.
  public func authority() throws -> CertificateAuthority { try loadAuthority("ca") }

  /// The text of a file of the directory.
  public func text(_ path: String) throws -> String {
    guard let text = try AtomicFile.readText(path) else { throw PKIError.file(path: path, detail: "no such file") }
    return text
  }

  /// A leaf's certificate and key.
  public func pair(_ leaf: Leaf) throws -> IssuedCertificate {
    IssuedCertificate(certificatePEM: try text(certificatePath(leaf)), privateKeyPEM: try text(keyPath(leaf)))
  }

  /// A kubeconfig for one of the clients. Its user entry is named after the certificate's user.
  public func kubeconfig(
    for leaf: Leaf, server: String, cluster: String = "kubernetes", embed: Bool = true
  ) throws -> Kubeconfig {
    let pair = try pair(leaf)
    let user = try CertificateInfo(pem: pair.certificatePEM).commonName
    let credentials: Kubeconfig.Credentials =
      embed
      ? .certificate(certificatePEM: pair.certificatePEM, privateKeyPEM: pair.privateKeyPEM)
      : .certificateFiles(certificate: certificatePath(leaf), key: keyPath(leaf))
    return Kubeconfig(
      server: server, authorityPEM: try text(authorityPath), cluster: cluster, user: user, credentials: credentials)
  }

  // MARK: Making

  /// What the certificates should say.
  public struct Identity: Sendable {
    /// This machine's node name.
    public var nodeName: String
    /// Further names of the API server. The cluster's own and `localhost` are always there.
    public var serverNames: [String]
    /// Addresses of the API server, the first service address among them. The loopback ones are always there.
    public var serverIPs: [String]
    /// Addresses of the kubelet.
    public var nodeIPs: [String]
    /// The cluster's DNS domain.
    public var clusterDomain: String
    /// The admin's groups.
    public var adminGroups: [String]

    /// Makes an identity.
    public init(
      nodeName: String, serverNames: [String] = [], serverIPs: [String] = [], nodeIPs: [String] = [],
      clusterDomain: String = "cluster.local", adminGroups: [String] = ["system:masters"]
    ) {
      self.nodeName = nodeName
      self.serverNames = serverNames
      self.serverIPs = serverIPs
      self.nodeIPs = nodeIPs
      self.clusterDomain = clusterDomain
      self.adminGroups = adminGroups
    }
  }

  /// Makes what is missing, keeps what is good, renews what is near its end or no longer says what it should.
  /// Returns the leaves that changed. Authorities and the token key are made once and never replaced.
  @discardableResult
  public func ensure(_ identity: Identity, now: Time = .now) throws -> [Leaf] {
    try ensureAuthorities(now: now)
    return try Leaf.allCases.filter { try ensure($0, request(for: $0, identity), now: now) }
  }

  /// The same for a machine that is server and node at once.
  @discardableResult
  public func ensure(now: Time = .now, serverNames: [String], serverIPs: [String], nodeName: String) throws -> [Leaf] {
    try ensure(
      Identity(nodeName: nodeName, serverNames: serverNames, serverIPs: serverIPs, nodeIPs: serverIPs), now: now)
  }

  func request(for leaf: Leaf, _ identity: Identity) -> CertificateRequest {
    switch leaf {
    case .apiserver:
      let own = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
      return CertificateRequest(
        commonName: "kube-apiserver",
        dnsNames: own + ["kubernetes.default.svc.\(identity.clusterDomain)", "localhost", identity.nodeName]
          + identity.serverNames,
        ipAddresses: ["127.0.0.1", "::1"] + identity.serverIPs, usages: [.serverAuth])
    case .apiserverKubeletClient:
      return CertificateRequest(
        commonName: "kube-apiserver-kubelet-client", organizations: ["system:masters"], usages: [.clientAuth])
    case .frontProxyClient: return CertificateRequest(commonName: "front-proxy-client", usages: [.clientAuth])
    case .admin:
      return CertificateRequest(
        commonName: "kubernetes-admin", organizations: identity.adminGroups, usages: [.clientAuth])
    case .controllerManager:
      return CertificateRequest(commonName: "system:kube-controller-manager", usages: [.clientAuth])
    case .scheduler: return CertificateRequest(commonName: "system:kube-scheduler", usages: [.clientAuth])
    case .kubeProxy: return CertificateRequest(commonName: "system:kube-proxy", usages: [.clientAuth])
    case .kubeletClient:
      return CertificateRequest(
        commonName: "system:node:\(identity.nodeName)", organizations: ["system:nodes"], usages: [.clientAuth])
    case .kubelet:
      return CertificateRequest(
        commonName: "system:node:\(identity.nodeName)", organizations: ["system:nodes"],
        dnsNames: [identity.nodeName, "localhost"], ipAddresses: ["127.0.0.1", "::1"] + identity.nodeIPs,
        usages: [.serverAuth])
    }
  }

  func ensureAuthority(_ name: String, commonName: String, now: Time) throws {
    let certificatePath = path("\(name).crt")
    let keyPath = path("\(name).key")
    guard let existing = try AtomicFile.readText(certificatePath) else {
      // The key is written first: one that stands alone is of a start that was cut short.
      let made = try CertificateAuthority.create(
        commonName: commonName, now: now, privateKeyPEM: AtomicFile.readText(keyPath))
      try AtomicFile.write(made.privateKeyPEM, to: keyPath)
      try AtomicFile.write(made.certificatePEM, to: certificatePath, mode: 0o644)
      return
    }
    let info = try CertificateInfo(pem: existing)
    guard info.isAuthority else {
      throw PKIError.invalidAuthority(path: certificatePath, detail: "not an authority's certificate")
    }
    guard info.isValid(at: now) else {
      throw PKIError.invalidAuthority(
        path: certificatePath, detail: "valid from \(info.notBefore) to \(info.notAfter) only")
    }
  }

  private func loadAuthority(_ name: String) throws -> CertificateAuthority {
    guard let key = try AtomicFile.readText(path("\(name).key")) else {
      throw PKIError.missingKey(path: path("\(name).key"))
    }
    return try CertificateAuthority(certificatePEM: text(path("\(name).crt")), privateKeyPEM: key)
  }

  func ensureServiceAccountKey() throws {
    let key: TokenKey
    if let existing = try AtomicFile.readText(serviceAccountKeyPath) {
      key = try TokenKey(privatePEM: existing)
    } else {
      // ES256 signs 30 times as fast as RSA and is made in no time; every client and verifier accepts it.
      let pem = P256.Signing.PrivateKey().pemRepresentation
      key = try TokenKey(privatePEM: pem)
      try AtomicFile.write(pem + "\n", to: serviceAccountKeyPath)
    }
    let publicPEM = key.publicPEM
    if try AtomicFile.readText(serviceAccountPublicKeyPath) == nil {
      try AtomicFile.write(publicPEM, to: serviceAccountPublicKeyPath, mode: 0o644)
    }
  }

  private func ensure(_ leaf: Leaf, _ request: CertificateRequest, now: Time) throws -> Bool {
    let authorityName = leaf == .frontProxyClient ? "front-proxy-ca" : "ca"
    let existing = try AtomicFile.readText(certificatePath(leaf))
    let existingKey = try AtomicFile.readText(keyPath(leaf))
    if let existing, let existingKey, let info = try? CertificateInfo(pem: existing) {
      let authority = try CertificateInfo(pem: text(path("\(authorityName).crt")))
      if try isGood(info, key: existingKey, request, authority: authority, now: now) { return false }
      // Without the authority's key (kept elsewhere), what the owner put here is the best there is.
      if try AtomicFile.read(path("\(authorityName).key")) == nil, info.isValid(at: now) { return false }
    }
    let issued = try loadAuthority(authorityName).issue(request, now: now)
    try AtomicFile.write(issued.privateKeyPEM, to: keyPath(leaf))
    try AtomicFile.write(issued.certificatePEM, to: certificatePath(leaf), mode: 0o644)
    return true
  }

  /// Renewed when three tenths of the lifetime are left, as the kubelet does at the latest.
  private func isGood(
    _ info: CertificateInfo, key: String, _ request: CertificateRequest, authority: CertificateInfo, now: Time
  ) throws -> Bool {
    let lifetime = info.notAfter.seconds(since: info.notBefore)
    let wanted = try Set(request.ipAddresses.map { try addressOctets($0) })
    let found = try Set(info.ipAddresses.map { try addressOctets($0) })
    return info.isValid(at: now) && info.notAfter.seconds(since: now) > lifetime * 3 / 10
      && info.commonName == request.commonName && Set(info.organizations) == Set(request.organizations)
      && Set(info.dnsNames) == Set(request.dnsNames)
      && found == wanted && info.matches(privateKeyPEM: key) && info.isSigned(by: authority)
  }
}
