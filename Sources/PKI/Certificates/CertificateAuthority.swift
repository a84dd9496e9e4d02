public import APIMachinery
internal import Crypto
internal import FoundationEssentials
internal import SwiftASN1
internal import X509

/// A certificate and the key that signs others with it. New keys are ECDSA P-256.
public struct CertificateAuthority: Sendable {
  /// The authority's own certificate.
  public let certificatePEM: String
  /// Its key.
  public let privateKeyPEM: String

  private let certificate: X509.Certificate
  private let key: X509.Certificate.PrivateKey

  /// Certificates begin a little before they were made, for clocks that are behind.
  static let backdate: Int64 = 300

  /// Makes a new, self-signed authority, with a given key or a new one.
  public static func create(
    commonName: String, now: Time = .now, validity: Int64 = 10 * CertificateRequest.year,
    privateKeyPEM: String? = nil
  ) throws -> CertificateAuthority {
    let key =
      try privateKeyPEM.map { text in try CertificateParts.parse("private key") { try .init(pemEncoded: text) } }
      ?? X509.Certificate.PrivateKey(P256.Signing.PrivateKey())
    let subject = try CertificateParts.subject(commonName, [])
    let certificate = try X509.Certificate(
      version: .v3, serialNumber: CertificateParts.serialNumber(), publicKey: key.publicKey,
      notValidBefore: Date(timeIntervalSince1970: Double(now.seconds - backdate)),
      notValidAfter: Date(timeIntervalSince1970: Double(now.seconds + validity)), issuer: subject, subject: subject,
      extensions: CertificateParts.authorityExtensions(key.publicKey), issuerPrivateKey: key)
    return CertificateAuthority(
      certificatePEM: try certificate.serializeAsPEM().text, privateKeyPEM: try key.serializeAsPEM().text,
      certificate: certificate, key: key)
  }

  /// Loads an authority. The key must belong to the certificate.
  public init(certificatePEM: String, privateKeyPEM: String) throws {
    let certificate = try CertificateParts.parse("authority's certificate") {
      try X509.Certificate(pemEncoded: certificatePEM)
    }
    let key = try CertificateParts.parse("authority's key") {
      try X509.Certificate.PrivateKey(pemEncoded: privateKeyPEM)
    }
    guard certificate.publicKey == key.publicKey else {
      throw PKIError.malformed(what: "authority's key", detail: "belongs to another certificate")
    }
    self.init(certificatePEM: certificatePEM, privateKeyPEM: privateKeyPEM, certificate: certificate, key: key)
  }

  private init(
    certificatePEM: String, privateKeyPEM: String, certificate: X509.Certificate, key: X509.Certificate.PrivateKey
  ) {
    self.certificatePEM = certificatePEM
    self.privateKeyPEM = privateKeyPEM
    self.certificate = certificate
    self.key = key
  }

  /// Makes a key and a certificate for it.
  public func issue(_ request: CertificateRequest, now: Time = .now) throws -> IssuedCertificate {
    let key = X509.Certificate.PrivateKey(P256.Signing.PrivateKey())
    let certificate = try sign(
      key.publicKey, subject: CertificateParts.subject(request.commonName, request.organizations),
      names: CertificateParts.alternativeNames(request.dnsNames, request.ipAddresses),
      usages: request.usages.union([.keyEncipherment]), validity: request.validity, now: now)
    return IssuedCertificate(certificatePEM: certificate, privateKeyPEM: try key.serializeAsPEM().text)
  }

  /// Signs somebody else's key: subject and names as the request has them, all else as told here.
  public func sign(
    _ request: SigningRequest, usages: Set<CertificateRequest.Usage>, validity: Int64, now: Time = .now
  ) throws -> String {
    try sign(
      request.publicKey, subject: request.subject, names: request.alternativeNames, usages: usages,
      validity: validity, now: now)
  }

  private func sign(
    _ publicKey: X509.Certificate.PublicKey, subject: DistinguishedName, names: SubjectAlternativeNames?,
    usages: Set<CertificateRequest.Usage>, validity: Int64, now: Time
  ) throws -> String {
    let before = Date(timeIntervalSince1970: Double(now.seconds - Self.backdate))
    // Nothing may outlive its authority.
    let after = min(Date(timeIntervalSince1970: Double(now.seconds + validity)), certificate.notValidAfter)
    let extensions = try CertificateParts.leafExtensions(usages: usages, names: names, authority: certificate)
    return try X509.Certificate(
      version: .v3, serialNumber: CertificateParts.serialNumber(), publicKey: publicKey,
      notValidBefore: before, notValidAfter: after,
      issuer: certificate.subject, subject: subject, extensions: extensions, issuerPrivateKey: key
    ).serializeAsPEM().text
  }
}
