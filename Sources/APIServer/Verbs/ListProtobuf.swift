import API
import APIMachinery
import HTTP
import NIOCore
import Protobuf
import Synchronization

extension Registry {
  /// A page as protobuf; nil for what has no such form.
  ///
  /// A message says how long it is before it begins. Small pages are encoded once and measured; of large ones each
  /// item is encoded twice, once to be measured and once when the client takes it, so that memory stays bounded.
  func protobufAnswer(_ resource: ServedResource, _ page: ListPage, _ output: Output) throws -> HTTPResponse? {
    let kinds: (list: GroupVersionKind, item: GroupVersionKind)
    switch output {
    case .object:
      kinds = (
        GroupVersionKind(group: resource.gvk.group, version: resource.gvk.version, kind: resource.gvk.kind + "List"),
        resource.gvk
      )
    case .partialMetadata:
      kinds = (
        GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "PartialObjectMetadataList"),
        GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "PartialObjectMetadata")
      )
    case .table: return nil
    }
    guard let list = ProtobufKind.of(kinds.list), let item = ProtobufKind.of(kinds.item) else { return nil }
    let append = { @Sendable [self] (object: CachedObject, encoder: inout ProtobufEncoder) in
      try appendItem(resource, item, object, output, to: &encoder)
    }
    var head = ProtobufEncoder(capacity: 256)
    let json = listHead(kinds.list.kind, kinds.list.apiVersion, page) + Array("]}".utf8)
    try list.append(json[...], to: &head)
    let estimate = page.objects.reduce(0) { $0 + $1.bytes.count }
    if estimate <= Self.encodedAtOnce {
      var items = ProtobufEncoder(capacity: estimate)
      for object in page.objects { try append(object, &items) }
      let start = list.envelopeHead(messageSize: head.bytes.count + items.bytes.count)
      return protobufResponse(
        200, .slices([start[...], head.bytes[...], items.bytes[...], ProtobufKind.envelopeTail[...]]))
    }
    var size = head.bytes.count
    var measure = ProtobufEncoder(capacity: 16 << 10)
    for object in page.objects {
      try append(object, &measure)
      size += measure.bytes.count
      measure.bytes.removeAll(keepingCapacity: true)
    }
    return protobufResponse(
      200, Self.pieces(list.envelopeHead(messageSize: size) + head.bytes, page.objects, append))
  }

  private static let encodedAtOnce = 1 << 20

  private static func pieces(
    _ head: [UInt8], _ objects: [CachedObject],
    _ append: @escaping @Sendable (CachedObject, inout ProtobufEncoder) throws -> Void
  ) -> HTTPResponseBody {
    let state = Mutex((next: 0, ended: false))
    return .pull {
      state.withLock { state in
        if state.ended { return nil }
        var encoder = ProtobufEncoder(capacity: (128 << 10) + 8192)
        if state.next == 0 { encoder.bytes.append(contentsOf: head) }
        while state.next < objects.count, encoder.bytes.count < 128 << 10 {
          // It was encoded before, so it can be encoded; were it not so, the client would see the body cut short.
          guard (try? append(objects[state.next], &encoder)) != nil else {
            state.ended = true
            return nil
          }
          state.next += 1
        }
        if state.next == objects.count {
          encoder.bytes.append(contentsOf: ProtobufKind.envelopeTail)
          state.ended = true
        }
        return ByteBuffer(bytes: encoder.bytes)
      }
    }
  }

  private func appendItem(
    _ resource: ServedResource, _ kind: ProtobufKind, _ object: CachedObject, _ output: Output,
    to encoder: inout ProtobufEncoder
  ) throws {
    if output == .partialMetadata {
      return try kind.appendItem(partialMetadata(object, header: "{\"metadata\":{")[...], to: &encoder)
    }
    guard resource.conversion == nil else {
      var json: [UInt8] = []
      appendItem(resource, object, to: &json)
      return try kind.appendItem(json[...], to: &encoder)
    }
    try kind.appendItem(
      object.bytes[...], resourceVersion: object.revision == 0 ? "" : String(object.revision), to: &encoder)
  }
}
