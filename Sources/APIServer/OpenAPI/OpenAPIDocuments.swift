import APIMachinery
import APISchema
import HTTP
import Synchronization

/// The documents of the resources that a server serves: the built-in ones, which never change, and the custom ones, which
/// are described anew when they are next asked for after a change.
final class OpenAPIDocuments: Sendable {
  private struct State {
    var custom = CustomOpenAPI(resources: [])
    var remote: [String: String] = [:]
    /// Of custom kinds only.
    var added: OpenAPIService?
    /// Of everything, for version 2, which is one document.
    var whole: OpenAPIService?
  }

  private let builtIn: OpenAPIService
  private let resources: [ResourceInfo]
  private let version: String
  private let state = Mutex(State())

  init(version: ServerVersion, resources: [ResourceInfo] = builtInResources) {
    self.resources = resources.filter(\.enabledByDefault)
    self.version = version.gitVersion
    builtIn = OpenAPIService(resources: self.resources, schema: builtInSchema, version: self.version)
  }

  /// Describes other custom kinds from now on.
  func set(_ custom: CustomOpenAPI) {
    state.withLock { state in
      let remote = state.remote
      state = State(custom: custom)
      state.remote = remote
    }
  }

  /// Documents that other servers have: their hashes by name (`apis/group/version`).
  func setRemote(_ documents: [String: String]) { state.withLock { $0.remote = documents } }

  /// Of the custom kinds; nil if there are none.
  private var added: OpenAPIService? {
    state.withLock { state in
      if state.custom.resources.isEmpty { return nil }
      if let added = state.added { return added }
      let made = OpenAPIService(
        resources: state.custom.infos, schema: state.custom.table, version: version, custom: state.custom)
      state.added = made
      return made
    }
  }

  private var whole: OpenAPIService {
    state.withLock { state in
      if state.custom.resources.isEmpty { return builtIn }
      if let whole = state.whole { return whole }
      let table = SchemaTable(types: Array(builtInSchema.types) + state.custom.ownTypes)
      let made = OpenAPIService(
        resources: resources + state.custom.infos, schema: table, version: version, custom: state.custom)
      state.whole = made
      return made
    }
  }

  var paths: [String] { builtIn.paths + (added?.groupPaths ?? []) }

  func answer(path: String, query: [(String, String)], headers: HTTPFields) -> HTTPResponse? {
    let accept = headers.values("accept").joined(separator: ",")
    func ask(_ service: OpenAPIService) -> HTTPResponse? {
      service.respond(path: path, accept: accept, query: query, headers: headers)
    }
    if path == "/openapi/v2" { return ask(whole) }
    let remote = state.withLock { $0.remote }
    let added = added
    if path == "/openapi/v3" || path == "/openapi/v3/", added != nil || !remote.isEmpty {
      return builtIn.index(with: added, remote, headers)
    }
    guard let added else { return ask(builtIn) }
    // A group may have built-in and custom versions; each version has a document of its own.
    return added.groupPaths.contains(path) && !builtIn.paths.contains(path) ? ask(added) : ask(builtIn)
  }
}
