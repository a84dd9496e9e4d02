public import APIMachinery
internal import Crypto
internal import CryptoExtras
internal import FoundationEssentials

/// A signed token (JWS compact form) taken apart; nothing about it is verified yet.
public struct SignedToken: Sendable {
  /// The header's `alg`.
  public let algorithm: String
  /// The header's `kid`; empty when there is none.
  public let keyID: String
  /// What the token says.
  public let claims: [String: JSONValue]
  let signature: [UInt8]
  let signed: [UInt8]

  /// Nil for what is no such token.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
      let signature = Base64URL.decode(parts[2]), let headerTree = try? JSONValue(parsing: header),
      let claims = (try? JSONValue(parsing: payload))?.objectValue,
      let algorithm = headerTree["alg"]?.stringValue, headerTree["crit"] == nil
    else { return nil }
    self.algorithm = algorithm
    keyID = headerTree["kid"]?.stringValue ?? ""
    self.claims = claims
    self.signature = signature
    signed = Array(bytes[..<parts[1].endIndex])
  }
}

/// An issuer's public keys (RFC 7517).
public struct JSONWebKeySet: Sendable {
  /// The algorithms of signatures that can be verified.
  public static let algorithms = [
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
  ]

  private enum Material: Sendable {
    case p256(P256.Signing.PublicKey)
    case p384(P384.Signing.PublicKey)
    case p521(P521.Signing.PublicKey)
    case rsa(_RSA.Signing.PublicKey)
  }
  private struct Key: Sendable {
    var id: String
    /// The one algorithm the key is for; nil for any of its kind.
    var algorithm: String?
    var material: Material
  }
  private var keys: [Key] = []

  /// Reads a set. Keys of kinds that are not known here, and keys for encryption, are passed over.
  public init(_ tree: JSONValue) throws {
    guard let entries = tree["keys"]?.arrayValue else {
      throw PKIError.malformed(what: "key set", detail: "no list of keys")
    }
    keys = entries.compactMap { entry in
      if let use = entry["use"]?.stringValue, use != "sig" { return nil }
      guard let material = Self.material(entry) else { return nil }
      return Key(id: entry["kid"]?.stringValue ?? "", algorithm: entry["alg"]?.stringValue, material: material)
    }
  }

  /// Whether there is no key that could verify anything.
  public var isEmpty: Bool { keys.isEmpty }

  /// Whether one of the keys made the token's signature.
  public func verify(_ token: SignedToken) -> Bool {
    keys.contains { key in
      (token.keyID.isEmpty || key.id.isEmpty || key.id == token.keyID)
        && (key.algorithm == nil || key.algorithm == token.algorithm)
        && Self.verify(token.signature, token.signed, token.algorithm, key.material)
    }
  }

  private static func material(_ entry: JSONValue) -> Material? {
    func number(_ name: String) -> [UInt8]? {
      // Some write the padding that the standard leaves out.
      entry[name]?.stringValue.flatMap { text in Base64URL.decode(text.utf8.filter { $0 != UInt8(ascii: "=") }) }
    }
    switch entry["kty"]?.stringValue {
    case "RSA":
      guard let n = number("n"), let e = number("e"), let key = try? _RSA.Signing.PublicKey(n: n, e: e) else {
        return nil
      }
      return .rsa(key)
    case "EC":
      guard let x = number("x"), let y = number("y") else { return nil }
      func point(_ size: Int) -> [UInt8]? {
        guard x.count <= size, y.count <= size else { return nil }
        return [UInt8](repeating: 0, count: size - x.count) + x + [UInt8](repeating: 0, count: size - y.count) + y
      }
      switch entry["crv"]?.stringValue {
      case "P-256": return point(32).flatMap { try? P256.Signing.PublicKey(rawRepresentation: $0) }.map { .p256($0) }
      case "P-384": return point(48).flatMap { try? P384.Signing.PublicKey(rawRepresentation: $0) }.map { .p384($0) }
      case "P-521": return point(66).flatMap { try? P521.Signing.PublicKey(rawRepresentation: $0) }.map { .p521($0) }
      default: return nil
      }
    default: return nil
    }
  }

  /// The key's kind decides which algorithms there are; the token's header only chooses among them.
  private static func verify(
    _ signature: [UInt8], _ bytes: [UInt8], _ algorithm: String, _ material: Material
  ) -> Bool {
    switch (material, algorithm) {
    case (.p256(let key), "ES256"):
      guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
      return key.isValidSignature(signature, for: SHA256.hash(data: bytes))
    case (.p384(let key), "ES384"):
      guard let signature = try? P384.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
      return key.isValidSignature(signature, for: SHA384.hash(data: bytes))
    case (.p521(let key), "ES512"):
      guard let signature = try? P521.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
      return key.isValidSignature(signature, for: SHA512.hash(data: bytes))
    case (.rsa(let key), _):
      let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
      let padding: _RSA.Signing.Padding = algorithm.hasPrefix("PS") ? .PSS : .insecurePKCS1v1_5
      switch algorithm {
      case "RS256", "PS256": return key.isValidSignature(signature, for: SHA256.hash(data: bytes), padding: padding)
      case "RS384", "PS384": return key.isValidSignature(signature, for: SHA384.hash(data: bytes), padding: padding)
      case "RS512", "PS512": return key.isValidSignature(signature, for: SHA512.hash(data: bytes), padding: padding)
      default: return false
      }
    default: return false
    }
  }
}
