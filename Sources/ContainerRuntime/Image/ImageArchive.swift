import APIMachinery
import Crypto

/// A layer in the making.
public struct ImageLayer: Sendable {
  private var writer = TarWriter()

  /// An empty layer.
  public init() {}

  /// Adds a directory. Paths have no leading slash.
  public mutating func directory(_ path: String, mode: Int = 0o755, owner: Int = 0) {
    writer.add(.directory, path.hasSuffix("/") ? path : path + "/", mode: mode, owner: owner)
  }

  /// Adds a file.
  public mutating func file(_ path: String, _ content: [UInt8], mode: Int = 0o644, owner: Int = 0) {
    writer.add(.file, path, mode: mode, content: content, owner: owner)
  }

  /// Adds another name for a file that is already in the layer.
  public mutating func hardLink(_ path: String, to target: String, mode: Int = 0o755) {
    writer.add(.hardLink, path, mode: mode, target: target)
  }

  /// Adds a symbolic link.
  public mutating func symbolicLink(_ path: String, to target: String) {
    writer.add(.symbolicLink, path, mode: 0o777, target: target)
  }

  func tar() -> [UInt8] { writer.finish() }
}

/// What a container made from an image runs by default.
public struct ImageConfiguration: Sendable {
  public var entrypoint: [String] = []
  public var command: [String] = []
  public var environment: [String] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
  public var workingDirectory = "/"
  public var user = ""
  public var labels: [String: String] = [:]
  public var exposedPorts: [String] = []
  public var stopSignal = ""

  /// The defaults.
  public init() {}
}

/// Builds OCI image archives: layers, configuration, manifest and index in one tar file. The same input gives the
/// same digests.
public struct ImageArchive: Sendable {
  private let name: String
  private let configuration: ImageConfiguration
  private let layers: [ImageLayer]
  private let architecture: String

  /// An image with the full name `name` (`docker.io/library/x:tag`; short names are completed).
  public init(name: String, configuration: ImageConfiguration, layers: [ImageLayer]) {
    self.name = ImageReference.normalize(name)
    self.configuration = configuration
    self.layers = layers
    architecture = PauseProgram.Architecture.host.rawValue
  }

  /// The archive, for `ImageImporter` or any tool that reads OCI layouts.
  public func encoded() -> [UInt8] {
    let tars = layers.map { $0.tar() }
    let config = encodedConfiguration(diffIDs: tars.map(Digest.sha256))
    let manifest = JSONValue.object([
      "schemaVersion": .int(2), "mediaType": .string(MediaType.manifest),
      "config": Digest.descriptor(config, MediaType.configuration),
      "layers": .array(tars.map { Digest.descriptor($0, MediaType.layer) }),
    ]).encoded()
    guard case .object(var entry) = Digest.descriptor(manifest, MediaType.manifest) else { return [] }
    entry["platform"] = .object(["architecture": .string(architecture), "os": .string("linux")])
    entry["annotations"] = .object([
      ImageReference.nameAnnotation: .string(name),
      ImageReference.tagAnnotation: .string(ImageReference.tag(of: name)),
    ])
    let index = JSONValue.object([
      "schemaVersion": .int(2), "mediaType": .string(MediaType.index), "manifests": .array([.object(entry)]),
    ]).encoded()
    var archive = TarWriter()
    archive.add(.file, "oci-layout", mode: 0o644, content: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    archive.add(.file, "index.json", mode: 0o644, content: index)
    archive.add(.directory, "blobs/", mode: 0o755)
    archive.add(.directory, "blobs/sha256/", mode: 0o755)
    var seen: Set<String> = []
    for blob in [manifest, config] + tars {
      let digest = Digest.sha256(blob)
      if seen.insert(digest).inserted {
        archive.add(.file, "blobs/sha256/\(digest.dropFirst(7))", mode: 0o644, content: blob)
      }
    }
    return archive.finish()
  }

  private func encodedConfiguration(diffIDs: [String]) -> [UInt8] {
    func list(_ strings: [String]) -> JSONValue { .array(strings.map { .string($0) }) }
    var config: [String: JSONValue] = ["Env": list(configuration.environment)]
    config["WorkingDir"] = .string(configuration.workingDirectory)
    if !configuration.entrypoint.isEmpty { config["Entrypoint"] = list(configuration.entrypoint) }
    if !configuration.command.isEmpty { config["Cmd"] = list(configuration.command) }
    if !configuration.user.isEmpty { config["User"] = .string(configuration.user) }
    if !configuration.stopSignal.isEmpty { config["StopSignal"] = .string(configuration.stopSignal) }
    if !configuration.labels.isEmpty { config["Labels"] = .object(configuration.labels.mapValues { .string($0) }) }
    if !configuration.exposedPorts.isEmpty {
      let ports = configuration.exposedPorts.map { ($0, JSONValue.object([:])) }
      config["ExposedPorts"] = .object(Dictionary(ports) { first, _ in first })
    }
    return JSONValue.object([
      "architecture": .string(architecture), "os": .string("linux"), "created": .string("1970-01-01T00:00:00Z"),
      "config": .object(config),
      "rootfs": .object(["type": .string("layers"), "diff_ids": list(diffIDs)]),
      "history": .array(
        diffIDs.map { _ in
          .object(["created": .string("1970-01-01T00:00:00Z"), "created_by": .string("apus")])
        }),
    ]).encoded()
  }
}

enum MediaType {
  static let index = "application/vnd.oci.image.index.v1+json"
  static let manifest = "application/vnd.oci.image.manifest.v1+json"
  static let configuration = "application/vnd.oci.image.config.v1+json"
  static let layer = "application/vnd.oci.image.layer.v1.tar"
  static let gzipLayer = "application/vnd.oci.image.layer.v1.tar+gzip"
  static let dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
  static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
}

enum Digest {
  static func sha256(_ bytes: [UInt8]) -> String { text(SHA256.hash(data: bytes)) }

  static func text(_ digest: SHA256.Digest) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var out = Array("sha256:".utf8)
    for byte in digest {
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }

  static func descriptor(_ blob: [UInt8], _ mediaType: String) -> JSONValue {
    .object([
      "mediaType": .string(mediaType), "digest": .string(sha256(blob)), "size": .int(Int64(blob.count)),
    ])
  }
}
