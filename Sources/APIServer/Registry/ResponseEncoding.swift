import APIMachinery
import HTTP
import NIOCore
import Protobuf
import Synchronization

/// The last step of every answer that is an object: from JSON into the form that the client asked for, and smaller if
/// it is large and the client can undo that. What is no JSON any more passes unchanged.
func encoded(_ response: HTTPResponse, as form: ResponseForm, _ request: HTTPFields) -> HTTPResponse {
  var response = response
  if form.media != .json || form.pretty, response.headers["content-type"] == "application/json" {
    switch form.media {
    case .json: response.body = indented(response.body)
    case .yaml: yaml(&response)
    case .protobuf: protobuf(&response)
    }
  }
  compress(&response, request)
  return response
}

/// An answer of protobuf bytes, with warnings.
func protobufResponse(_ status: Int, _ body: HTTPResponseBody, warnings: [String] = []) -> HTTPResponse {
  var response = HTTPResponse(status: status, body: body)
  response.headers.add("content-type", KubernetesProtobuf.mediaType)
  response.headers.add("cache-control", "no-cache, private")
  addWarnings(warnings, to: &response)
  return response
}

/// An error in the form that the client asked for.
func errorResponse(
  _ error: any Error, _ headers: HTTPFields, query: [(String, String)], accept: String? = nil
) -> HTTPResponse {
  var form = ResponseForm.forErrors(accept ?? headers["accept"] ?? "")
  if ResponseForm.wantsPretty(query, headers) { form.pretty = true }
  return encoded(errorResponse(error), as: form, headers)
}

// MARK: - Media

/// The bytes of a body; nil for one that goes on without an end.
private func collected(_ body: HTTPResponseBody) -> [UInt8]? {
  switch body {
  case .none, .stream: return nil
  case .bytes(let bytes): return bytes
  case .slices(let slices):
    var all: [UInt8] = []
    all.reserveCapacity(slices.reduce(0) { $0 + $1.count })
    for slice in slices { all.append(contentsOf: slice) }
    return all
  case .pull(let next):
    var all: [UInt8] = []
    while let piece = next() { all.append(contentsOf: piece.readableBytesView) }
    return all
  }
}

private func yaml(_ response: inout HTTPResponse) {
  guard let bytes = collected(response.body) else { return }
  do {
    response.body = .bytes(try yamlText(bytes))
    response.headers["content-type"] = ResponseMedia.yaml.rawValue
  } catch { response = errorResponse(error) }
}

private func protobuf(_ response: inout HTTPResponse) {
  guard let bytes = collected(response.body) else { return }
  do {
    // What has no protobuf form stays JSON; clients go by the media type of what they get.
    guard let envelope = try KubernetesProtobuf.envelope(bytes) else { return response.body = .bytes(bytes) }
    response.body = .bytes(envelope)
    response.headers["content-type"] = KubernetesProtobuf.mediaType
  } catch { response = errorResponse(error) }
}

private func indented(_ body: HTTPResponseBody) -> HTTPResponseBody {
  guard case .pull(let next) = body else {
    guard let bytes = collected(body) else { return body }
    var indent = JSONIndent()
    return .bytes(indent.add(bytes))
  }
  let state = Mutex(JSONIndent())
  return .pull { next().map { piece in ByteBuffer(bytes: state.withLock { $0.add(piece.readableBytesView) }) } }
}

// MARK: - Size

/// Smaller answers are not worth the work.
private let compressedFrom = 128 << 10

private func compress(_ response: inout HTTPResponse, _ request: HTTPFields) {
  switch response.body {
  case .none, .stream: return
  case .bytes(let bytes): if bytes.count <= compressedFrom { return }
  case .slices(let slices): if slices.reduce(0, { $0 + $1.count }) <= compressedFrom { return }
  case .pull: break
  }
  guard request.elements("accept-encoding").contains("gzip"), response.headers["content-encoding"] == nil else {
    return
  }
  guard let gzip = GzipStream() else { return }
  response.headers.add("content-encoding", "gzip")
  response.headers.add("vary", "Accept-Encoding")
  let source = Pieces(response.body)
  response.body = .pull {
    // A piece may vanish in the compressor's window; an empty buffer would tell the connection nothing.
    while !gzip.ended {
      let piece = source.next()
      let out = gzip.add(piece ?? [], last: piece == nil)
      if !out.isEmpty { return ByteBuffer(bytes: out) }
    }
    return nil
  }
}

/// A body in pieces of moderate size.
private final class Pieces: Sendable {
  private let body: HTTPResponseBody
  private let at = Mutex((slice: 0, offset: 0))

  init(_ body: HTTPResponseBody) { self.body = body }

  func next() -> [UInt8]? {
    switch body {
    case .none, .stream: return nil
    case .bytes(let bytes): return next(of: [bytes[...]])
    case .slices(let slices): return next(of: slices)
    case .pull(let next): return next().map { Array($0.readableBytesView) }
    }
  }

  private func next(of slices: [ArraySlice<UInt8>]) -> [UInt8]? {
    at.withLock { at in
      while at.slice < slices.count {
        let rest = slices[at.slice].dropFirst(at.offset)
        if !rest.isEmpty {
          let piece = rest.prefix(compressedFrom)
          at.offset += piece.count
          return Array(piece)
        }
        at = (at.slice + 1, 0)
      }
      return nil
    }
  }
}
