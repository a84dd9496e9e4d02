internal import Crypto
internal import FoundationEssentials
internal import SwiftASN1
internal import X509

/// Subject and extensions as upstream's tools write them.
enum CertificateParts {
  static func subject(_ commonName: String, _ organizations: [String]) throws -> DistinguishedName {
    var names = try organizations.map { try OrganizationName($0).makeRDN() }
    if !commonName.isEmpty { names.append(try CommonName(commonName).makeRDN()) }
    return DistinguishedName(names)
  }

  /// Sixteen random bytes, positive: the library's twenty can take one octet more than RFC 5280 allows.
  static func serialNumber() -> X509.Certificate.SerialNumber {
    var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
    bytes[0] = bytes[0] & 0x3F | 0x40
    return X509.Certificate.SerialNumber(bytes: bytes)
  }

  static func alternativeNames(_ dnsNames: [String], _ ipAddresses: [String]) throws -> SubjectAlternativeNames? {
    var names: [GeneralName] = []
    for name in dnsNames where !names.contains(.dnsName(name)) { names.append(.dnsName(name)) }
    for address in ipAddresses {
      let name = GeneralName.ipAddress(ASN1OctetString(contentBytes: try addressOctets(address)[...]))
      if !names.contains(name) { names.append(name) }
    }
    return names.isEmpty ? nil : SubjectAlternativeNames(names)
  }

  static func authorityExtensions(_ key: X509.Certificate.PublicKey) throws -> X509.Certificate.Extensions {
    try X509.Certificate.Extensions([
      .init(KeyUsage(digitalSignature: true, keyEncipherment: true, keyCertSign: true), critical: true),
      .init(BasicConstraints.isCertificateAuthority(maxPathLength: nil), critical: true),
      .init(SubjectKeyIdentifier(hash: key), critical: false),
      .init(SubjectAlternativeNames([.dnsName("kubernetes")]), critical: false),
    ])
  }

  static func leafExtensions(
    usages: Set<CertificateRequest.Usage>, names: SubjectAlternativeNames?, authority: X509.Certificate
  ) throws -> X509.Certificate.Extensions {
    var extensions: [X509.Certificate.Extension] = []
    extensions.append(
      try .init(
        KeyUsage(digitalSignature: true, keyEncipherment: usages.contains(.keyEncipherment)), critical: true))
    var extended: [ExtendedKeyUsage.Usage] = []
    if usages.contains(.serverAuth) { extended.append(.serverAuth) }
    if usages.contains(.clientAuth) { extended.append(.clientAuth) }
    if !extended.isEmpty { extensions.append(try .init(ExtendedKeyUsage(extended), critical: false)) }
    extensions.append(try .init(BasicConstraints.notCertificateAuthority, critical: true))
    if let identifier = try authority.extensions.subjectKeyIdentifier?.keyIdentifier {
      extensions.append(try .init(AuthorityKeyIdentifier(keyIdentifier: identifier), critical: false))
    }
    if let names { extensions.append(try .init(names, critical: false)) }
    return try X509.Certificate.Extensions(extensions)
  }

  /// Runs a parser and names what it could not parse.
  static func parse<T>(_ what: String, _ body: () throws -> T) throws(PKIError) -> T {
    do { return try body() } catch let error as PKIError { throw error } catch {
      throw .malformed(what: what, detail: "\(error)")
    }
  }
}

extension PEMDocument {
  /// PEM text as files hold it, with a line end.
  var text: String {
    let text = pemString
    return text.hasSuffix("\n") ? text : text + "\n"
  }
}
