import Foundation
import Testing

@testable import PKI

@Suite struct SealedBundleTests {
  private func directory() -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("pki-\(UUID().uuidString)").path
  }

  @Test func travelsFromOneServerToAnother() throws {
    let (first, second) = (ClusterPKI(directory: directory()), ClusterPKI(directory: directory()))
    defer { for pki in [first, second] { try? FileManager.default.removeItem(atPath: pki.directory) } }
    try first.ensureAuthorities()
    let sealed = try first.bundle().sealed(token: "a token of enough letters")
    #expect(!String(decoding: sealed, as: UTF8.self).contains("PRIVATE"))
    try second.install(try PKIBundle(opening: sealed, token: "a token of enough letters"))
    #expect(try second.bundle() == first.bundle())
    try second.ensure(ClusterPKI.Identity(nodeName: "b"))
    let leaf = try CertificateInfo(pem: second.pair(.apiserver).certificatePEM)
    #expect(leaf.isSigned(by: try CertificateInfo(pem: first.text(first.authorityPath))))
    let mode = try FileManager.default.attributesOfItem(atPath: "\(second.directory)/ca.key")[.posixPermissions] as? Int
    #expect(mode == 0o600)
    // Once more changes nothing.
    try second.install(try PKIBundle(opening: sealed, token: "a token of enough letters"))
  }

  @Test func staysShutForAnotherToken() throws {
    let pki = ClusterPKI(directory: directory())
    defer { try? FileManager.default.removeItem(atPath: pki.directory) }
    try pki.ensureAuthorities()
    let sealed = try pki.bundle().sealed(token: "a token of enough letters")
    #expect(throws: PKIError.wrongToken) { try PKIBundle(opening: sealed, token: "another token of letters") }
    var damaged = sealed
    damaged[damaged.count - 10] ^= 1
    #expect(throws: PKIError.self) { try PKIBundle(opening: damaged, token: "a token of enough letters") }
    #expect(throws: PKIError.self) { try PKIBundle(opening: Array("{}".utf8), token: "x") }
  }

  @Test func refusesTheKeysOfAnotherCluster() throws {
    let (first, second) = (ClusterPKI(directory: directory()), ClusterPKI(directory: directory()))
    defer { for pki in [first, second] { try? FileManager.default.removeItem(atPath: pki.directory) } }
    try first.ensureAuthorities()
    try second.ensureAuthorities()
    let before = try second.bundle()
    #expect(throws: PKIError.self) { try second.install(try first.bundle()) }
    #expect(try second.bundle() == before)
  }
}
