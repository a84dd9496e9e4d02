import APIMachinery
public import CRI
import GRPC
import Glibc
public import Logging
import SwiftProtobuf

/// Brings images from archives on disk (OCI layouts or `docker save`, plain or gzip) into containerd, under the
/// namespace that CRI uses.
public struct ImageImporter: Sendable {
  private let client: ContainerdClient
  private let images: ImageService
  private let logger: Logger

  /// An importer on containerd's socket.
  public init(images: ImageService, logger: Logger) {
    client = ContainerdClient(channel: images.channel)
    self.images = images
    self.logger = logger
  }

  /// Imports an archive; returns the names of its images. `pinned` images are never garbage-collected.
  @discardableResult
  public func importArchive(_ path: String, pinned: Bool = false) async throws -> [String] {
    guard Gunzip.isCompressed(path) else { return try await importTar(path, origin: path, pinned: pinned) }
    let unpacked = "\(path).\(getpid()).tar.tmp"
    defer { unlink(unpacked) }
    try Gunzip.unpack(path, to: unpacked)
    return try await importTar(unpacked, origin: path, pinned: pinned)
  }

  /// Imports an archive from memory, such as `SandboxImage.archive()`. `directory` holds it while that goes on.
  @discardableResult
  public func importArchive(_ bytes: [UInt8], directory: String, pinned: Bool = false) async throws -> [String] {
    let path = "\(directory)/import-\(getpid())-\(UInt32.random(in: 0 ... .max)).tar"
    try FileSystem.write(bytes, to: path, mode: 0o600)
    defer { unlink(path) }
    return try await importArchive(path, pinned: pinned)
  }

  /// Imports every archive in a directory (`*.tar`, `*.tar.gz`, `*.tgz`). One that is bad is logged and passed over.
  @discardableResult
  public func importDirectory(_ directory: String) async -> [String] {
    var names: [String] = []
    for file in FileSystem.list(directory)
    where file.hasSuffix(".tar") || file.hasSuffix(".tar.gz") || file.hasSuffix(".tgz") {
      do {
        let imported = try await importArchive("\(directory)/\(file)")
        logger.info("imported images", metadata: ["archive": "\(file)", "images": "\(imported)"])
        names += imported
      } catch {
        logger.error("cannot import images", metadata: ["archive": "\(file)", "error": "\(error)"])
      }
    }
    return names
  }

  /// Whether the runtime knows an image.
  public func isPresent(_ name: String) async throws -> Bool {
    var request = CRIImageStatusRequest()
    request.image.image = ImageReference.normalize(name)
    return try await images.imageStatus(request).hasImage
  }

  private func importTar(_ path: String, origin: String, pinned: Bool) async throws -> [String] {
    let plan = try ImagePlan(archive: TarReader(path: path), origin: origin)
    var leased = client
    let lease = "apus-import-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    // Should this process die midway, the lease ends by itself.
    try await client.createLease(lease, labels: ["containerd.io/gc.expire": ImageImporter.time(in: 3600)])
    leased.lease = lease
    do {
      for blob in plan.blobs {
        try await leased.write(digest: blob.digest, size: blob.size, labels: blob.labels) { offset in
          try blob.read(at: offset, count: 1 << 20)
        }
      }
      for image in plan.images { try await put(image, leased, pinned: pinned) }
    } catch {
      try? await client.deleteLease(lease)
      throw error
    }
    try? await client.deleteLease(lease)
    for image in plan.images { try await waitUntilKnown(image.name) }
    return plan.images.map(\.name)
  }

  private func put(_ image: ImagePlan.Image, _ client: ContainerdClient, pinned: Bool) async throws {
    var record = ImagesImage()
    record.labels = ["io.cri-containerd.image": "managed"]
    if pinned { record.labels["io.cri-containerd.pinned"] = "pinned" }
    record.target.mediaType = image.mediaType
    record.target.digest = image.digest
    record.target.size = Int64(image.size)
    // The name with the digest is what containers report as their image's ID.
    for name in ["\(ImageReference.repository(of: image.name))@\(image.digest)", image.name] {
      record.name = name
      try await client.put(record)
    }
  }

  /// CRI learns of new images by events, a moment later.
  private func waitUntilKnown(_ name: String) async throws {
    for attempt in 1...100 {
      if try await isPresent(name) { return }
      try await Task.sleep(for: .milliseconds(min(10 * attempt, 100)))
    }
    throw ImageError("the runtime does not show \(name) although it was imported")
  }

  private static func time(in seconds: Int) -> String {
    var moment = Glibc.time(nil) + seconds
    var parts = tm()
    gmtime_r(&moment, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
