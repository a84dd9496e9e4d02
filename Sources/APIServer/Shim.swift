import API
import APIMachinery
import APIMeta
struct ObjectScan {
  var labels: [String: String] = [:]
  var uid = ""
  var hasDeletionTimestamp = false
  private let tree: JSONValue
  init(_ bytes: [UInt8]) throws {
    tree = try JSONValue(parsing: bytes)
    let meta = tree["metadata"]
    labels = (meta?["labels"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
    uid = meta?["uid"]?.stringValue ?? ""
    hasDeletionTimestamp = meta?["deletionTimestamp"] != nil
  }
  func field(path: [StaticString]) -> String? {
    var t: JSONValue? = tree
    for p in path { t = t?["\(p)"] }
    return t?.stringValue
  }
}
func strictErrors(_ bytes: [UInt8], schema: Schema) -> [String] { [] }
func pruned(_ v: JSONValue, _ s: Schema) -> JSONValue { v }
func applyJSONPatch(_ a: JSONValue, _ b: JSONValue) throws -> JSONValue { a }
func applyMergePatch(_ a: JSONValue, _ b: JSONValue) -> JSONValue { a }
func applyStrategicMergePatch(_ a: JSONValue, _ b: JSONValue, _ s: Schema) throws -> JSONValue { a }
func applyDefaults(to o: inout any APIObject) {}
func validateCreate(_ o: any APIObject) -> [FieldError] { [] }
func validateUpdate(_ o: any APIObject, old: any APIObject) -> [FieldError] { [] }
func validateStatusUpdate(_ o: any APIObject, old: any APIObject) -> [FieldError] { [] }
extension Registry {
  func trackFields(_ o: inout LiveObject, old: LiveObject?, _ c: WriteContext) throws {}
  func apply(_ c: WriteContext, _ r: ResourceRequest) async throws -> HTTPResponse { throw StatusError.badRequest("x") }
}
import HTTP
