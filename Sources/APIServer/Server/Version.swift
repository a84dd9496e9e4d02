import APIMachinery
import HTTP

/// What `/version` says.
struct ServerVersion: Sendable {
  static let major = "1"
  static let minor = "36"
  let gitVersion: String

  var document: [UInt8] {
    #if arch(arm64)
      let platform = "linux/arm64"
    #else
      let platform = "linux/amd64"
    #endif
    var writer = JSONWriter()
    writer.beginObject()
    for (key, value) in [
      ("major", Self.major), ("minor", Self.minor), ("emulationMajor", Self.major), ("emulationMinor", Self.minor),
      ("minCompatibilityMajor", Self.major), ("minCompatibilityMinor", "35"), ("gitVersion", gitVersion),
      ("gitCommit", ""), ("gitTreeState", "clean"), ("buildDate", "1970-01-01T00:00:00Z"), ("goVersion", ""),
      ("compiler", "swiftc"), ("platform", platform),
    ] {
      writer.key(key)
      writer.string(value)
    }
    writer.endObject()
    return writer.bytes
  }
}

/// A small answer of plain text.
func textResponse(_ status: Int, _ text: String) -> HTTPResponse {
  var response = HTTPResponse(status: status, body: .bytes(Array(text.utf8)))
  response.headers.add("content-type", "text/plain; charset=utf-8")
  response.headers.add("x-content-type-options", "nosniff")
  return response
}
