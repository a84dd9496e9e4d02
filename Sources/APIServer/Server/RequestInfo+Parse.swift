import APIMachinery
import HTTP

extension RequestInfo {
  private static let namespaceSubresources: Set<String> = ["status", "finalize"]
  /// A path `a/b/c` under one of these has no subresource in it.
  private static let verbsWithoutSubresource: Set<String> = ["proxy"]

  /// Reads what a request is about from its method, path and query, by upstream's rules.
  init(method: String, path: String, query: @autoclosure () -> [(String, String)]) {
    self.init()
    self.path = path
    verb = method.lowercased()
    var rest = path.utf8.split(separator: UInt8(ascii: "/")).map { Substring($0) }[...]
    guard rest.count >= 3, rest[0] == "api" || rest[0] == "apis" else { return }
    apiPrefix = String(rest.removeFirst())
    if apiPrefix == "apis" {
      guard rest.count >= 3 else {
        apiPrefix = ""
        return
      }
      apiGroup = String(rest.removeFirst())
    }
    isResource = true
    apiVersion = String(rest.removeFirst())
    switch method {
    case _ where rest.count > 1 && (rest.first == "watch" || rest.first == "proxy"):
      verb = String(rest.removeFirst())
    case "POST": verb = "create"
    case "GET", "HEAD": verb = "get"
    case "PUT": verb = "update"
    case "PATCH": verb = "patch"
    case "DELETE": verb = "delete"
    default: verb = ""
    }
    if rest.first == "namespaces", rest.count > 1 {
      namespace = String(rest[rest.startIndex + 1])
      if rest.count > 2, !Self.namespaceSubresources.contains(String(rest[rest.startIndex + 2])) {
        rest = rest.dropFirst(2)
      }
    }
    parts = rest.map(String.init)
    if parts.count > 0 { resource = parts[0] }
    if parts.count > 1 { name = parts[1] }
    if parts.count > 2, !Self.verbsWithoutSubresource.contains(verb) { subresource = parts[2] }
    guard name.isEmpty else { return }
    if verb == "get" || verb == "watch" {
      let query = query()
      if verb == "get" { verb = Self.asksToWatch(query) ? "watch" : "list" }
      // A selector of exactly one name lets rules with resource names apply to lists and watches.
      readSelectors(query)
      if !fieldSelector.isEmpty, let selector = try? Fields.Selector.parse(fieldSelector) {
        let exact = selector.requirements.first { $0.path == "metadata.name" && $0.op == .equals }?.value
        if let exact, !exact.contains("/"), !exact.contains("%"), exact != ".", exact != ".." { name = exact }
      }
    } else if verb == "delete" {
      verb = "deletecollection"
      readSelectors(query())
    }
  }

  private mutating func readSelectors(_ query: [(String, String)]) {
    fieldSelector = query.first { $0.0 == "fieldSelector" }?.1 ?? ""
    labelSelector = query.first { $0.0 == "labelSelector" }?.1 ?? ""
  }

  /// Go's reading of a boolean parameter: anything but `false` and `0` is true.
  static func asksToWatch(_ query: [(String, String)]) -> Bool {
    guard let value = query.first(where: { $0.0 == "watch" })?.1 else { return false }
    return value != "0" && value.lowercased() != "false"
  }

  /// Whether the request may run for as long as the client likes.
  var isLongRunning: Bool {
    guard isResource else { return path.hasPrefix("/debug/pprof/") }
    if verb == "watch" || verb == "proxy" { return true }
    return ["attach", "exec", "proxy", "log", "portforward"].contains(subresource)
  }

  var isMutating: Bool {
    isResource ? !["get", "list", "watch"].contains(verb) : !["get", "head", "options"].contains(verb)
  }
}
