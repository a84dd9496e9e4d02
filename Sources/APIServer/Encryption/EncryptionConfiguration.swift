import APIMachinery
import Crypto
import CryptoExtras

/// How what is stored is encrypted (apiserver.config.k8s.io/v1 EncryptionConfiguration).
struct EncryptionConfiguration: Sendable {
  /// A configuration that cannot be read, or a value that cannot.
  struct Problem: Error, CustomStringConvertible {
    var description: String
  }

  /// A way to encrypt, with one key.
  struct Provider: Sendable {
    enum Cipher: String, Sendable {
      case identity, aesgcm, aescbc, secretbox
    }
    var cipher: Cipher
    var name = ""
    var key: [UInt8] = []

    /// Empty for what is stored as it is.
    var identity: String { cipher == .identity ? "" : "\(cipher.rawValue):\(name)" }

    /// What a value encrypted by this provider begins with.
    var prefix: [UInt8] { cipher == .identity ? [] : Array("k8s:enc:\(cipher.rawValue):v1:\(name):".utf8) }
  }

  private struct Group: Sendable {
    var resources: [String]
    var providers: [Provider]
  }
  private var groups: [Group] = []

  /// Reads a configuration file, YAML or JSON. Throws `Problem`.
  init(_ text: [UInt8]) throws {
    let tree: JSONValue
    do { tree = try JSONValue(parsing: yamlToJSON(text)) } catch { throw Problem(description: "\(error)") }
    guard tree["kind"]?.stringValue == "EncryptionConfiguration",
      tree["apiVersion"]?.stringValue == "apiserver.config.k8s.io/v1"
    else { throw Problem(description: "not an EncryptionConfiguration of apiserver.config.k8s.io/v1") }
    let entries = tree["resources"]?.arrayValue ?? []
    if entries.isEmpty { throw Problem(description: "resources: Required value: at least one resource is required") }
    groups = try entries.enumerated().map { index, entry in
      let resources = (entry["resources"]?.arrayValue ?? []).compactMap(\.stringValue)
      if resources.isEmpty {
        throw Problem(description: "resources[\(index)].resources: Required value: at least one resource is required")
      }
      for name in resources where name == "*" {
        throw Problem(
          description:
            "resources[\(index)].resources: Invalid value: \"\(name)\": use '*.' to encrypt all the resources "
            + "from core API group or *.* to encrypt all resources")
      }
      let providers = try (entry["providers"]?.arrayValue ?? []).enumerated().flatMap { at, provider in
        try Self.providers(provider, "resources[\(index)].providers[\(at)]")
      }
      if providers.isEmpty {
        throw Problem(description: "resources[\(index)].providers: Required value: at least one provider is required")
      }
      return Group(resources: resources, providers: providers)
    }
  }

  private static func providers(_ tree: JSONValue, _ path: String) throws -> [Provider] {
    guard let (kind, settings) = tree.objectValue?.first, tree.objectValue?.count == 1 else {
      throw Problem(description: "\(path): Invalid value: more than one provider specified in a single element")
    }
    if kind == "kms" { throw Problem(description: "\(path).kms: not served by apus") }
    guard let cipher = Provider.Cipher(rawValue: kind) else {
      throw Problem(description: "\(path): unknown provider \(goQuoted(kind))")
    }
    if cipher == .identity { return [Provider(cipher: .identity)] }
    let keys = settings["keys"]?.arrayValue ?? []
    if keys.isEmpty { throw Problem(description: "\(path).\(kind).keys: Required value: at least one key is required") }
    return try keys.enumerated().map { index, key in
      let place = "\(path).\(kind).keys[\(index)]"
      guard let name = key["name"]?.stringValue, !name.isEmpty, !name.contains(":") else {
        throw Problem(description: "\(place).name: Required value: a key needs a name without colons")
      }
      guard let secret = key["secret"]?.stringValue.flatMap({ Base64Bytes(base64: $0)?.bytes }) else {
        throw Problem(description: "\(place).secret: Invalid value: REDACTED: secrets must be base64 encoded")
      }
      let sizes = cipher == .secretbox ? [32] : [16, 24, 32]
      guard sizes.contains(secret.count) else {
        throw Problem(
          description: "\(place).secret: Invalid value: REDACTED: secret is not of the expected length, got "
            + "\(secret.count), expected one of [\(sizes.map(String.init).joined(separator: " "))]")
      }
      return Provider(cipher: cipher, name: name, key: secret)
    }
  }

  /// The providers for a resource (`secrets`, `deployments.apps`): the first encrypts, all of them decrypt. Nil for one
  /// that is stored as it is.
  func providers(for resource: Substring) -> [Provider]? {
    let dot = resource.firstIndex(of: ".")
    let group = dot.map { resource[resource.index(after: $0)...] } ?? ""
    return groups.first { entry in
      entry.resources.contains { name in
        name == resource || name == "*.*" || (name.hasPrefix("*.") && name.dropFirst(2) == group)
      }
    }?.providers
  }
}

extension EncryptionConfiguration.Provider {
  /// Encrypts; `key`, the place of the value, is bound in where the cipher can do that.
  func seal(_ value: [UInt8], at place: String) throws -> [UInt8] {
    switch cipher {
    case .identity: return value
    case .aesgcm:
      let box = try AES.GCM.seal(value, using: SymmetricKey(data: key), authenticating: Array(place.utf8))
      return prefix + Array(box.nonce) + box.ciphertext + box.tag
    case .aescbc:
      let initial = AES._CBC.IV()
      let sealed = try AES._CBC.encrypt(value, using: SymmetricKey(data: key), iv: initial)
      return prefix + Array(initial) + sealed
    case .secretbox:
      var generator = SystemRandomNumberGenerator()
      let nonce = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
      return prefix + nonce + SecretBox.seal(value, key: key, nonce: nonce)
    }
  }

  /// Decrypts what begins with this provider's prefix.
  func open(_ stored: [UInt8], at place: String) throws -> [UInt8] {
    let rest = stored[prefix.count...]
    switch cipher {
    case .identity: return stored
    case .aesgcm:
      let box = try AES.GCM.SealedBox(combined: rest)
      return Array(try AES.GCM.open(box, using: SymmetricKey(data: key), authenticating: Array(place.utf8)))
    case .aescbc:
      guard rest.count > 16 else { throw EncryptionConfiguration.Problem(description: "the stored data is too short") }
      let initial = try AES._CBC.IV(ivBytes: rest.prefix(16))
      return Array(try AES._CBC.decrypt(rest.dropFirst(16), using: SymmetricKey(data: key), iv: initial))
    case .secretbox:
      guard rest.count >= 40, let value = SecretBox.open(rest.dropFirst(24), key: key, nonce: Array(rest.prefix(24)))
      else { throw EncryptionConfiguration.Problem(description: "output array was not large enough for encryption") }
      return value
    }
  }
}
