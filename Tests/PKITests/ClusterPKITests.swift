import APIMachinery
import Foundation
import Testing

@testable import PKI

@Suite struct ClusterPKITests {
  final class Scratch {
    let pki: ClusterPKI
    init() {
      pki = ClusterPKI(directory: NSTemporaryDirectory() + "pki-\(UUID().uuidString)/pki")
    }
    deinit {
      try? FileManager.default.removeItem(atPath: (pki.directory as NSString).deletingLastPathComponent)
    }
  }

  private let identity = ClusterPKI.Identity(
    nodeName: "node-1", serverNames: ["api.example"], serverIPs: ["10.96.0.1", "192.0.2.7"], nodeIPs: ["192.0.2.7"])

  @Test func theFirstCallMakesEverything() throws {
    let scratch = Scratch()
    let pki = scratch.pki
    #expect(try pki.ensure(identity, now: start) == ClusterPKI.Leaf.allCases)

    var expected: Set<String> = ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"]
    for leaf in ClusterPKI.Leaf.allCases { expected.formUnion(["\(leaf.rawValue).crt", "\(leaf.rawValue).key"]) }
    #expect(try Set(FileManager.default.contentsOfDirectory(atPath: pki.directory)) == expected)
    for name in expected {
      let attributes = try FileManager.default.attributesOfItem(atPath: pki.directory + "/" + name)
      #expect(attributes[.posixPermissions] as? Int == (name.hasSuffix(".key") ? 0o600 : 0o644), "\(name)")
    }

    let authority = try CertificateInfo(pem: pki.text(pki.authorityPath))
    let frontProxy = try CertificateInfo(pem: pki.text(pki.frontProxyAuthorityPath))
    for leaf in ClusterPKI.Leaf.allCases {
      let info = try CertificateInfo(pem: pki.pair(leaf).certificatePEM)
      #expect(info.isSigned(by: leaf == .frontProxyClient ? frontProxy : authority))
    }
    let server = try CertificateInfo(pem: pki.pair(.apiserver).certificatePEM)
    #expect(
      Set(server.dnsNames) == [
        "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        "localhost", "node-1", "api.example",
      ])
    #expect(Set(server.ipAddresses) == ["127.0.0.1", "::1", "10.96.0.1", "192.0.2.7"])
    let users = try ClusterPKI.Leaf.allCases.map { leaf in
      let info = try CertificateInfo(pem: pki.pair(leaf).certificatePEM)
      return "\(leaf.rawValue) \(info.commonName) \(info.organizations.joined(separator: ","))"
    }
    #expect(
      users == [
        "apiserver kube-apiserver ", "apiserver-kubelet-client kube-apiserver-kubelet-client system:masters",
        "front-proxy-client front-proxy-client ", "admin kubernetes-admin system:masters",
        "controller-manager system:kube-controller-manager ", "scheduler system:kube-scheduler ",
        "kubelet system:node:node-1 system:nodes", "kubelet-client system:node:node-1 system:nodes",
        "kube-proxy system:kube-proxy ",
      ])
  }

  @Test func whatIsGoodIsKept() throws {
    let scratch = Scratch()
    try scratch.pki.ensure(identity, now: start)
    let before = try scratch.pki.pair(.apiserver)
    #expect(try scratch.pki.ensure(identity, now: start.adding(seconds: 86_400)) == [])
    #expect(try scratch.pki.pair(.apiserver) == before)
  }

  @Test func leavesAreRenewedInTimeAndAuthoritiesStay() throws {
    let scratch = Scratch()
    try scratch.pki.ensure(identity, now: start)
    let authority = try scratch.pki.text(scratch.pki.authorityPath)
    let later = start.adding(seconds: 300 * 86_400)
    #expect(try scratch.pki.ensure(identity, now: later) == ClusterPKI.Leaf.allCases)
    #expect(try CertificateInfo(pem: scratch.pki.pair(.admin).certificatePEM).isValid(at: later.adding(seconds: 1)))
    #expect(try scratch.pki.text(scratch.pki.authorityPath) == authority)
  }

  @Test func aNewNameOrAddressRenewsOnlyWhoHasIt() throws {
    let scratch = Scratch()
    try scratch.pki.ensure(identity, now: start)
    var changed = identity
    changed.serverIPs.append("192.0.2.8")
    #expect(try scratch.pki.ensure(changed, now: start) == [.apiserver])
    changed.nodeName = "node-2"
    #expect(try scratch.pki.ensure(changed, now: start) == [.apiserver, .kubelet, .kubeletClient])
  }

  /// A start that was killed between two files.
  @Test func halfWrittenPairsAreMended() throws {
    let scratch = Scratch()
    let pki = scratch.pki
    try pki.ensure(identity, now: start)
    try AtomicFile.write(try pki.pair(.scheduler).privateKeyPEM, to: pki.keyPath(.admin))
    try FileManager.default.removeItem(atPath: pki.certificatePath(.kubeProxy))
    #expect(try pki.ensure(identity, now: start) == [.admin, .kubeProxy])

    let key = try pki.text(pki.authorityKeyPath)
    try FileManager.default.removeItem(atPath: pki.authorityPath)
    try pki.ensure(identity, now: start)
    #expect(try pki.text(pki.authorityKeyPath) == key)
    _ = try pki.authority()
  }

  @Test func withoutTheAuthoritysKeyNothingIsReplaced() throws {
    let scratch = Scratch()
    let pki = scratch.pki
    try pki.ensure(identity, now: start)
    try FileManager.default.removeItem(atPath: pki.authorityKeyPath)
    var changed = identity
    changed.serverNames = ["other.example"]
    #expect(try pki.ensure(changed, now: start) == [])
    try FileManager.default.removeItem(atPath: pki.keyPath(.admin))
    #expect(throws: PKIError.missingKey(path: pki.authorityKeyPath)) { try pki.ensure(changed, now: start) }
  }

  @Test func anExpiredAuthorityIsAnError() throws {
    let scratch = Scratch()
    try scratch.pki.ensure(identity, now: start)
    #expect {
      try scratch.pki.ensure(identity, now: start.adding(seconds: 11 * CertificateRequest.year))
    } throws: { error in
      guard case PKIError.invalidAuthority(scratch.pki.authorityPath, _) = error else { return false }
      return true
    }
  }

  @Test func kubeconfigsHoldTheUser() throws {
    let scratch = Scratch()
    try scratch.pki.ensure(identity, now: start)
    let config = try scratch.pki.kubeconfig(for: .admin, server: "https://192.0.2.7:6443")
    let authority = Base64Bytes(Array(try scratch.pki.text(scratch.pki.authorityPath).utf8)).base64
    let pair = try scratch.pki.pair(.admin)
    #expect(
      config.yaml == """
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: \(authority)
            server: https://192.0.2.7:6443
          name: kubernetes
        contexts:
        - context:
            cluster: kubernetes
            user: kubernetes-admin
          name: kubernetes-admin@kubernetes
        current-context: kubernetes-admin@kubernetes
        kind: Config
        preferences: {}
        users:
        - name: kubernetes-admin
          user:
            client-certificate-data: \(Base64Bytes(Array(pair.certificatePEM.utf8)).base64)
            client-key-data: \(Base64Bytes(Array(pair.privateKeyPEM.utf8)).base64)

        """)
    let path = scratch.pki.directory + "/admin.conf"
    try config.write(to: path)
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
  }

  @Test(arguments: ["yes", "12", "", "a: b", "- x", "#c", "a:"])
  func namesThatYAMLWouldMisreadAreQuoted(_ name: String) {
    let config = Kubeconfig(server: "https://h", authorityPEM: "", user: "u", credentials: .token(name))
    #expect(config.yaml.hasSuffix("    token: \"\(name)\"\n"))
  }
}
