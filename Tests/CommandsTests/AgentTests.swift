import API
import APIMachinery
import ArgumentParser
import Client
import Logging
import PKI
import Testing

@testable import Commands

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

@Suite struct AgentTests {
  private let token = JoinToken("abcdef.0123456789abcdef")!

  @Test(arguments: [
    ["agent", "--server", "10.0.0.1:6443"], ["agent", "--token", "secretservertoken"],
    ["agent", "--ca-hash", "sha256:abc"], ["agent", "--node-taint", "a=b"], ["agent", "--node-label", "a"],
    ["agent", "--token", "abcdef.0123456789abcdef", "--token-file", "/x"], ["token", "create", "--ttl", "soon"],
    ["token", "create", "--usages", "everything"], ["token", "create", "--groups", "system:masters"],
    ["token", "create", "abc.def"], ["token", "delete", "ABCDEF"], ["token", "delete"],
  ])
  func badArgumentsAreRefused(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try Apus.parseAsRoot(arguments) }
  }

  @Test func argumentsOfTheJoinCommand() throws {
    let pin = "sha256:" + String(repeating: "0a", count: 32)
    let command = try #require(
      try Apus.parseAsRoot([
        "agent", "--server", "https://10.0.0.1:6443,https://10.0.0.2:6443/", "--token", token.text, "--ca-hash", pin,
        "--node-label", "disk=ssd", "--node-taint", "gpu=yes:NoSchedule",
      ]) as? AgentCommand)
    #expect(command.servers == ["https://10.0.0.1:6443", "https://10.0.0.2:6443"])
    #expect(command.joinToken == token)
    #expect(command.nodeOptions.nodeLabels == ["disk": "ssd"])
    #expect(command.nodeOptions.nodeTaints.first?.key == "gpu")
    #expect(command.nodeOptions.nodeTaints.first?.effect == "NoSchedule")
  }

  @Test func tokensHaveKubeadmsForm() throws {
    let made = JoinToken.make()
    #expect(JoinToken(made.text) == made)
    #expect(JoinToken("abcdef.0123456789abcde") == nil)
    #expect(JoinToken("abcdef0123456789abcdef") == nil)
    #expect(JoinToken("ABCDEF.0123456789abcdef") == nil)
    #expect(JoinToken.make() != made)
    let secret = TokenCommand.secret(
      token, expiration: Time(seconds: 1_700_000_000), description: "d", usages: ["signing", "authentication"],
      groups: [ClusterBootstrap.joinGroup])
    #expect(secret.metadata.name == "bootstrap-token-abcdef")
    #expect(
      secret.data.mapValues { $0.string } == [
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "description": "d",
        "expiration": "2023-11-14T22:13:20Z", "usage-bootstrap-signing": "true",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
      ])
    let table = TokenCommand.table([secret], now: Time(seconds: 1_700_000_000 - 3 * 3600)).split(separator: "\n")
    #expect(table.count == 2)
    #expect(table[1].hasPrefix("abcdef.0123456789abcdef   3h    2023-11-14T22:13:20Z   authentication,signing"))
  }

  @Test func aFurtherServerGetsTheFlagsThatAllShare() {
    let words = [
      "/usr/bin/apus", "server", "--data-dir", "/x", "--datastore", "https://a:2379,https://b:2379", "--node-ip",
      "1.2.3.4",
      "--cluster-cidr=10.1.0.0/16", "--datastore-cafile", "/etc/ca",
    ]
    #expect(
      TokenCommand.serverCommand(words, token: "t") == "apus server --datastore https://a:2379,https://b:2379 "
        + "--cluster-cidr=10.1.0.0/16 --datastore-cafile /etc/ca --token t")
    #expect(TokenCommand.serverCommand(["apus", "server", "--cluster-cidr", "x"], token: "t") == nil)
  }

  // MARK: Discovery

  private func published(_ authority: CertificateAuthority) throws -> [String: String] {
    let bootstrap = ClusterBootstrap(
      client: MemoryAPI().client(), authorityPEM: authority.certificatePEM, server: "https://10.0.0.1:6443",
      settings: ClusterSettings(clusterCIDR: "", serviceCIDR: "", clusterDNS: "", clusterDomain: ""),
      logger: Logger(label: "test"))
    return bootstrap.clusterInfo.data
  }

  @Test func onlyAPinnedAndSignedAuthorityIsTrusted() throws {
    let authority = try CertificateAuthority.create(commonName: "kubernetes")
    let pin = try CertificateInfo(pem: authority.certificatePEM).pin
    var data = try published(authority)
    guard case .unsigned = try Discovery.check(data, token, pin) else {
      Issue.record("an unsigned text was trusted")
      return
    }
    data["jws-kubeconfig-abcdef"] = DetachedSignature.make(
      data["kubeconfig"] ?? "", tokenID: token.id, tokenSecret: token.secret)
    #expect(try Discovery.check(data, token, pin) == .trusted(authority.certificatePEM))
    #expect(try Discovery.check(data, token, pin.uppercased().replacing("SHA256", with: "sha256")) != .unsigned(""))

    let other = try CertificateInfo(pem: CertificateAuthority.create(commonName: "kubernetes").certificatePEM).pin
    let refusal = #expect(throws: AgentError.self) { try Discovery.check(data, token, other) }
    #expect(refusal?.description.contains("not the one that --ca-hash names") == true)

    let wrong = try #require(JoinToken("abcdef.fedcba9876543210"))
    let mistake = #expect(throws: AgentError.self) { try Discovery.check(data, wrong, pin) }
    #expect(mistake?.description.contains("secret part") == true)
    #expect(throws: AgentError.self) { try Discovery.check([:], token, pin) }
  }

  // MARK: What an agent remembers

  private func withStore(_ body: (AgentStore) async throws -> Void) async throws {
    let directory = "/tmp/apus-agent-test-\(UInt64.random(in: 0 ... .max))"
    try AtomicFile.makeDirectory(directory)
    defer { removeDirectory(directory) }
    try await body(AgentStore(directory: directory + "/agent"))
  }

  @Test func aMemberNeedsNoTokenAndAStrangerDoes() async throws {
    try await withStore { store in
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      var request = Membership.Request(nodeName: "n1")
      let refusal = await #expect(throws: AgentError.self) {
        try await Membership.establish(request, store, logger: logger)
      }
      #expect(refusal?.description.contains("not a member") == true)

      let authority = try CertificateAuthority.create(commonName: "kubernetes")
      func identity(_ name: String, validity: Int64 = 3600) throws -> IssuedCertificate {
        try authority.issue(
          CertificateRequest(
            commonName: "system:node:\(name)", organizations: ["system:nodes"], usages: [.clientAuth],
            validity: validity))
      }
      try store.save(authority: authority.certificatePEM)
      try store.save(servers: ["https://10.0.0.2:6443"])
      let mine = try identity("n1")
      try store.save(mine, as: .client)
      request.servers = ["https://10.0.0.1:6443", "https://10.0.0.2:6443"]
      let member = try await Membership.establish(request, store, logger: logger)
      #expect(member.servers == ["https://10.0.0.2:6443", "https://10.0.0.1:6443"])
      #expect(member.identity == mine)
      request.pin = try CertificateInfo(pem: CertificateAuthority.create(commonName: "x").certificatePEM).pin
      await #expect(throws: AgentError.self) { try await Membership.establish(request, store, logger: logger) }
      request.pin = nil
      try store.save(identity("n2"), as: .client)
      let other = await #expect(throws: AgentError.self) {
        try await Membership.establish(request, store, logger: logger)
      }
      #expect(other?.description.contains("system:node:n2") == true)
      try store.save(identity("n1", validity: -10), as: .client)
      let late = await #expect(throws: AgentError.self) {
        try await Membership.establish(request, store, logger: logger)
      }
      #expect(late?.description.contains("expired") == true)
    }
  }

  @Test func certificatesAreRenewedLateInTheirLife() throws {
    let authority = try CertificateAuthority.create(commonName: "kubernetes")
    let issued = try authority.issue(
      CertificateRequest(commonName: "x", usages: [.clientAuth], validity: 9700), now: Time(seconds: 1_700_000_000))
    let info = try CertificateInfo(pem: issued.certificatePEM)
    let start = info.notBefore.seconds, life = info.notAfter.seconds - start
    #expect(CertificateRenewal.time(info, fraction: 0).seconds == start + life * 7 / 10)
    #expect(CertificateRenewal.time(info, fraction: 1).seconds == start + life * 9 / 10)
  }

  @Test func aCertificateIsAskedForAndFetched() async throws {
    let client = MemoryAPI().client()
    let authority = try CertificateAuthority.create(commonName: "kubernetes")
    var requester = CertificateRequester(client: client, nodeName: "n1")
    requester.interval = .milliseconds(5)
    let made = requester
    async let issued = made.servingCertificate(addresses: ["10.0.0.1"])
    var found: CertificateSigningRequest?
    while found == nil {
      found = try await client.list(CertificateSigningRequest.self).items.first
      await Task.yield()
    }
    var request = try #require(found)
    #expect(request.spec.signerName == "kubernetes.io/kubelet-serving")
    #expect(request.spec.usages == ["digital signature", "server auth"])
    let asked = try SigningRequest(pem: request.spec.request.string)
    request.status.certificate = Base64Bytes(
      Array(try authority.sign(asked, usages: [.serverAuth], validity: 3600).utf8))
    try await client.updateStatus(request)
    let info = try CertificateInfo(pem: try await issued.certificatePEM)
    #expect(info.commonName == "system:node:n1")
    #expect(info.organizations == ["system:nodes"])
    #expect(info.dnsNames == ["n1"])
    #expect(info.ipAddresses == ["10.0.0.1"])
  }

  @Test func aDeniedRequestIsAnErrorThatSaysSo() async throws {
    let client = MemoryAPI().client()
    var requester = CertificateRequester(client: client, nodeName: "n1")
    requester.interval = .milliseconds(5)
    let made = requester
    async let issued = made.clientCertificate()
    var found: CertificateSigningRequest?
    while found == nil {
      found = try await client.list(CertificateSigningRequest.self).items.first
      await Task.yield()
    }
    var request = try #require(found)
    #expect(request.spec.signerName == "kubernetes.io/kube-apiserver-client-kubelet")
    var denied = CertificateSigningRequestCondition()
    denied.type = "Denied"
    denied.status = "True"
    denied.message = "not today"
    request.status.conditions = [denied]
    try await client.updateStatus(request)
    do {
      _ = try await issued
      Issue.record("a denied request gave a certificate")
    } catch let error as AgentError {
      #expect(error.description.hasSuffix("was denied: not today"))
    }
  }

  @Test func eachNodeBeginsWithAnotherServer() {
    let found = ["https://c:1", "https://a:1", "https://b:1"]
    let orders = (0..<20).map { ServerList.order(found, named: ["https://lb:1", "https://a:1"], node: "node-\($0)") }
    for order in orders {
      #expect(Set(order.prefix(3)) == Set(found))
      #expect(order.last == "https://lb:1")
      #expect(order.count == 4)
    }
    #expect(Set(orders.map { $0[0] }).count == 3)
    #expect(ServerList.order([], named: ["https://lb:1"], node: "x") == ["https://lb:1"])
    var slice = EndpointSlice()
    var endpoint = Endpoint()
    endpoint.addresses = ["10.0.0.1"]
    slice.endpoints = [endpoint]
    #expect(ServerList.urls(slice) == ["https://10.0.0.1:6443"])
  }

  @Test func preparingTwiceChangesNothing() async throws {
    let api = MemoryAPI()
    let client = api.client()
    func bootstrap(_ authority: String, _ server: String) -> ClusterBootstrap {
      ClusterBootstrap(
        client: client, authorityPEM: authority, server: server,
        settings: ClusterSettings(
          clusterCIDR: "10.244.0.0/16", serviceCIDR: "10.96.0.0/12", clusterDNS: "10.96.0.10",
          clusterDomain: "cluster.local"), logger: Logger(label: "test"))
    }
    try await bootstrap("A", "https://10.0.0.1:6443").ensure()
    let first = try await client.get(ConfigMap.self, namespace: "kube-public", name: "cluster-info")
    // A second server of the same cluster leaves what the first one wrote.
    try await bootstrap("A", "https://10.0.0.2:6443").ensure()
    let second = try await client.get(ConfigMap.self, namespace: "kube-public", name: "cluster-info")
    #expect(first.metadata.resourceVersion == second.metadata.resourceVersion)
    #expect(try await ClusterSettings.fetch(client).clusterDNS == "10.96.0.10")
    let binding = try await client.get(ClusterRoleBinding.self, name: "kubeadm:node-autoapprove-bootstrap")
    #expect(binding.roleRef.name == "system:certificates.k8s.io:certificatesigningrequests:nodeclient")
    // Another CA is another cluster's truth.
    try await bootstrap("B", "https://10.0.0.2:6443").ensure()
    let third = try await client.get(ConfigMap.self, namespace: "kube-public", name: "cluster-info")
    #expect(third.data["kubeconfig"]?.contains("https://10.0.0.2:6443") == true)
  }
}

private func removeDirectory(_ path: String) {
  for file in ["ca.crt", "servers", "client.pem", "serving.pem", "settings"] { unlink("\(path)/agent/\(file)") }
  rmdir(path + "/agent")
  rmdir(path)
}
