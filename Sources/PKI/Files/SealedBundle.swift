public import APIMachinery
internal import Crypto
internal import CryptoExtras

/// The part of a cluster's PKI that all its servers share: both authorities and the token key.
///
/// It travels sealed: AES-256-GCM under a key that scrypt derives from the server token, so that whoever reads the store
/// but does not have the token learns nothing.
public struct PKIBundle: Sendable, Equatable {
  /// Files by their name in the PKI directory.
  public var files: [String: String]

  static let names = ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"]

  /// Makes a bundle of files.
  public init(files: [String: String]) { self.files = files }

  /// scrypt's parameters: 32 MB and a few tens of milliseconds.
  private struct Parameters {
    var rounds = 1 << 15
    var blockSize = 8
    var parallelism = 1
  }

  private static let context = Array("apus pki bundle v1".utf8)

  /// The sealed form, a JSON text. Two calls never give the same.
  public func sealed(token: String) throws -> [UInt8] {
    let parameters = Parameters()
    let salt = Base64Bytes((0..<16).map { _ in UInt8.random(in: .min ... .max) })
    let key = try Self.key(token, salt: salt.bytes, parameters)
    let text = JSONValue.object(files.mapValues { .string($0) }).encoded()
    let box = try AES.GCM.seal(text, using: key, authenticating: Self.context)
    guard let combined = box.combined else { throw PKIError.malformed(what: "PKI bundle", detail: "cannot be sealed") }
    return JSONValue.object([
      "version": .int(1), "kdf": .string("scrypt"), "rounds": .int(Int64(parameters.rounds)),
      "blockSize": .int(Int64(parameters.blockSize)), "parallelism": .int(Int64(parameters.parallelism)),
      "salt": .string(salt.base64), "sealed": .string(Base64Bytes(Array(combined)).base64),
    ]).encoded()
  }

  /// Opens what `sealed` made. Throws `PKIError.wrongToken` when the token is not the one it was sealed with.
  public init(opening bytes: [UInt8], token: String) throws {
    guard let envelope = try? JSONValue(parsing: bytes), envelope["version"]?.intValue == 1,
      envelope["kdf"]?.stringValue == "scrypt",
      let rounds = envelope["rounds"]?.intValue, let blockSize = envelope["blockSize"]?.intValue,
      let parallelism = envelope["parallelism"]?.intValue,
      // A store is not trusted to name work without end.
      (2...1 << 20).contains(rounds), (1...32).contains(blockSize), (1...16).contains(parallelism),
      let salt = envelope["salt"]?.stringValue.flatMap(Base64Bytes.init(base64:)),
      let sealed = envelope["sealed"]?.stringValue.flatMap(Base64Bytes.init(base64:))
    else { throw PKIError.malformed(what: "PKI bundle", detail: "not a bundle that this version can read") }
    let key = try Self.key(
      token, salt: salt.bytes,
      Parameters(rounds: Int(rounds), blockSize: Int(blockSize), parallelism: Int(parallelism)))
    let text: [UInt8]
    do {
      text = Array(try AES.GCM.open(.init(combined: sealed.bytes), using: key, authenticating: Self.context))
    } catch {
      throw PKIError.wrongToken
    }
    files = try JSONValue(parsing: text).objectValue?.compactMapValues(\.stringValue) ?? [:]
    guard Self.names.allSatisfy({ files[$0] != nil }) else {
      throw PKIError.malformed(what: "PKI bundle", detail: "files are missing from it")
    }
  }

  private static func key(_ token: String, salt: [UInt8], _ parameters: Parameters) throws -> SymmetricKey {
    try KDF.Scrypt.deriveKey(
      from: Array(token.utf8), salt: salt, outputByteCount: 32, rounds: parameters.rounds,
      blockSize: parameters.blockSize, parallelism: parameters.parallelism)
  }
}

extension ClusterPKI {
  /// Makes the authorities and the token key where they are missing. They are made once and never replaced.
  public func ensureAuthorities(now: Time = .now) throws {
    try AtomicFile.makeDirectory(directory)
    try ensureAuthority("ca", commonName: "kubernetes", now: now)
    try ensureAuthority("front-proxy-ca", commonName: "front-proxy-ca", now: now)
    try ensureServiceAccountKey()
  }

  /// What this directory has of the shared files.
  public func bundle() throws -> PKIBundle {
    var files: [String: String] = [:]
    for name in PKIBundle.names { files[name] = try AtomicFile.readText("\(directory)/\(name)") }
    return PKIBundle(files: files)
  }

  /// Writes the shared files. Throws `PKIError.otherCluster` when one that is here says something else.
  public func install(_ bundle: PKIBundle) throws {
    try AtomicFile.makeDirectory(directory)
    let present = try self.bundle()
    for (name, text) in present.files where bundle.files[name] != text {
      throw PKIError.otherCluster(path: "\(directory)/\(name)")
    }
    for (name, text) in bundle.files where present.files[name] == nil {
      guard PKIBundle.names.contains(name) else { continue }
      try AtomicFile.write(text, to: "\(directory)/\(name)", mode: name.hasSuffix(".key") ? 0o600 : 0o644)
    }
  }
}
