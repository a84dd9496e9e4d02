import APIMachinery
import Foundation
import Logging
import Storage
import StorageSQLite
import Testing

@testable import APIServer

@Suite struct EncryptionTests {
  private func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
  }

  @Test func theBoxIsThatOfNaCl() {
    // The example of NaCl's own tests.
    let key = bytes("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    let nonce = bytes("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    let message = bytes(
      """
      be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4
      1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52
      f0a089bc76897040e082f937763848645e0705
      """)
    let box = bytes(
      """
      f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b
      4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da
      99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5
      """)
    #expect(SecretBox.seal(message, key: key, nonce: nonce) == box)
    #expect(SecretBox.open(box[...], key: key, nonce: nonce) == message)
    var touched = box
    touched[40] ^= 1
    #expect(SecretBox.open(touched[...], key: key, nonce: nonce) == nil)
    for length in [0, 1, 15, 16, 17, 63, 64, 65, 200] {
      let text = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
      #expect(SecretBox.open(SecretBox.seal(text, key: key, nonce: nonce)[...], key: key, nonce: nonce) == text)
    }
  }

  private func configuration(_ providers: String) throws -> EncryptionConfiguration {
    try EncryptionConfiguration(
      Array(
        """
        kind: EncryptionConfiguration
        apiVersion: apiserver.config.k8s.io/v1
        resources:
        - resources: [secrets, "*.apps"]
          providers: [\(providers)]
        """.utf8))
  }

  private func provider(_ cipher: String, _ name: String) -> String {
    let secret = Data((0..<32).map { UInt8($0) }).base64EncodedString()
    return "{\(cipher): {keys: [{name: \(name), secret: \(secret)}]}}"
  }

  @Test(arguments: ["aesgcm", "aescbc", "secretbox"])
  func everyCipherOpensWhatItSealed(_ cipher: String) throws {
    let providers = try #require(try configuration(provider(cipher, "k")).providers(for: "secrets"))
    let first = providers[0]
    let value = Array("{\"metadata\":{}}".utf8)
    let sealed = try first.seal(value, at: "/registry/secrets/a/b")
    #expect(sealed.starts(with: Array("k8s:enc:\(cipher):v1:k:".utf8)))
    #expect(try first.open(sealed, at: "/registry/secrets/a/b") == value)
    #expect(try first.seal(value, at: "/registry/secrets/a/b") != sealed)
    var touched = sealed
    touched[touched.count - 1] ^= 1
    #expect((try? first.open(touched, at: "/registry/secrets/a/b")) != value)
    // Where a cipher can tell, a value is good at its own place only.
    if cipher == "aesgcm" { #expect(throws: (any Error).self) { try first.open(sealed, at: "/registry/secrets/a/c") } }
  }

  @Test func resourcesAreNamedExactlyOrByGroup() throws {
    let configuration = try configuration("{identity: {}}")
    #expect(configuration.providers(for: "secrets") != nil)
    #expect(configuration.providers(for: "deployments.apps") != nil)
    #expect(configuration.providers(for: "configmaps") == nil)
    #expect(throws: EncryptionConfiguration.Problem.self) { try self.configuration("{kms: {name: x}}") }
    #expect(throws: EncryptionConfiguration.Problem.self) { try self.configuration("{rot13: {}}") }
    #expect(throws: EncryptionConfiguration.Problem.self) {
      try self.configuration("{aesgcm: {keys: [{name: a, secret: YWJj}]}}")
    }
  }

  @Test func theStoreHoldsNothingPlainAndRereadsWhatIsOld() async throws {
    let directory = NSTemporaryDirectory() + "encryption-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let inner = try SQLiteStorage(directory: directory, logger: logger)
    let old = EncryptedStorage(inner, try configuration(provider("aescbc", "one")), logger: logger)
    let value = Array("secret".utf8)
    let (secret, open) = ("/registry/secrets/a/b", "/registry/configmaps/a/b")
    _ = try await old.put(secret, value, if: .absent)
    _ = try await old.put(open, value, if: .absent)
    #expect(try await inner.get(secret)?.value != value)
    #expect(try await inner.get(open)?.value == value)
    #expect(try await old.get(secret)?.value == value)
    #expect(!old.isStale(secret))
    old.use(try configuration(provider("secretbox", "two") + ", " + provider("aescbc", "one")))
    #expect(try await old.list(prefix: "/registry/secrets/").items.map(\.value) == [value])
    #expect(old.isStale(secret))
    _ = try await old.put(secret, value, if: .any)
    #expect(!old.isStale(secret))
    #expect(try await inner.get(secret)?.value.starts(with: Array("k8s:enc:secretbox:v1:two:".utf8)) == true)
    // Without the key nothing is to be had, and nothing else is harmed.
    old.use(try configuration(provider("aesgcm", "three")))
    await #expect(throws: EncryptionConfiguration.Problem.self) { _ = try await old.get(secret) }
    #expect(try await old.list(prefix: "/registry/").items.map(\.key) == [open])
    await inner.close()
  }
}
