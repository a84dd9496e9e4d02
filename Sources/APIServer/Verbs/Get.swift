import API
import APIMachinery
import HTTP
import Protobuf

extension Registry {
  /// One object that the cache can show at once; nil when it must catch up first.
  func getNow(_ resource: ServedResource, _ request: ResourceRequest) throws -> HTTPResponse? {
    guard isFresh(Freshness(get: request.parameter("resourceVersion")), resource) else { return nil }
    return try answer(200, resource, existing(resource, request.info.namespace, request.info.name), request)
  }

  /// One object, from the cache when it is new enough.
  func get(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let warnings = try await freshen(Freshness(get: request.parameter("resourceVersion")), resource)
    let object = try existing(resource, request.info.namespace, request.info.name)
    try await resource.prepare([object])
    return try answer(200, resource, object, request, warnings: warnings)
  }

  /// The object, or 404.
  func existing(_ resource: ServedResource, _ namespace: String, _ name: String) throws -> CachedObject {
    guard let cache = resource.cache, let object = cache.object(resource.key(namespace, name)) else {
      throw StatusError.notFound(resource.groupResource, name)
    }
    return object
  }

  /// An object in the form that the client asked for.
  func answer(
    _ status: Int, _ resource: ServedResource, _ object: CachedObject, _ request: ResourceRequest,
    warnings: [String] = []
  ) throws -> HTTPResponse {
    let bytes: [UInt8]
    switch request.form.output {
    case .object:
      if request.form.media == .protobuf, let kind = ProtobufKind.of(resource.gvk) {
        return protobufResponse(status, .bytes(try kind.envelope(object, resource)), warnings: warnings)
      }
      if resource.servesAsStored(object) {
        var response = HTTPResponse(
          status: status,
          body: .slices([
            resource.headerBytes[...], ArraySlice(object.versionField().utf8), object.tail,
          ]))
        response.headers.add("content-type", "application/json")
        response.headers.add("cache-control", "no-cache, private")
        addWarnings(warnings, to: &response)
        return response
      }
      bytes = resource.served(object)
    case .table: bytes = try table(resource, [object], version: String(object.revision), request)
    case .partialMetadata:
      bytes = partialMetadata(object, header: partialMetadataHeader)
    }
    return jsonResponse(status, bytes, warnings: warnings)
  }
}

extension ProtobufKind {
  /// A stored object as `resource` serves it.
  func envelope(_ object: CachedObject, _ resource: ServedResource) throws -> [UInt8] {
    if resource.conversion != nil { return try envelope(resource.served(object)[...]) }
    return try envelope(object.bytes[...], resourceVersion: object.revision == 0 ? "" : String(object.revision))
  }
}

let partialMetadataHeader = "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{"

/// An object cut down to its metadata.
func partialMetadata(_ object: CachedObject, header: String) -> [UInt8] {
  var out = Array(header.utf8)
  out.append(contentsOf: object.versionField().utf8)
  if let range = topLevelFields(object.bytes)["metadata"] {
    out.append(contentsOf: object.bytes[(range.lowerBound + 1)..<range.upperBound])
  } else {
    out.append(UInt8(ascii: "}"))
  }
  out.append(UInt8(ascii: "}"))
  return out
}
