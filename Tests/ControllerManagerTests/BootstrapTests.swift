import API
import PKI
import Testing

@testable import ControllerManager

@Suite struct BootstrapTests {
  private func secret(_ id: String, expiration: String = "", signs: Bool = true) -> Secret {
    Secret {
      $0.metadata.namespace = "kube-system"
      $0.metadata.name = "bootstrap-token-\(id)"
      $0.type = "bootstrap.kubernetes.io/token"
      $0.data = [
        "token-id": id, "token-secret": "0123456789abcdef", "expiration": expiration,
        "usage-bootstrap-signing": signs ? "true" : "false",
      ].filter { !$0.value.isEmpty }.mapValues { Base64Bytes(Array($0.utf8)) }
    }
  }

  @Test func everyLivingTokenSigns() throws {
    var map = ConfigMap()
    map.data = ["kubeconfig": "text", "jws-kubeconfig-gone00": "x", "other": "y"]
    let tokens = [
      secret("aaaaaa"), secret("bbbbbb", signs: false), secret("cccccc", expiration: "2020-01-01T00:00:00Z"),
      secret("dddddd", expiration: "2999-01-01T00:00:00Z"),
    ].compactMap { BootstrapToken($0) }
    let signed = try #require(BootstrapSigner.signed(map, tokens, now: moment))
    #expect(Set(signed.data.keys) == ["kubeconfig", "other", "jws-kubeconfig-aaaaaa", "jws-kubeconfig-dddddd"])
    let signature = try #require(signed.data["jws-kubeconfig-aaaaaa"])
    #expect(
      DetachedSignature.isValid(signature, of: "text", tokenID: "aaaaaa", tokenSecret: "0123456789abcdef"))
    #expect(BootstrapSigner.signed(signed, tokens, now: moment) == nil)
    #expect(BootstrapSigner.signed(ConfigMap(), tokens, now: moment) == nil)
  }

  @Test func tokensExpire() throws {
    let past = try #require(BootstrapToken(secret("aaaaaa", expiration: "2020-01-01T00:00:00Z")))
    #expect(past.isExpired(at: moment))
    let future = try #require(BootstrapToken(secret("aaaaaa", expiration: "2999-01-01T00:00:00Z")))
    #expect(!future.isExpired(at: moment))
    let unreadable = try #require(BootstrapToken(secret("aaaaaa", expiration: "soon")))
    #expect(unreadable.isExpired(at: moment))
    #expect(try #require(BootstrapToken(secret("aaaaaa"))).isExpired(at: moment) == false)
    var misnamed = secret("aaaaaa")
    misnamed.metadata.name = "bootstrap-token-bbbbbb"
    #expect(BootstrapToken(misnamed) == nil)
    var ordinary = secret("aaaaaa")
    ordinary.type = "Opaque"
    #expect(BootstrapToken(ordinary) == nil)
  }

  // MARK: Serving certificates

  private func node(_ name: String, _ address: String) -> Node {
    Node {
      $0.metadata.name = name
      $0.status.addresses = [
        NodeAddress {
          $0.type = "InternalIP"
          $0.address = address
        },
        NodeAddress {
          $0.type = "Hostname"
          $0.address = name
        },
      ]
    }
  }

  private func judge(
    user: String = "system:node:a", commonName: String = "system:node:a", names: [String] = ["a"],
    addresses: [String] = ["10.0.0.1"], usages: [String] = ["digital signature", "server auth"],
    nodes: [Node]? = nil
  ) throws -> ServingCertificateApprover.Judgement {
    let made = try SigningRequest.create(
      commonName: commonName, organizations: ["system:nodes"], dnsNames: names, ipAddresses: addresses)
    let request = CertificateSigningRequest {
      $0.spec.signerName = "kubernetes.io/kubelet-serving"
      $0.spec.username = user
      $0.spec.groups = ["system:nodes", "system:authenticated"]
      $0.spec.usages = usages
    }
    return ServingCertificateApprover.judge(
      request, try SigningRequest(pem: made.requestPEM), nodes: nodes ?? [node("a", "10.0.0.1"), node("b", "10.0.0.2")])
  }

  @Test func onlyTheNodesOwnNamesAndAddressesAreApproved() throws {
    #expect(try judge() == .approve)
    #expect(try judge(addresses: []) == .approve)
    #expect(try judge(addresses: ["10.0.0.2"]) == .wait("10.0.0.2 is not an address of node a"))
    #expect(try judge(names: ["kubernetes"]) == .wait("kubernetes is not a name of node a"))
    #expect(try judge(nodes: []) == .wait("node a is not known"))
    // What another node has too is nobody's own.
    #expect(
      try judge(nodes: [node("a", "10.0.0.1"), node("b", "10.0.0.1")])
        == .refuse("10.0.0.1 is also an address of node b"))
  }

  @Test func onlyTheNodeItselfMayAsk() throws {
    #expect(try judge(user: "system:node:b") == .refuse("requester system:node:b is not system:node:a"))
    #expect(
      try judge(usages: ["client auth"])
        == .refuse("usages did not match [digital signature key encipherment server auth]"))
    #expect(try judge(names: [], addresses: []) == .refuse("DNS or IP subjectAltName is required"))
    #expect(try judge(commonName: "admin") != .approve)
  }
}
