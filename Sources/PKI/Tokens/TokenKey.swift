internal import APIMachinery
internal import Crypto
internal import CryptoExtras
internal import FoundationEssentials
internal import SwiftASN1
internal import X509

/// A key that signs or verifies tokens: RSA (RS256) or ECDSA (ES256, ES384, ES512).
struct TokenKey: Sendable {
  private enum Private: Sendable {
    case p256(P256.Signing.PrivateKey)
    case p384(P384.Signing.PrivateKey)
    case p521(P521.Signing.PrivateKey)
    case rsa(_RSA.Signing.PrivateKey)
  }

  private enum Public: Sendable {
    case p256(P256.Signing.PublicKey)
    case p384(P384.Signing.PublicKey)
    case p521(P521.Signing.PublicKey)
    case rsa(_RSA.Signing.PublicKey)
  }

  /// Upstream's key id: the hash of the public key's DER form.
  let id: String
  /// The JWS name of the algorithm.
  let algorithm: String

  private let privateKey: Private?
  private let publicKey: Public

  /// Reads a private key: PKCS #8, PKCS #1 or SEC 1.
  init(privatePEM: String) throws {
    let key = try CertificateParts.parse("token key") { () throws -> Private in
      // A SEC 1 file may begin with its parameters.
      let documents = try PEMDocument.parseMultiple(pemString: privatePEM)
      guard let document = documents.first(where: { $0.discriminator.hasSuffix("PRIVATE KEY") }) else {
        throw PKIError.malformed(what: "token key", detail: "no private key in the file")
      }
      let pem = document.pemString
      if let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) { return .p256(key) }
      if let key = try? P384.Signing.PrivateKey(pemRepresentation: pem) { return .p384(key) }
      if let key = try? P521.Signing.PrivateKey(pemRepresentation: pem) { return .p521(key) }
      return .rsa(try _RSA.Signing.PrivateKey(pemRepresentation: pem))
    }
    let publicKey: Public =
      switch key {
      case .p256(let key): .p256(key.publicKey)
      case .p384(let key): .p384(key.publicKey)
      case .p521(let key): .p521(key.publicKey)
      case .rsa(let key): .rsa(key.publicKey)
      }
    self.init(publicKey, privateKey: key)
  }

  /// Reads public keys; of private keys and certificates among them, the public part.
  static func publicKeys(pem: String) throws -> [TokenKey] {
    try CertificateParts.parse("token key") { () throws -> [TokenKey] in
      try PEMDocument.parseMultiple(pemString: pem).compactMap { document in
        if document.discriminator.hasSuffix("PRIVATE KEY") { return try TokenKey(privatePEM: document.pemString) }
        let pem: String
        switch document.discriminator {
        case "CERTIFICATE":
          pem = try X509.Certificate(pemEncoded: document.pemString).publicKey.serializeAsPEM().pemString
        case "PUBLIC KEY", "RSA PUBLIC KEY": pem = document.pemString
        default: return nil
        }
        if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) { return TokenKey(.p256(key)) }
        if let key = try? P384.Signing.PublicKey(pemRepresentation: pem) { return TokenKey(.p384(key)) }
        if let key = try? P521.Signing.PublicKey(pemRepresentation: pem) { return TokenKey(.p521(key)) }
        return TokenKey(.rsa(try _RSA.Signing.PublicKey(pemRepresentation: pem)))
      }
    }
  }

  private init(_ publicKey: Public, privateKey: Private? = nil) {
    self.publicKey = publicKey
    self.privateKey = privateKey
    let der: Data
    switch publicKey {
    case .p256(let key): (algorithm, der) = ("ES256", key.derRepresentation)
    case .p384(let key): (algorithm, der) = ("ES384", key.derRepresentation)
    case .p521(let key): (algorithm, der) = ("ES512", key.derRepresentation)
    case .rsa(let key): (algorithm, der) = ("RS256", key.derRepresentation)
    }
    id = Base64URL.string(SHA256.hash(data: der))
  }

  /// The public key in PEM, with a line end.
  var publicPEM: String {
    let pem =
      switch publicKey {
      case .p256(let key): key.pemRepresentation
      case .p384(let key): key.pemRepresentation
      case .p521(let key): key.pemRepresentation
      case .rsa(let key): key.pemRepresentation
      }
    return pem.hasSuffix("\n") ? pem : pem + "\n"
  }

  func sign(_ bytes: [UInt8]) throws -> [UInt8] {
    switch privateKey {
    case .p256(let key): return try Array(key.signature(for: SHA256.hash(data: bytes)).rawRepresentation)
    case .p384(let key): return try Array(key.signature(for: SHA384.hash(data: bytes)).rawRepresentation)
    case .p521(let key): return try Array(key.signature(for: SHA512.hash(data: bytes)).rawRepresentation)
    case .rsa(let key):
      let signature = try key.signature(for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5)
      return Array(signature.rawRepresentation)
    case nil: throw PKIError.malformed(what: "token key", detail: "only the public key is here")
    }
  }

  func verify(_ signature: [UInt8], signs bytes: some DataProtocol) -> Bool {
    switch publicKey {
    case .p256(let key):
      guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
      return key.isValidSignature(signature, for: SHA256.hash(data: bytes))
    case .p384(let key):
      guard let signature = try? P384.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
      return key.isValidSignature(signature, for: SHA384.hash(data: bytes))
    case .p521(let key):
      guard let signature = try? P521.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
      return key.isValidSignature(signature, for: SHA512.hash(data: bytes))
    case .rsa(let key):
      return key.isValidSignature(
        _RSA.Signing.RSASignature(rawRepresentation: signature), for: SHA256.hash(data: bytes),
        padding: .insecurePKCS1v1_5)
    }
  }

  /// Writes the key as an element of a JWKS.
  func write(to writer: inout JSONWriter) throws {
    writer.beginObject()
    writer.key("use")
    writer.string("sig")
    writer.key("kty")
    if case .rsa(let key) = publicKey {
      writer.string("RSA")
      writeNames(to: &writer, curve: nil)
      let numbers = try key.getKeyPrimitives()
      writer.key("n")
      writer.string(Base64URL.string(numbers.modulus.drop { $0 == 0 }))
      writer.key("e")
      writer.string(Base64URL.string(numbers.publicExponent.drop { $0 == 0 }))
    } else {
      writer.string("EC")
      let (curve, point): (String, Data) =
        switch publicKey {
        case .p256(let key): ("P-256", key.rawRepresentation)
        case .p384(let key): ("P-384", key.rawRepresentation)
        case .p521(let key): ("P-521", key.rawRepresentation)
        case .rsa: ("", Data())
        }
      writeNames(to: &writer, curve: curve)
      writer.key("x")
      writer.string(Base64URL.string(point.prefix(point.count / 2)))
      writer.key("y")
      writer.string(Base64URL.string(point.suffix(point.count / 2)))
    }
    writer.endObject()
  }

  private func writeNames(to writer: inout JSONWriter, curve: String?) {
    writer.key("kid")
    writer.string(id)
    if let curve {
      writer.key("crv")
      writer.string(curve)
    }
    writer.key("alg")
    writer.string(algorithm)
  }
}
