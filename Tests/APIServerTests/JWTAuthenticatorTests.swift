import APIMachinery
import HTTP
import Logging
import NIOCore
import PKI
import Synchronization
import Testing

@testable import APIServer

@Suite struct JWTAuthenticatorTests {
  /// An issuer on loopback. Its tokens are those of service accounts: good enough for claims.
  final class FakeIssuer: HTTPHandler {
    let tokens: Mutex<ServiceAccountTokens>
    let url = Mutex("")
    let reads = Mutex([String]())

    init(_ tokens: ServiceAccountTokens) { self.tokens = Mutex(tokens) }

    func handle(_ request: HTTPServerRequest) async -> HTTPResponse {
      reads.withLock { $0.append(request.head.path) }
      let (tokens, url) = (tokens.withLock { $0 }, url.withLock { $0 })
      let body: [UInt8]? =
        switch request.head.path {
        case "/elsewhere", "/.well-known/openid-configuration": tokens.openIDConfiguration(jwksURI: url + "/keys")
        case "/keys": try? tokens.jwks()
        default: nil
        }
      return body.map { HTTPResponse(contentType: "application/json", bytes: $0) } ?? HTTPResponse(status: 404)
    }
  }

  private static func sign(
    _ tokens: ServiceAccountTokens, audiences: [String] = ["us"], lifetime: Int64 = 600
  ) throws -> String {
    try tokens.sign(
      ServiceAccountClaims(
        namespace: "n", serviceAccount: .init(name: "a", uid: "u"), audiences: audiences,
        expirationSeconds: lifetime, now: .now, id: "i"))
  }

  private func with(
    _ body: (FakeIssuer, _ url: String, _ ca: String, _ tokens: (_ issuer: String) throws -> ServiceAccountTokens)
      async throws -> Void
  ) async throws {
    let directory = "/tmp/apus-jwt-test-\(UInt64.random(in: 0 ... .max))"
    defer { removeTree(directory) }
    let pki = ClusterPKI(directory: directory)
    _ = try pki.ensure(.init(nodeName: "node-1"))
    let key = try pki.text(pki.serviceAccountKeyPath)
    let serving = try pki.pair(.apiserver)
    let issuer = FakeIssuer(try ServiceAccountTokens(issuer: "https://none", keyPEM: key))
    let server = HTTPServer(
      configuration: .init(
        address: .tcp(host: "127.0.0.1", port: 0),
        tls: .init(certificateChainPEM: serving.certificatePEM, privateKeyPEM: serving.privateKeyPEM)))
    let url = "https://127.0.0.1:\(try await server.start(issuer))"
    issuer.url.withLock { $0 = url }
    let result = await Result {
      try await body(issuer, url, pki.text(pki.authorityPath)) { try ServiceAccountTokens(issuer: $0, keyPEM: key) }
    }
    await server.shutdown(grace: .seconds(0))
    try result.get()
  }

  private static func configuration(_ url: String, _ ca: String, discovery: String? = nil, more: String = "") -> String
  {
    let lines = ca.split(separator: "\n").map { "      \($0)\n" }.joined()
    return """
      apiVersion: apiserver.config.k8s.io/v1
      kind: AuthenticationConfiguration
      jwt:
      - issuer:
          url: \(url)
          audiences: [us, them]
          audienceMatchPolicy: MatchAny
          certificateAuthority: |
      \(lines)\(discovery.map { "    discoveryURL: \($0)\n" } ?? "")
        claimMappings: {username: {claim: sub, prefix: "jwt:"}}
      \(more)
      """
  }

  @Test func tokensOfAnIssuerAreTaken() async throws {
    try await with { issuer, url, ca, tokens in
      let own = try tokens(url)
      issuer.tokens.withLock { $0 = own }
      let path = "/tmp/apus-jwt-test-\(UInt64.random(in: 0 ... .max)).yaml"
      defer { removeTree(path) }
      try writeText(Self.configuration(url, ca, more: "anonymous: {enabled: true, conditions: [{path: /livez}]}"), path)
      try await ServerFixture.with { configuration in
        configuration.authentication.configurationFile = path
      } _: { fixture in
        let client = try fixture.client()
        let token = try Self.sign(own)
        func name(_ token: String) async throws -> JSONValue? {
          try await fixture.ask(
            client, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", token: token,
            json: #"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#
          ).json["status"]?["userInfo"]?["username"]
        }
        #expect(try await name(token) == "jwt:system:serviceaccount:n:a")
        #expect(try await name(Self.sign(own, audiences: ["them"])) == "jwt:system:serviceaccount:n:a")
        #expect(try await name(Self.sign(own, audiences: ["others"])) == nil)
        #expect(try await name(Self.sign(own, lifetime: -10)) == nil)
        #expect(try await name("alice-token") == "alice")
        // One read of each document is enough for all of that.
        #expect(issuer.reads.withLock { $0 } == ["/.well-known/openid-configuration", "/keys"])
        let review = try await fixture.ask(
          client, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", token: "root-token",
          json: """
            {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview",
             "spec":{"token":"\(try Self.sign(own, audiences: ["others"]))"}}
            """)
        #expect(
          review.json["status"]?["error"]
            == #"oidc: verify token: oidc: expected audience in ["them" "us"] got ["others"]"#)
        #expect(try await fixture.ask(client, "GET", "/livez").status == 200)
        #expect(try await fixture.ask(client, "GET", "/version").status == 401)
        // The file changes while the server runs.
        let follower = try #require(fixture.server.followers.first { $0.what == "authentication configuration" })
        try follower.take(Array(Self.configuration("https://another.example", ca).utf8))
        #expect(try await fixture.ask(client, "GET", "/version").status == 200)
        #expect(try await name(Self.sign(own, lifetime: 601)) == nil)
        #expect(throws: ConfigurationProblem.self) { try follower.take(Array("kind: Nothing".utf8)) }
        await client.shutdown()
      }
    }
  }

  @Test func keysAreFetchedAgainForATokenOfAnUnknownKey() async throws {
    try await with { issuer, url, ca, tokens in
      let first = try tokens("https://issuer.example")
      issuer.tokens.withLock { $0 = first }
      let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
      let keys = JWTIssuer(
        url: "https://issuer.example", discoveryURL: url + "/elsewhere", authorityPEM: ca, pause: .zero, logger: logger)
      let token = try #require(SignedToken(Self.sign(first)))
      #expect(try await keys.hasSigned(token))
      #expect(try await keys.hasSigned(token))
      #expect(issuer.reads.withLock { $0 } == ["/elsewhere", "/keys"])
      let other = ClusterPKI(directory: "/tmp/apus-jwt-test-\(UInt64.random(in: 0 ... .max))")
      defer { removeTree(other.directory) }
      _ = try other.ensure(.init(nodeName: "node-1"))
      let second = try ServiceAccountTokens(
        issuer: "https://issuer.example", keyPEM: other.text(other.serviceAccountKeyPath))
      let unknown = try #require(SignedToken(Self.sign(second)))
      #expect(try await !keys.hasSigned(unknown))
      issuer.tokens.withLock { $0 = second }
      #expect(try await keys.hasSigned(unknown))
      #expect(try await !keys.hasSigned(token))
      await keys.shutdown()
      // Not more often than it may.
      let slow = JWTIssuer(
        url: "https://issuer.example", discoveryURL: url + "/elsewhere", authorityPEM: ca, pause: .seconds(600),
        logger: logger)
      let before = issuer.reads.withLock { $0.count }
      for _ in 0..<3 { #expect(try await !slow.hasSigned(token)) }
      #expect(issuer.reads.withLock { $0.count } == before + 2)
      await slow.shutdown()
      // An issuer that calls itself something else is not this one.
      let wrong = JWTIssuer(url: url, discoveryURL: nil, authorityPEM: ca, logger: logger)
      await #expect(throws: JWTIssuer.Failure.self) { try await wrong.hasSigned(token) }
      await wrong.shutdown()
    }
  }
}
