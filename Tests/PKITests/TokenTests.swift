import APIMachinery
import Crypto
import CryptoExtras
import Testing

@testable import PKI

@Suite struct TokenTests {
  private static let issuer = "https://kubernetes.default.svc.cluster.local"
  private static let ecKey = P256.Signing.PrivateKey().pemRepresentation
  private static let rsaKey: String = {
    guard let key = try? _RSA.Signing.PrivateKey(keySize: .bits2048) else { return "" }
    return key.pemRepresentation
  }()

  private func claims() -> ServiceAccountClaims {
    ServiceAccountClaims(
      namespace: "ns", serviceAccount: .init(name: "robot", uid: "u-1"), audiences: [Self.issuer, "vault"],
      expirationSeconds: 3600, now: start, id: "jti-1", pod: .init(name: "pod", uid: "u-2"),
      node: .init(name: "node", uid: "u-3"), warnAfterSeconds: 607)
  }

  private func payload(_ token: String) throws -> String {
    let part = try #require(token.split(separator: ".").dropFirst().first)
    return String(decoding: try #require(Base64URL.decode(part.utf8)), as: UTF8.self)
  }

  @Test(arguments: [
    ecKey, rsaKey, P384.Signing.PrivateKey().pemRepresentation, P521.Signing.PrivateKey().pemRepresentation,
  ])
  func tokensComeBackAsTheyWereSigned(_ key: String) throws {
    let tokens = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: key)
    let token = try tokens.sign(claims())
    var expected = claims()
    expected.issuer = Self.issuer
    for _ in 0..<2 {  // the second time from the cache
      let verified = try tokens.verify(token, audiences: ["vault", "other"], now: start.adding(seconds: 10))
      #expect(verified.claims == expected)
      #expect(verified.audiences == ["vault"])
    }
    let publicOnly = try ServiceAccountTokens(
      issuer: Self.issuer, keyPEM: nil, verificationKeysPEM: [try TokenKey(privatePEM: key).publicPEM])
    #expect(try publicOnly.verify(token, now: start).claims == expected)
  }

  @Test func thePayloadIsUpstreams() throws {
    let tokens = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: Self.ecKey)
    #expect(
      try payload(tokens.sign(claims())) == """
        {"aud":["\(Self.issuer)","vault"],"exp":1800003600,"iat":1800000000,"iss":"\(Self.issuer)","jti":"jti-1",\
        "kubernetes.io":{"namespace":"ns","node":{"name":"node","uid":"u-3"},"pod":{"name":"pod","uid":"u-2"},\
        "serviceaccount":{"name":"robot","uid":"u-1"},"warnafter":1800000607},"nbf":1800000000,\
        "sub":"system:serviceaccount:ns:robot"}
        """)
  }

  @Test func tokensOfSecretsKeepTheirOldForm() throws {
    let tokens = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: Self.ecKey)
    var old = ServiceAccountClaims(namespace: "ns", serviceAccount: .init(name: "robot", uid: "u-1"))
    old.legacySecretName = "robot-token"
    let token = try tokens.sign(old)
    #expect(
      try payload(token) == """
        {"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"ns",\
        "kubernetes.io/serviceaccount/secret.name":"robot-token",\
        "kubernetes.io/serviceaccount/service-account.name":"robot",\
        "kubernetes.io/serviceaccount/service-account.uid":"u-1","sub":"system:serviceaccount:ns:robot"}
        """)
    let verified = try tokens.verify(token, audiences: ["any"], now: start.adding(seconds: 1_000_000_000))
    #expect(verified.claims.legacySecretName == "robot-token")
    #expect(verified.audiences == ["any"])
  }

  @Test func timesAndAudiencesCount() throws {
    let tokens = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: Self.ecKey)
    let token = try tokens.sign(claims())
    _ = try tokens.verify(token, now: start.adding(seconds: 3660))
    #expect(throws: TokenError.expired) { try tokens.verify(token, now: start.adding(seconds: 3661)) }
    _ = try tokens.verify(token, now: start.adding(seconds: -60))
    #expect(throws: TokenError.notYetValid) { try tokens.verify(token, now: start.adding(seconds: -61)) }
    #expect(throws: TokenError.audience(token: [Self.issuer, "vault"], wanted: ["x"])) {
      try tokens.verify(token, audiences: ["x"], now: start)
    }
    #expect(
      TokenError.audience(token: ["a", "b"], wanted: ["x"]).description
        == #"token audiences ["a" "b"] is invalid for the target audiences ["x"]"#)
  }

  @Test func forgeriesAreRefused() throws {
    let tokens = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: Self.ecKey)
    let token = try tokens.sign(claims())
    let parts = token.split(separator: ".").map(String.init)

    let other = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: P256.Signing.PrivateKey().pemRepresentation)
    #expect(throws: TokenError.invalidSignature) { try other.verify(token, now: start) }
    let elsewhere = try ServiceAccountTokens(issuer: "https://elsewhere", keyPEM: Self.ecKey)
    #expect(throws: TokenError.foreign) { try elsewhere.verify(token, now: start) }

    let json = try JSONValue(parsing: Array(payload(token).utf8))
    var richer = try #require(json.objectValue)
    richer["sub"] = "system:serviceaccount:kube-system:admin"
    let forged = Base64URL.string(JSONValue.object(richer).encoded())
    #expect(throws: TokenError.invalidSignature) {
      try tokens.verify("\(parts[0]).\(forged).\(parts[2])", now: start)
    }
    for header in [#"{"alg":"none"}"#, #"{"alg":"HS256"}"#, #"{"alg":"RS256"}"#, #"{}"#] {
      let head = Base64URL.string(header.utf8)
      for signature in ["", parts[2]] {
        #expect(throws: TokenError.invalidSignature) {
          try tokens.verify("\(head).\(parts[1]).\(signature)", now: start)
        }
      }
    }
    for nonsense in ["", "a", "a.b.c", "..", parts[0] + "." + parts[1], token + ".x", "\(parts[0]).\(parts[1])=.x"] {
      #expect(throws: TokenError.foreign) { try tokens.verify(nonsense, now: start) }
    }
  }

  @Test func oldKeysStillVerify() throws {
    let before = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: Self.rsaKey)
    let token = try before.sign(claims())
    let after = try ServiceAccountTokens(
      issuer: "https://new", keyPEM: Self.ecKey, verificationKeysPEM: [Self.rsaKey, Self.ecKey],
      acceptedIssuers: [Self.issuer])
    #expect(try after.verify(token, now: start).claims.serviceAccount.name == "robot")
    let keys = try JSONValue(parsing: after.jwks())["keys"]?.arrayValue ?? []
    #expect(keys.map { $0["alg"]?.stringValue } == ["ES256", "RS256"])
  }

  /// Keys and signatures of RFC 7515, appendices A.2 and A.3; the key ids were computed with another library.
  @Test func standardVectorsVerify() throws {
    let body = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    let keys = try TokenKey.publicKeys(pem: Self.ecPublic + Self.rsaPublic)
    try #require(keys.count == 2)
    #expect(
      keys.map(\.id) == [
        "K9G7DESol8MKeqCZHN442AYv5EHeUNoPRoJTRPYC6Cc", "b9E8JDWjYefFiM0X9V9a098Bd6ZsFyemogCEX016uIw",
      ])
    let ec = try #require(
      Base64URL.decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q".utf8))
    #expect(keys[0].verify(ec, signs: Array("eyJhbGciOiJFUzI1NiJ9.\(body)".utf8)))
    #expect(!keys[0].verify(ec, signs: Array("eyJhbGciOiJFUzI1NiJ9.\(body)x".utf8)))
    let rsa = try #require(Base64URL.decode(Self.rsaSignature.utf8))
    #expect(keys[1].verify(rsa, signs: Array("eyJhbGciOiJSUzI1NiJ9.\(body)".utf8)))
    #expect(!keys[1].verify(rsa, signs: Array("eyJhbGciOiJSUzI1NiJ9.\(body)x".utf8)))

    let tokens = try ServiceAccountTokens(
      issuer: Self.issuer, keyPEM: nil, verificationKeysPEM: [Self.ecPublic + Self.rsaPublic])
    let json = String(decoding: try tokens.jwks(), as: UTF8.self)
    #expect(
      json.hasPrefix(
        """
        {"keys":[{"use":"sig","kty":"EC","kid":"K9G7DESol8MKeqCZHN442AYv5EHeUNoPRoJTRPYC6Cc","crv":"P-256",\
        "alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",\
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},\
        {"use":"sig","kty":"RSA","kid":"b9E8JDWjYefFiM0X9V9a098Bd6ZsFyemogCEX016uIw","alg":"RS256","n":"ofgWCuLjybRl
        """))
    #expect(json.hasSuffix(#"b54h4FRWyuXpoQ","e":"AQAB"}]}"#))
  }

  @Test func theDiscoveryDocumentNamesIssuerAndKeys() throws {
    let tokens = try ServiceAccountTokens(issuer: Self.issuer, keyPEM: Self.ecKey)
    let document = tokens.openIDConfiguration(jwksURI: "https://h:6443/openid/v1/jwks")
    #expect(
      String(decoding: document, as: UTF8.self) == """
        {"issuer":"\(Self.issuer)","jwks_uri":"https://h:6443/openid/v1/jwks",\
        "response_types_supported":["id_token"],"subject_types_supported":["public"],\
        "id_token_signing_alg_values_supported":["ES256"]}
        """)
  }

  @Test func base64HasOneFormPerValue() {
    for count in 0..<20 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 67 &+ 250) }
      #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
    }
    #expect(Base64URL.string([0xFB, 0xFF]) == "-_8")
    for bad in ["a", "-_9", "-_8=", "+/8", "a b"] { #expect(Base64URL.decode(bad.utf8) == nil, "\(bad)") }
  }

  private static let ecPublic = """
    -----BEGIN PUBLIC KEY-----
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
    6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
    -----END PUBLIC KEY-----

    """
  private static let rsaPublic = """
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
    NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
    P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
    9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
    EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
    FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
    oQIDAQAB
    -----END PUBLIC KEY-----

    """
  private static let rsaSignature = """
    cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
    Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
    O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
    cN_IoypGlUPQGe77Rw
    """
}
