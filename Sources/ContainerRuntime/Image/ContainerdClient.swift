import FoundationEssentials
import GRPC
import SwiftProtobuf

/// containerd's own services, as far as images need them, in the namespace that CRI uses.
struct ContainerdClient: Sendable {
  let channel: GRPCChannel
  var namespace = "k8s.io"
  /// The lease that keeps new content from being collected before an image points at it.
  var lease: String?

  private var metadata: GRPCMetadata {
    var metadata: GRPCMetadata = ["containerd-namespace": namespace]
    if let lease { metadata.add("containerd-lease", lease) }
    return metadata
  }

  private func unary<Response: Message>(
    _ method: String, _ request: some Message, as: Response.Type = Response.self
  ) async throws -> Response {
    let reply = try await channel.unary(
      method, request.serializedBytes(), options: .init(timeout: .seconds(60), metadata: metadata))
    return try Response(serializedBytes: reply.message)
  }

  func createLease(_ id: String, labels: [String: String]) async throws {
    var request = LeasesCreateRequest()
    request.id = id
    request.labels = labels
    _ = try await channel.unary(
      "/containerd.services.leases.v1.Leases/Create", request.serializedBytes(),
      options: .init(timeout: .seconds(30), metadata: metadata))
  }

  func deleteLease(_ id: String) async throws {
    var request = LeasesDeleteRequest()
    request.id = id
    _ = try await channel.unary(
      "/containerd.services.leases.v1.Leases/Delete", request.serializedBytes(),
      options: .init(timeout: .seconds(30), metadata: ["containerd-namespace": namespace]))
  }

  func image(_ name: String) async throws -> ImagesImage? {
    var request = ImagesGetImageRequest()
    request.name = name
    do {
      let response: ImagesGetImageResponse = try await unary(
        "/containerd.services.images.v1.Images/Get", request)
      return response.image
    } catch let status as GRPCStatus where status.code == .notFound {
      return nil
    }
  }

  /// Makes an image, or points an existing one at the new target.
  func put(_ image: ImagesImage) async throws {
    var create = ImagesCreateImageRequest()
    create.image = image
    do {
      let _: ImagesGetImageResponse = try await unary("/containerd.services.images.v1.Images/Create", create)
    } catch let status as GRPCStatus where status.code == .alreadyExists {
      var update = ImagesUpdateImageRequest()
      update.image = image
      let _: ImagesGetImageResponse = try await unary("/containerd.services.images.v1.Images/Update", update)
    }
  }

  func hasContent(_ digest: String) async throws -> Bool {
    var request = ContentInfoRequest()
    request.digest = digest
    do {
      let _: ContentInfoResponse = try await unary("/containerd.services.content.v1.Content/Info", request)
      return true
    } catch let status as GRPCStatus where status.code == .notFound {
      return false
    }
  }

  /// Writes a blob, piece by piece; `next` gives the piece at an offset. Content that is there already is kept, and
  /// gets the labels.
  func write(
    digest: String, size: Int, labels: [String: String], next: @Sendable (_ offset: Int) throws -> [UInt8]
  ) async throws {
    do {
      try await writeNew(digest: digest, size: size, labels: labels, next: next)
    } catch let status as GRPCStatus where status.code == .alreadyExists {
      guard !labels.isEmpty else { return }
      var request = ContentUpdateRequest()
      request.info.digest = digest
      request.info.labels = labels
      request.updateMask.paths = labels.keys.sorted().map { "labels.\($0)" }
      let _: ContentInfoResponse = try await unary("/containerd.services.content.v1.Content/Update", request)
    }
  }

  private func writeNew(
    digest: String, size: Int, labels: [String: String], next: @Sendable (_ offset: Int) throws -> [UInt8]
  ) async throws {
    let call = try await channel.call(
      "/containerd.services.content.v1.Content/Write", options: .init(metadata: metadata))
    defer { call.cancel() }
    let reference = "apus-import-\(digest)-\(UInt32.random(in: 0 ... .max))"
    var offset = 0
    while true {
      let piece = offset < size ? try next(offset) : []
      var request = ContentWriteContentRequest()
      request.ref = reference
      request.total = Int64(size)
      request.expected = digest
      request.offset = Int64(offset)
      request.data = Data(piece)
      let isLast = offset + piece.count >= size
      request.action = isLast ? .commit : .write
      if isLast { request.labels = labels }
      try await call.send(request.serializedBytes())
      guard try await call.receive() != nil else {
        throw ImageError("containerd ended the write of \(digest) early")
      }
      offset += piece.count
      if isLast { break }
    }
    try await call.finish()
    while try await call.receive() != nil {}
  }
}
