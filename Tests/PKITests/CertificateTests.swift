import APIMachinery
import PKI
import Testing

let start = Time(seconds: 1_800_000_000)

@Suite struct CertificateTests {
  @Test func issuedCertificatesSayWhatWasAsked() throws {
    let authority = try CertificateAuthority.create(commonName: "test", now: start)
    let issued = try authority.issue(
      CertificateRequest(
        commonName: "system:node:a", organizations: ["system:nodes", "extra"], dnsNames: ["a", "a.example", "a"],
        ipAddresses: ["10.0.0.1", "fd00::1"], usages: [.serverAuth, .clientAuth], validity: 3600), now: start)
    let info = try CertificateInfo(pem: issued.certificatePEM)
    #expect(info.commonName == "system:node:a")
    #expect(info.organizations == ["system:nodes", "extra"])
    #expect(info.dnsNames == ["a", "a.example"])
    #expect(info.ipAddresses == ["10.0.0.1", "fd00::1"])
    #expect(info.notBefore == start.adding(seconds: -300))
    #expect(info.notAfter == start.adding(seconds: 3600))
    #expect(!info.isAuthority)
    #expect(info.matches(privateKeyPEM: issued.privateKeyPEM))
    #expect(!info.matches(privateKeyPEM: authority.privateKeyPEM))

    let own = try CertificateInfo(pem: authority.certificatePEM)
    #expect(own.isAuthority)
    #expect(own.isSigned(by: own))
    #expect(info.isSigned(by: own))
    let other = try CertificateInfo(pem: CertificateAuthority.create(commonName: "test", now: start).certificatePEM)
    #expect(!info.isSigned(by: other))
    #expect(own.pin != other.pin)
    #expect(own.pin.hasPrefix("sha256:") && own.pin.utf8.count == 71)
  }

  @Test func aLoadedAuthoritySignsAsTheMadeOne() throws {
    let made = try CertificateAuthority.create(commonName: "test", now: start)
    let loaded = try CertificateAuthority(
      certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM)
    let issued = try loaded.issue(CertificateRequest(commonName: "x", usages: [.clientAuth]), now: start)
    #expect(
      try CertificateInfo(pem: issued.certificatePEM).isSigned(by: CertificateInfo(pem: made.certificatePEM)))
    let other = try CertificateAuthority.create(commonName: "test", now: start)
    #expect(throws: PKIError.malformed(what: "authority's key", detail: "belongs to another certificate")) {
      try CertificateAuthority(certificatePEM: made.certificatePEM, privateKeyPEM: other.privateKeyPEM)
    }
  }

  @Test func nothingOutlivesItsAuthority() throws {
    let authority = try CertificateAuthority.create(commonName: "test", now: start, validity: 1000)
    let issued = try authority.issue(CertificateRequest(commonName: "x", usages: [.clientAuth]), now: start)
    #expect(try CertificateInfo(pem: issued.certificatePEM).notAfter == start.adding(seconds: 1000))
  }

  @Test func signingRequestsKeepSubjectAndNames() throws {
    let made = try SigningRequest.create(
      commonName: "system:node:b", organizations: ["system:nodes"], dnsNames: ["b"], ipAddresses: ["10.0.0.2"])
    let request = try SigningRequest(pem: made.requestPEM)
    #expect(request.commonName == "system:node:b")
    #expect(request.organizations == ["system:nodes"])
    #expect(request.dnsNames == ["b"])
    #expect(request.ipAddresses == ["10.0.0.2"])
    let authority = try CertificateAuthority.create(commonName: "test", now: start)
    let certificate = try authority.sign(request, usages: [.serverAuth], validity: 60, now: start)
    let info = try CertificateInfo(pem: certificate)
    #expect(info.commonName == "system:node:b")
    #expect(info.ipAddresses == ["10.0.0.2"])
    #expect(info.matches(privateKeyPEM: made.privateKeyPEM))
    #expect(info.isSigned(by: try CertificateInfo(pem: authority.certificatePEM)))
  }

  @Test func aRequestSignedByAnotherKeyIsRefused() throws {
    let made = try SigningRequest.create(commonName: "x")
    // One bit in the base64 of the signature, at the end of the body.
    var lines = made.requestPEM.split(separator: "\n").map(String.init)
    let last = lines.count - 2
    var letters = Array(lines[last])
    let position = letters.count / 2
    letters[position] = letters[position] == "A" ? "B" : "A"
    lines[last] = String(letters)
    #expect(throws: PKIError.self) { try SigningRequest(pem: lines.joined(separator: "\n") + "\n") }
  }

  @Test func serialNumbersArePositiveAndShort() throws {
    let authority = try CertificateAuthority.create(commonName: "test", now: start)
    var seen: Set<String> = []
    for _ in 0..<20 {
      let issued = try authority.issue(CertificateRequest(commonName: "x", usages: [.clientAuth]), now: start)
      let serial = try CertificateInfo(pem: issued.certificatePEM).serialNumber
      #expect(serial.utf8.count == 32 && serial < "8")
      seen.insert(serial)
    }
    #expect(seen.count == 20)
  }

  @Test func nonsenseIsNamed() {
    #expect(throws: PKIError.self) { try CertificateInfo(pem: "nothing") }
    #expect(throws: PKIError.self) { try CertificateInfo(der: [1, 2, 3]) }
    #expect(throws: PKIError.invalidAddress("300.1.1.1")) {
      try CertificateAuthority.create(commonName: "test").issue(
        CertificateRequest(commonName: "x", ipAddresses: ["300.1.1.1"], usages: [.serverAuth]))
    }
  }
}
