import APIMachinery
import HTTP
import Testing

@testable import APIServer

@Suite struct ClaimMappingsTests {
  private static func configuration(_ jwt: String, version: String = "v1") throws -> AuthenticationConfiguration {
    try AuthenticationConfiguration(
      Array("apiVersion: apiserver.config.k8s.io/\(version)\nkind: AuthenticationConfiguration\n\(jwt)".utf8),
      ownIssuers: ["https://own"])
  }

  private static func problem(_ jwt: String) -> String? {
    do {
      _ = try configuration(jwt)
      return nil
    } catch { return "\(error)" }
  }

  private static func mappings(_ text: String) throws -> ClaimMappings {
    let indented = text.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
    return try #require(
      configuration("jwt:\n- issuer: {url: https://issuer, audiences: [us]}\n\(indented)").issuers.first
    ).mappings
  }

  private static func refusal(_ mappings: ClaimMappings, _ claims: [String: JSONValue]) -> String? {
    do {
      _ = try mappings.user(claims)
      return nil
    } catch { return "\(error)" }
  }

  @Test func claimsMakeUsers() throws {
    let mappings = try Self.mappings(
      """
      claimMappings:
        username: {claim: sub, prefix: "oidc:"}
        groups: {claim: roles, prefix: "g:"}
        uid: {claim: id}
      claimValidationRules: [{claim: hd, requiredValue: example.com}]
      """)
    let claims: [String: JSONValue] = ["sub": "a", "roles": ["x", "y"], "id": "7", "hd": "example.com"]
    #expect(try mappings.user(claims) == RequestUser(name: "oidc:a", uid: "7", groups: ["g:x", "g:y"]))
    var one = claims
    one["roles"] = "z"
    #expect(try mappings.user(one).groups == ["g:z"])
    one["roles"] = [1]
    #expect(Self.refusal(mappings, one)?.hasPrefix("oidc: parse groups claim \"roles\": ") == true)
    one["roles"] = nil
    #expect(try mappings.user(one).groups == [])
    one["hd"] = "example.org"
    #expect(
      Self.refusal(mappings, one)
        == "oidc: required claim hd value does not match. Got = example.org, want = example.com")
    one["hd"] = nil
    #expect(Self.refusal(mappings, one) == "oidc: required claim hd not present in ID token")
    #expect(Self.refusal(mappings, [:]) == "oidc: parse username claims \"sub\": claim not present")
  }

  @Test func expressionsMakeUsers() throws {
    let mappings = try Self.mappings(
      """
      claimMappings:
        username: {expression: "claims.sub + '@' + claims.realm"}
        groups: {expression: "claims.roles.split(',')"}
        uid: {expression: "string(claims.id)"}
        extra:
        - {key: example.com/realm, valueExpression: claims.realm}
        - {key: example.com/none, valueExpression: "''"}
      claimValidationRules:
      - {expression: "claims.exp - claims.iat <= 3600", message: lives too long}
      userValidationRules:
      - {expression: "!user.username.startsWith('system:')", message: reserved}
      - {expression: "user.groups.all(g, g != 'root')", message: no roots}
      """)
    var claims: [String: JSONValue] = [
      "sub": "a", "realm": "r", "roles": "x,,y", "id": 7, "exp": 3700, "iat": 100,
    ]
    #expect(
      try mappings.user(claims)
        == RequestUser(name: "a@r", uid: "7", groups: ["x", "y"], extra: ["example.com/realm": ["r"]]))
    claims["roles"] = "root"
    #expect(
      Self.refusal(mappings, claims)
        == "oidc: error evaluating user info validation rule: validation expression 'user.groups.all(g, g != 'root')' failed: no roots"
    )
    claims["exp"] = 3701
    #expect(
      Self.refusal(mappings, claims)
        == "oidc: error evaluating claim validation expression: validation expression 'claims.exp - claims.iat <= 3600' failed: lives too long"
    )
    claims["realm"] = nil
    #expect(
      Self.refusal(mappings, claims)
        == "oidc: error evaluating username claim expression: expression 'claims.sub + '@' + claims.realm' resulted in error: no such key: realm"
    )
  }

  @Test func addressesMustBeVerified() throws {
    let plain = try Self.mappings("claimMappings: {username: {claim: email, prefix: ''}}")
    #expect(try plain.user(["email": "a@b"]).name == "a@b")
    #expect(try plain.user(["email": "a@b", "email_verified": true]).name == "a@b")
    #expect(Self.refusal(plain, ["email": "a@b", "email_verified": false]) == "oidc: email not verified")
    let start = "jwt: [{issuer: {url: https://issuer, audiences: [us]}, "
    #expect(
      Self.problem(start + "claimMappings: {username: {expression: claims.email}}}]")?.contains(
        "claims.email_verified must be used in") == true)
    #expect(Self.problem(start + "claimMappings: {username: {expression: \"'claims.email'\"}}}]") == nil)
    #expect(
      Self.problem(
        start
          + "claimMappings: {username: {expression: claims.?email.orValue('')}}, claimValidationRules: [{expression: 'claims.?email_verified.orValue(true) == true'}]}]"
      ) == nil)
  }

  @Test func saysWhatIsWrong() {
    let named = "claimMappings: {username: {claim: sub, prefix: ''}}"
    func issuer(_ text: String, _ rest: String = named) -> String? {
      Self.problem("jwt: [{issuer: {\(text)}, \(rest)}]")
    }
    let good = "url: https://issuer, audiences: [us]"
    #expect(issuer(good) == nil)
    #expect(Self.problem("jwt: []") == nil)
    #expect(
      issuer("url: http://issuer, audiences: [us]")
        == #"jwt[0].issuer.url: Invalid value: "http://issuer": URL scheme must be https"#)
    #expect(
      issuer("url: https://own, audiences: [us]")
        == #"jwt[0].issuer.url: Invalid value: "https://own": URL must not overlap with disallowed issuers: [https://own]"#
    )
    #expect(
      issuer("url: 'https://a:b@issuer?x#y', audiences: [us]")
        == "["
        + ["a username or password", "a query", "a fragment"].map {
          #"jwt[0].issuer.url: Invalid value: "https://a:b@issuer?x#y": URL must not contain \#($0)"#
        }.joined(separator: ", ") + "]")
    #expect(
      issuer("url: https://issuer, discoveryURL: https://issuer/, audiences: [us]")
        == #"jwt[0].issuer.discoveryURL: Invalid value: "https://issuer/": discoveryURL must be different from URL"#)
    #expect(
      issuer("url: https://issuer")
        == "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required")
    #expect(
      issuer("url: https://issuer, audiences: [a, b]")
        == #"jwt[0].issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple audiences"#
    )
    #expect(issuer("url: https://issuer, audiences: [a, b], audienceMatchPolicy: MatchAny") == nil)
    #expect(
      issuer(good + ", certificateAuthority: none")?.hasPrefix(
        #"jwt[0].issuer.certificateAuthority: Invalid value: "<omitted>": "#) == true)
    #expect(
      issuer(good, "claimMappings: {username: {claim: sub}}")
        == "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing"
    )
    #expect(
      issuer(good, "claimMappings: {}")
        == "jwt[0].claimMappings.username: Required value: claim or expression is required")
    #expect(
      issuer(good, named + ", claimValidationRules: [{expression: claims.x}]")
        == #"jwt[0].claimValidationRules[0].expression: Invalid value: "claims.x": must evaluate to bool"#)
    #expect(
      issuer(good, named + ", claimValidationRules: [{claim: a, message: m}, {}]")
        == #"[jwt[0].claimValidationRules[0].message: Invalid value: "m": may not be specified when claim is set, jwt[0].claimValidationRules[1]: Required value: claim or expression is required]"#
    )
    #expect(
      issuer(good, named + ", userValidationRules: [{expression: user.nam == ''}]")?.hasPrefix(
        #"jwt[0].userValidationRules[0].expression: Invalid value: "user.nam == ''": compilation failed: "#) == true)
    func extra(_ key: String) -> String? {
      issuer(
        good,
        "claimMappings: {username: {claim: sub, prefix: ''}, extra: [{key: \(key), valueExpression: claims.a}]}")
    }
    #expect(extra("example.com/a") == nil)
    #expect(
      extra("a")
        == #"jwt[0].claimMappings.extra[0].key: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")"#
    )
    #expect(
      extra("x.k8s.io/a")
        == #"jwt[0].claimMappings.extra[0].key: Invalid value: "x.k8s.io/a": k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"#
    )
    #expect(
      Self.problem("jwt: [{issuer: {\(good)}, \(named)}, {issuer: {\(good)}, \(named)}]")
        == #"jwt[1].issuer.url: Duplicate value: "https://issuer""#)
    #expect(Self.problem("jwts: []") == #"strict decoding error: unknown field "jwts""#)
    #expect(
      Self.problem("anonymous: {enabled: false, conditions: [{path: /livez}]}")
        == #"anonymous.conditions: Invalid value: [{"Path":"/livez"}]: enabled should be set to true when conditions are defined"#
    )
  }

  @Test func flagsAreOneIssuer() throws {
    var settings = OIDCSettings()
    settings.issuerURL = "https://issuer"
    settings.clientID = "us"
    settings.groupsClaim = "roles"
    settings.requiredClaims = ["a": "b"]
    let issuer = try #require(AuthenticationConfiguration(settings, ownIssuers: []).issuers.first)
    #expect(issuer.audiences == ["us"] && issuer.algorithms == ["RS256"])
    #expect(
      try issuer.mappings.user(["sub": "x", "a": "b", "roles": "r"])
        == RequestUser(name: "https://issuer#x", groups: ["r"]))
    settings.usernamePrefix = "-"
    let bare = try #require(AuthenticationConfiguration(settings, ownIssuers: []).issuers.first)
    #expect(try bare.mappings.user(["sub": "x", "a": "b"]).name == "x")
    settings.usernamePrefix = ""
    settings.usernameClaim = "email"
    let email = try #require(AuthenticationConfiguration(settings, ownIssuers: []).issuers.first)
    #expect(try email.mappings.user(["email": "x@y", "a": "b"]).name == "x@y")
    settings.signingAlgorithms = ["HS256"]
    #expect(throws: ConfigurationProblem.self) { try AuthenticationConfiguration(settings, ownIssuers: []) }
  }
}
