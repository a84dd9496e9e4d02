import APIMachinery
import HTTP
import PKI
import Testing

@testable import APIServer

@Suite struct CertificateReloadTests {
  private static let review = #"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#
  private static let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

  @Test func authoritiesAndTheServingCertificateMayChange() async throws {
    try await ServerFixture.with { configuration in
      configuration.requestHeaderClientCAFile = configuration.clientCAFile?.replacing(
        "/ca.crt", with: "/front-proxy-ca.crt")
    } _: { fixture in
      let followers = fixture.server.followers
      #expect(followers.map(\.what) == ["client CA", "request header CA", "serving certificate"])
      let other = try CertificateAuthority.create(commonName: "another")
      let guest = try other.issue(CertificateRequest(commonName: "guest", usages: [.clientAuth]))
      func client() throws -> HTTPClient {
        HTTPClient(
          configuration: .init(
            tls: .init(
              trustedCAPEM: try fixture.pki.text(fixture.pki.authorityPath), certificateChainPEM: guest.certificatePEM,
              privateKeyPEM: guest.privateKeyPEM)))
      }
      let (stranger, admin) = (try client(), try fixture.client(.admin))
      func name(_ client: HTTPClient) async throws -> JSONValue? {
        try await fixture.ask(client, "POST", Self.path, json: Self.review).json["status"]?["userInfo"]?["username"]
      }
      #expect(try await name(stranger) == nil)
      #expect(try await name(admin) == "kubernetes-admin")
      // Connections that stand are seen with other eyes as well.
      try followers[0].take(Array(other.certificatePEM.utf8))
      #expect(try await name(stranger) == "guest")
      #expect(try await name(admin) == nil)
      try followers[0].take(Array((try fixture.pki.text(fixture.pki.authorityPath) + other.certificatePEM).utf8))
      #expect(try await name(stranger) == "guest")
      #expect(try await name(admin) == "kubernetes-admin")
      #expect(throws: (any Error).self) { try followers[0].take([]) }
      #expect(throws: (any Error).self) { try followers[2].take(Array("nonsense\0more".utf8)) }
      let next = try fixture.pki.pair(.kubelet)
      try followers[2].take(Array(next.certificatePEM.utf8) + [0] + Array(next.privateKeyPEM.utf8))
      await stranger.shutdown()
      await admin.shutdown()
    }
  }

  @Test func accessIsCounted() async throws {
    try await ServerFixture.with { fixture in
      let client = try fixture.client()
      _ = try await fixture.ask(client, "GET", "/version", token: "alice-token")
      _ = try await fixture.ask(client, "GET", "/version", token: "nobody-s-token")
      _ = try await fixture.ask(client, "GET", "/api/v1/secrets", token: "alice-token")
      let text = try await fixture.ask(client, "GET", "/metrics", token: "root-token").text
      #expect(text.contains("authentication_attempts{result=\"failure\"} 1\n"))
      #expect(text.contains("authorization_attempts_total{result=\"no-opinion\"} 1\n"))
      #expect(text.contains("authenticated_user_requests{username=\"other\"} "))
      await client.shutdown()
    }
  }

  @Test func reloadsAreCounted() throws {
    let metrics = AccessMetrics()
    try metrics.counting(.authorization) {}
    #expect(throws: ConfigurationProblem.self) {
      try metrics.counting(.authorization) { throw ConfigurationProblem(description: "no") }
    }
    var text = ""
    metrics.write(to: &text)
    let name = "apiserver_authorization_config_controller_automatic_reloads_total"
    #expect(text.contains("\(name){status=\"failure\"} 1\n\(name){status=\"success\"} 1\n"))
    #expect(!text.contains("apiserver_authentication_config"))
  }
}
