import APIMachinery
import Crypto

/// What has to be written to bring an archive's images into a content store: blobs, children before parents, and names.
struct ImagePlan: Sendable {
  struct Blob: Sendable {
    enum Source: Sendable {
      case bytes([UInt8])
      case archive(TarReader, TarReader.Entry)
    }
    let digest: String
    let size: Int
    /// The labels by which the store's garbage collection finds the children.
    let labels: [String: String]
    let source: Source

    func read(at offset: Int, count: Int) throws -> [UInt8] {
      switch source {
      case .bytes(let bytes): Array(bytes[offset..<min(bytes.count, offset + count)])
      case .archive(let reader, let entry): try reader.read(entry, at: offset, count: count)
      }
    }
  }

  struct Image: Sendable {
    let name: String
    let mediaType: String
    let digest: String
    let size: Int
  }

  private(set) var blobs: [Blob] = []
  private(set) var images: [Image] = []
  private var seen: Set<String> = []
  private let reader: TarReader

  /// Reads an archive's manifests. `origin` names images whose annotation has only a tag.
  init(archive reader: TarReader, origin: String) throws {
    self.reader = reader
    if let index = try reader.content("index.json") {
      try planLayout(JSONValue(parsing: index), origin: origin)
    } else if let manifest = try reader.content("manifest.json") {
      try planDocker(JSONValue(parsing: manifest))
    } else {
      throw ImageError("neither index.json nor manifest.json: not an image archive")
    }
    guard !images.isEmpty else { throw ImageError("the archive names no image") }
  }

  // MARK: OCI layout

  private mutating func planLayout(_ index: JSONValue, origin: String) throws {
    for entry in index["manifests"]?.arrayValue ?? [] {
      guard try add(entry) else { continue }
      guard let digest = entry["digest"]?.stringValue, let name = name(entry["annotations"], origin) else { continue }
      images.append(
        Image(
          name: name, mediaType: entry["mediaType"]?.stringValue ?? MediaType.manifest, digest: digest,
          size: Int(entry["size"]?.intValue ?? 0)))
    }
  }

  private func name(_ annotations: JSONValue?, _ origin: String) -> String? {
    if let full = annotations?[ImageReference.nameAnnotation]?.stringValue, !full.isEmpty {
      return ImageReference.normalize(full)
    }
    guard let reference = annotations?[ImageReference.tagAnnotation]?.stringValue, !reference.isEmpty else {
      return nil
    }
    if reference.contains("/") || reference.contains(":") { return ImageReference.normalize(reference) }
    let file = origin.split(separator: "/").last ?? "image"
    return ImageReference.normalize("\(file.prefix { $0 != "." }.lowercased()):\(reference)")
  }

  /// Plans a manifest or index and everything below it; false when the archive does not contain it, as happens with
  /// the other platforms of an index.
  private mutating func add(_ descriptor: JSONValue) throws -> Bool {
    guard let digest = descriptor["digest"]?.stringValue, digest.hasPrefix("sha256:"),
      let entry = reader.entries[ImagePlan.path(digest)]
    else { return false }
    guard !seen.contains(digest) else { return true }
    var labels: [String: String] = [:]
    switch descriptor["mediaType"]?.stringValue {
    case MediaType.index, MediaType.dockerManifestList:
      let index = try parse(digest)
      for (position, child) in (index["manifests"]?.arrayValue ?? []).enumerated() where try add(child) {
        labels["containerd.io/gc.ref.content.m.\(position)"] = child["digest"]?.stringValue
      }
    case MediaType.manifest, MediaType.dockerManifest, nil:
      let manifest = try parse(digest)
      guard let config = manifest["config"], try add(config) else {
        throw ImageError("the archive lacks the configuration of \(digest)")
      }
      labels["containerd.io/gc.ref.content.config"] = config["digest"]?.stringValue
      for (position, layer) in (manifest["layers"]?.arrayValue ?? []).enumerated() {
        guard try add(layer) else { throw ImageError("the archive lacks a layer of \(digest)") }
        labels["containerd.io/gc.ref.content.l.\(position)"] = layer["digest"]?.stringValue
      }
    default: break
    }
    if seen.insert(digest).inserted {
      blobs.append(Blob(digest: digest, size: entry.size, labels: labels, source: .archive(reader, entry)))
    }
    return true
  }

  private func parse(_ digest: String) throws -> JSONValue {
    guard let bytes = try reader.content(ImagePlan.path(digest)) else { throw ImageError("no blob \(digest)") }
    return try JSONValue(parsing: bytes)
  }

  private static func path(_ digest: String) -> String { "blobs/sha256/\(digest.dropFirst(7))" }

  // MARK: docker save

  private mutating func planDocker(_ manifest: JSONValue) throws {
    for item in manifest.arrayValue ?? [] {
      guard let configName = item["Config"]?.stringValue, let config = try reader.content(configName) else {
        throw ImageError("the archive lacks an image's configuration")
      }
      var layers: [JSONValue] = []
      for layer in item["Layers"]?.arrayValue ?? [] { layers.append(try addLayer(layer.stringValue ?? "")) }
      addBytes(config, labels: [:])
      let configDescriptor = Digest.descriptor(config, MediaType.configuration)
      let bytes = JSONValue.object([
        "schemaVersion": .int(2), "mediaType": .string(MediaType.manifest),
        "config": configDescriptor, "layers": .array(layers),
      ]).encoded()
      var labels = ["containerd.io/gc.ref.content.config": configDescriptor["digest"]?.stringValue ?? ""]
      for (position, layer) in layers.enumerated() {
        labels["containerd.io/gc.ref.content.l.\(position)"] = layer["digest"]?.stringValue
      }
      addBytes(bytes, labels: labels)
      for tag in item["RepoTags"]?.arrayValue ?? [] {
        guard let name = tag.stringValue else { continue }
        images.append(
          Image(
            name: ImageReference.normalize(name), mediaType: MediaType.manifest, digest: Digest.sha256(bytes),
            size: bytes.count))
      }
    }
  }

  private mutating func addLayer(_ name: String) throws -> JSONValue {
    guard let entry = reader.entries[name] else { throw ImageError("the archive lacks the layer \(name)") }
    var hash = SHA256()
    var offset = 0
    var magic: [UInt8] = []
    while offset < entry.size {
      let piece = try reader.read(entry, at: offset, count: 1 << 20)
      if offset == 0 { magic = Array(piece.prefix(2)) }
      hash.update(data: piece)
      offset += piece.count
    }
    let digest = Digest.text(hash.finalize())
    if seen.insert(digest).inserted {
      blobs.append(Blob(digest: digest, size: entry.size, labels: [:], source: .archive(reader, entry)))
    }
    return .object([
      "mediaType": .string(magic == [0x1f, 0x8b] ? MediaType.gzipLayer : MediaType.layer),
      "digest": .string(digest), "size": .int(Int64(entry.size)),
    ])
  }

  private mutating func addBytes(_ bytes: [UInt8], labels: [String: String]) {
    let digest = Digest.sha256(bytes)
    guard seen.insert(digest).inserted else { return }
    blobs.append(Blob(digest: digest, size: bytes.count, labels: labels, source: .bytes(bytes)))
  }
}
