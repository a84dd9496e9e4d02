import APIMachinery
import Crypto
import CryptoExtras
import Testing

@testable import PKI

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

@Suite struct JSONWebKeySetTests {
  /// A token of an algorithm, and the key for it.
  private static func made(_ algorithm: String, kid: String = "k") throws -> (token: String, key: JSONValue) {
    let header = Base64URL.string(Array("{\"alg\":\"\(algorithm)\",\"kid\":\"\(kid)\"}".utf8))
    let signed = header + "." + Base64URL.string(Array("{\"iss\":\"https://issuer\",\"n\":1}".utf8))
    let bytes = Array(signed.utf8)
    func ec(_ curve: String, _ point: Data) -> JSONValue {
      [
        "kty": "EC", "crv": .string(curve), "kid": .string(kid),
        "x": .string(Base64URL.string(point.prefix(point.count / 2))),
        "y": .string(Base64URL.string(point.suffix(point.count / 2))),
      ]
    }
    let signature: [UInt8]
    let key: JSONValue
    switch algorithm {
    case "ES256":
      let pair = P256.Signing.PrivateKey()
      signature = try Array(pair.signature(for: SHA256.hash(data: bytes)).rawRepresentation)
      key = ec("P-256", pair.publicKey.rawRepresentation)
    case "ES384":
      let pair = P384.Signing.PrivateKey()
      signature = try Array(pair.signature(for: SHA384.hash(data: bytes)).rawRepresentation)
      key = ec("P-384", pair.publicKey.rawRepresentation)
    case "ES512":
      let pair = P521.Signing.PrivateKey()
      signature = try Array(pair.signature(for: SHA512.hash(data: bytes)).rawRepresentation)
      key = ec("P-521", pair.publicKey.rawRepresentation)
    default:
      let pair = rsa
      let padding: _RSA.Signing.Padding = algorithm.hasPrefix("PS") ? .PSS : .insecurePKCS1v1_5
      let made =
        switch algorithm.suffix(3) {
        case "256": try pair.signature(for: SHA256.hash(data: bytes), padding: padding)
        case "384": try pair.signature(for: SHA384.hash(data: bytes), padding: padding)
        default: try pair.signature(for: SHA512.hash(data: bytes), padding: padding)
        }
      signature = Array(made.rawRepresentation)
      let numbers = try pair.publicKey.getKeyPrimitives()
      key = [
        "kty": "RSA", "kid": .string(kid), "use": "sig",
        "n": .string(Base64URL.string(numbers.modulus.drop { $0 == 0 })),
        "e": .string(Base64URL.string(numbers.publicExponent.drop { $0 == 0 })),
      ]
    }
    return (signed + "." + Base64URL.string(signature), key)
  }

  // Without a key there is nothing to test.
  private static let rsa = try! _RSA.Signing.PrivateKey(keySize: .bits2048)

  private static func set(_ keys: JSONValue...) throws -> JSONWebKeySet { try JSONWebKeySet(["keys": .array(keys)]) }

  @Test(arguments: JSONWebKeySet.algorithms)
  func verifiesItsAlgorithm(_ algorithm: String) throws {
    let (text, key) = try Self.made(algorithm)
    let token = try #require(SignedToken(text))
    #expect(token.algorithm == algorithm && token.keyID == "k" && token.claims["n"] == 1)
    #expect(try Self.set(key).verify(token))
    // What another key has signed, or what was changed since, is not verified.
    let other = try Self.made(algorithm.hasPrefix("ES") ? algorithm : "ES256").key
    #expect(try !Self.set(other).verify(token))
    var parts = text.split(separator: ".").map(String.init)
    parts[1] = Base64URL.string(Array("{\"iss\":\"https://issuer\",\"n\":2}".utf8))
    let changed = try #require(SignedToken(parts.joined(separator: ".")))
    #expect(try !Self.set(key).verify(changed))
  }

  @Test func theKeyDecides() throws {
    let (text, key) = try Self.made("RS256")
    let token = try #require(SignedToken(text))
    var narrow = key
    narrow["alg"] = "RS512"
    #expect(try !Self.set(narrow).verify(token))
    var named = key
    named["kid"] = "another"
    #expect(try !Self.set(named).verify(token))
    var encrypting = key
    encrypting["use"] = "enc"
    #expect(try Self.set(encrypting).isEmpty)
    #expect(try Self.set(["kty": "oct", "k": "AAAA"], ["kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"]).isEmpty)
    #expect(throws: PKIError.self) { try JSONWebKeySet([:]) }
    let none = Base64URL.string(Array("{\"alg\":\"none\"}".utf8)) + "." + text.split(separator: ".")[1] + "."
    #expect(try !Self.set(key).verify(#require(SignedToken(none))))
  }

  @Test(arguments: ["", "a.b", "a.b.c", "e30.e30.", "{}.{}.{}"])
  func otherTextsAreNoTokens(_ text: String) { #expect(SignedToken(text) == nil) }
}
