import API
import APIMachinery
import HTTP
import Protobuf

/// Media types that a body may have.
let acceptedBodies = ResponseMedia.allCases.map(\.rawValue)

extension Registry {
  /// The request's body as JSON bytes, with its type checked against the resource's.
  func jsonBody(_ request: ResourceRequest, kind: GroupVersionKind) throws -> [UInt8] {
    let bytes: [UInt8]
    switch request.contentType {
    case "application/json", "": bytes = request.body
    case "application/yaml", "application/x-yaml", "text/yaml":
      do { bytes = try yamlToJSON(request.body) } catch {
        throw unrecognized(kind, "error converting YAML to JSON: \(error)", request.body)
      }
    case KubernetesProtobuf.mediaType:
      do { bytes = try KubernetesProtobuf.json(request.body, default: kind) } catch let error as ProtobufError {
        guard !error.kind.isEmpty else { throw unrecognized(kind, "\(error)", request.body) }
        let version = error.apiVersion.split(separator: "/").last ?? ""
        throw StatusError.badRequest(
          "\(error.kind) in version \"\(version)\" cannot be handled as a \(kind.kind): \(error)")
      }
    default: throw StatusError.unsupportedMediaType(accepted: acceptedBodies)
    }
    return bytes
  }

  func unrecognized(_ kind: GroupVersionKind, _ problem: String, _ body: [UInt8]) -> StatusError {
    let shown: String
    if body.first == UInt8(ascii: "{") {
      shown =
        body.count > 30
        ? String(decoding: body.prefix(30), as: UTF8.self) + " ..." : String(decoding: body, as: UTF8.self)
    } else {
      let digits = Array("0123456789abcdef")
      shown =
        body.prefix(30).map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined()
        + (body.count > 30 ? " ..." : "")
    }
    return .badRequest(
      "the object provided is unrecognized (must be of type \(kind.kind)): \(problem) (\(shown))")
  }

  func cannotHandle(_ kind: GroupVersionKind, _ problem: String) -> StatusError {
    .badRequest(
      "\(kind.kind) in version \"\(kind.version)\" cannot be handled as a \(kind.kind): \(problem)")
  }

  /// Reads the body of a create or update: checks its type, and its fields as far as the client wants that.
  func decodeBody(
    _ resource: ServedResource, _ request: ResourceRequest, _ options: WriteOptions, _ warnings: Warnings,
    kind: GroupVersionKind? = nil, schema: Schema? = nil
  ) throws -> RawObject {
    let kind = kind ?? resource.gvk
    let bytes = try jsonBody(request, kind: kind)
    let raw: RawObject
    do { raw = try RawObject(bytes) } catch {
      throw unrecognized(kind, "couldn't get version/kind; json parse error: \(message(error))", request.body)
    }
    let sentVersion = raw.string("apiVersion") ?? ""
    let sentKind = raw.string("kind") ?? ""
    if !sentKind.isEmpty, sentKind != kind.kind {
      throw cannotHandleOther(kind, sent: sentKind, version: sentVersion)
    }
    if !sentVersion.isEmpty, sentVersion != kind.apiVersion {
      throw StatusError.badRequest(
        "the API version in the data (\(sentVersion)) does not match the expected API version (\(kind.apiVersion))")
    }
    if options.fieldValidation != .ignore, let schema = schema ?? resource.schema {
      let errors = strictErrors(bytes, schema)
      if !errors.isEmpty {
        if options.fieldValidation == .strict {
          throw cannotHandle(kind, strictDecodingMessage(errors))
        }
        for error in errors { warnings.add(error) }
      }
    }
    return raw
  }

  private func cannotHandleOther(_ kind: GroupVersionKind, sent: String, version: String) -> StatusError {
    .badRequest(
      "\(sent) in version \"\(version.split(separator: "/").last ?? "")\" cannot be handled as a \(kind.kind): "
        + "converting (\(version), Kind=\(sent)) to (\(kind.apiVersion), Kind=\(kind.kind)): unknown conversion")
  }

  /// The object in a body, in stored version; `change` sees its top-level fields before they are decoded.
  func object(
    _ resource: ServedResource, _ raw: RawObject, change: (inout RawObject) throws -> Void = { _ in }
  ) throws -> LiveObject {
    var raw = raw
    if resource.conversion == nil { try change(&raw) }
    let sent = raw.encoded()
    do {
      guard let conversion = resource.conversion else { return try LiveObject(resource, bytes: sent) }
      var tree = try JSONValue(parsing: sent)
      conversion.toStored(&tree)
      var bytes = storedForm(tree)
      if let version = tree["metadata"]?["resourceVersion"]?.stringValue, !version.isEmpty {
        // Stored form has no version, but an update's precondition must survive.
        bytes =
          Array("{\"metadata\":{\"resourceVersion\":\"\(version)\"".utf8)
          + (bytes[13] == UInt8(ascii: "}") ? [] : [UInt8(ascii: ",")]) + bytes[13...]
      }
      var converted = try RawObject(bytes)
      try change(&converted)
      return try LiveObject(resource, bytes: converted.encoded())
    } catch let error as JSONError {
      guard resource.conversion == nil, let schema = resource.schema else {
        throw cannotHandle(resource.gvk, error.message)
      }
      throw cannotHandle(resource.gvk, goDecodeMessage(error, in: sent, schema: schema))
    }
  }

  func message(_ error: any Error) -> String { (error as? JSONError)?.message ?? "\(error)" }
}
