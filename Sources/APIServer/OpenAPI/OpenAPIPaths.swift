import APIMachinery
import APISchema

/// The paths of one group version: what its resources and subresources can do.
struct OpenAPIPaths {
  let schema: SchemaTable
  let group: String
  let version: String
  /// Custom kinds take no strategic merge patch: clients see from here which patch to send.
  let isCustom: Bool
  private let listQuery: [OpenAPIParameter]
  private let createQuery: [OpenAPIParameter]
  private let updateQuery: [OpenAPIParameter]
  private let patchQuery: [OpenAPIParameter]
  private let deleteQuery: [OpenAPIParameter]

  private static let pretty = OpenAPIParameter(name: "pretty")
  private static let namespace = OpenAPIParameter(name: "namespace", inPath: true)
  private static let name = OpenAPIParameter(name: "name", inPath: true)

  init(schema: SchemaTable, group: String, version: String, isCustom: Bool = false) {
    self.isCustom = isCustom
    self.schema = schema
    self.group = group
    self.version = version
    func query(_ options: String) -> [OpenAPIParameter] {
      Self.query(schema.type(named: OpenAPISchemas.meta + options))
    }
    listQuery = query("ListOptions")
    createQuery = query("CreateOptions")
    updateQuery = query("UpdateOptions")
    patchQuery = query("PatchOptions")
    deleteQuery = query("DeleteOptions")
  }

  /// The fields of an options type as query parameters; what cannot stand in a query is left out.
  private static func query(_ options: Schema?) -> [OpenAPIParameter] {
    (options?.fields ?? []).compactMap { field in
      if field.name == "apiVersion" || field.name == "kind" { return nil }
      switch field.type {
      case .object: return nil
      case .boolean: return OpenAPIParameter(name: field.name, type: "boolean")
      case .int32, .int64: return OpenAPIParameter(name: field.name, type: "integer")
      default: return OpenAPIParameter(name: field.name)
      }
    }
  }

  var base: String { group.isEmpty ? "/api/" + version : "/apis/" + group + "/" + version }
  private var tag: String { Self.groupTag(group) + "_" + version }
  private var idPart: String { Self.groupTag(group).capitalizedFirst + version.capitalizedFirst }

  /// `rbac.authorization.k8s.io` is `rbacAuthorization` in tags and operation ids.
  static func groupTag(_ group: String) -> String {
    if group.isEmpty { return "core" }
    let short = group.hasSuffix(".k8s.io") ? group.dropLast(7) : group[...]
    let parts = short.split(whereSeparator: { $0 == "." || $0 == "-" })
    return String(parts[0]) + parts.dropFirst().map { String($0).capitalizedFirst }.joined()
  }

  /// Every path of the group version.
  func paths(_ resources: [ResourceInfo]) -> [OpenAPIPath] {
    var paths = [discovery()]
    for info in resources where info.group == group && info.version == version {
      paths += collection(info) + item(info) + watches(info)
      for sub in info.subresources { paths += subresource(sub, of: info) }
    }
    return paths
  }

  private func discovery() -> OpenAPIPath {
    let operation = OpenAPIOperation(
      method: "get", id: "get\(idPart)APIResources", description: "get available resources", tag: tag,
      consumes: OpenAPIOperation.mediaTypes,
      responses: [(200, .type(OpenAPISchemas.meta + "APIResourceList"))])
    return OpenAPIPath(path: base + "/", operations: [operation])
  }

  // MARK: Collections

  private func collection(_ info: ResourceInfo) -> [OpenAPIPath] {
    var paths: [OpenAPIPath] = []
    let gvk = self.gvk(info)
    let kind = info.kind
    let scope = info.namespaced ? "Namespaced" : ""
    let scoped = info.namespaced ? [Self.namespace, Self.pretty] : [Self.pretty]
    if info.namespaced, info.verbs.contains("list") {
      paths.append(
        OpenAPIPath(
          path: "\(base)/\(info.resource)", operations: [list(info, "\(kind)ForAllNamespaces", [Self.pretty])]))
    }
    var operations: [OpenAPIOperation] = []
    if info.verbs.contains("deletecollection") {
      let watchOnly: Set = ["watch", "allowWatchBookmarks"]
      let query = Set(listQuery.filter { !watchOnly.contains($0.name) }).union(deleteQuery)
      operations.append(
        operation(
          "delete", "delete\(idPart)Collection\(scope)\(kind)", "delete collection of \(kind)", "deletecollection",
          gvk, scoped + query, body: .type(OpenAPISchemas.meta + "DeleteOptions"), bodyRequired: false,
          [(200, .type(OpenAPISchemas.meta + "Status"))]))
    }
    if info.verbs.contains("list") { operations.append(list(info, scope + kind, scoped)) }
    if info.verbs.contains("create") {
      let content = self.content(gvk)
      operations.append(
        operation(
          "post", "create\(idPart)\(scope)\(kind)", "create \(article(kind)) \(kind)", "post", gvk,
          scoped + createQuery, body: content, [(200, content), (201, content), (202, content)]))
    }
    if !operations.isEmpty {
      paths.append(OpenAPIPath(path: collectionPath(info), operations: operations))
    }
    return paths
  }

  private func list(_ info: ResourceInfo, _ suffix: String, _ parameters: [OpenAPIParameter]) -> OpenAPIOperation {
    let watch = info.verbs.contains("watch")
    var result = operation(
      "get", "list\(idPart)\(suffix)", (watch ? "list or watch" : "list") + " objects of kind \(info.kind)", "list",
      gvk(info), parameters + listQuery,
      [(200, content(GroupVersionKind(group: group, version: version, kind: info.kind + "List")))])
    if watch { result.produces = OpenAPIOperation.watchMediaTypes }
    return result
  }

  // MARK: Objects

  private func item(_ info: ResourceInfo) -> [OpenAPIPath] {
    let suffix = (info.namespaced ? "Namespaced" : "") + info.kind
    var operations = objectOperations(info.verbs, "specified \(info.kind)", suffix, gvk(info), named(info))
    if info.verbs.contains("delete") {
      let content =
        Self.returnsDeleted.contains(info.kind) ? content(gvk(info)) : .type(OpenAPISchemas.meta + "Status")
      operations.append(
        operation(
          "delete", "delete\(idPart)\(suffix)", "delete \(article(info.kind)) \(info.kind)", "delete", gvk(info),
          named(info) + deleteQuery, body: .type(OpenAPISchemas.meta + "DeleteOptions"), bodyRequired: false,
          [(200, content), (202, content)]))
    }
    return operations.isEmpty ? [] : [OpenAPIPath(path: itemPath(info), operations: operations)]
  }

  /// Kinds whose deletion answers with the object instead of a status.
  private static let returnsDeleted: Set = [
    "Pod", "PodTemplate", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "Service", "ServiceAccount",
    "CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass", "DeviceClass",
    "DeviceTaintRule", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice",
  ]

  private func objectOperations(
    _ verbs: [String], _ what: String, _ suffix: String, _ gvk: GroupVersionKind, _ parameters: [OpenAPIParameter]
  ) -> [OpenAPIOperation] {
    let content = self.content(gvk)
    var operations: [OpenAPIOperation] = []
    if verbs.contains("get") {
      operations.append(
        operation("get", "read\(idPart)\(suffix)", "read the \(what)", "get", gvk, parameters, [(200, content)]))
    }
    if verbs.contains("update") {
      operations.append(
        operation(
          "put", "replace\(idPart)\(suffix)", "replace the \(what)", "put", gvk, parameters + updateQuery,
          body: content, [(200, content), (201, content)]))
    }
    if verbs.contains("patch") {
      var patch = operation(
        "patch", "patch\(idPart)\(suffix)", "partially update the \(what)", "patch", gvk, parameters + patchQuery,
        body: .type(OpenAPISchemas.meta + "Patch"), [(200, content), (201, content)])
      patch.consumes = OpenAPIOperation.patchMediaTypes.filter { !isCustom || !$0.contains("strategic") }
      operations.append(patch)
    }
    return operations
  }

  // MARK: Watches by path

  private func watches(_ info: ResourceInfo) -> [OpenAPIPath] {
    guard info.verbs.contains("watch") else { return [] }
    let kind = info.kind
    let many = "watch individual changes to a list of \(kind). deprecated: use the 'watch' parameter with a list"
    let one = "watch changes to an object of kind \(kind). deprecated: use the 'watch' parameter with a list"
    func path(_ path: String, _ suffix: String, _ action: String, _ extra: [OpenAPIParameter]) -> OpenAPIPath {
      var result = operation(
        "get", "watch\(idPart)\(suffix)", action == "watch" ? one : many, action, gvk(info),
        [Self.pretty] + extra + listQuery, [(200, .type(OpenAPISchemas.meta + "WatchEvent"))])
      result.produces = OpenAPIOperation.watchMediaTypes
      return OpenAPIPath(path: path, operations: [result])
    }
    let root = base + "/watch/"
    guard info.namespaced else {
      return [
        path(root + info.resource, "\(kind)List", "watchlist", []),
        path(root + info.resource + "/{name}", kind, "watch", [Self.name]),
      ]
    }
    let scoped = root + "namespaces/{namespace}/" + info.resource
    return [
      path(root + info.resource, "\(kind)ListForAllNamespaces", "watchlist", []),
      path(scoped, "Namespaced\(kind)List", "watchlist", [Self.namespace]),
      path(scoped + "/{name}", "Namespaced\(kind)", "watch", [Self.namespace, Self.name]),
    ]
  }

  // MARK: Subresources

  private func subresource(_ sub: SubresourceInfo, of info: ResourceInfo) -> [OpenAPIPath] {
    let suffix = (info.namespaced ? "Namespaced" : "") + info.kind + sub.name.capitalizedFirst
    let gvk = GroupVersionKind(
      group: sub.version.isEmpty ? group : sub.group, version: sub.version.isEmpty ? version : sub.version,
      kind: sub.kind)
    let path = itemPath(info) + "/" + sub.name
    if sub.kind.hasSuffix("Options") { return connect(sub, suffix, info, gvk, path) }
    let what = "\(sub.name) of the specified \(info.kind)"
    var operations = objectOperations(sub.verbs, what, suffix, gvk, named(info))
    if sub.verbs.contains("create") {
      let content = self.content(gvk)
      operations.append(
        operation(
          "post", "create\(idPart)\(suffix)", "create \(sub.name) of \(article(info.kind)) \(info.kind)", "post", gvk,
          named(info) + createQuery, body: content, [(200, content), (201, content), (202, content)]))
    }
    if sub.name == "log", !operations.isEmpty {
      let options = GroupVersionKind(group: group, version: version, kind: info.kind + "LogOptions")
      operations[0].parameters += Self.query(schema.schema(for: options))
      operations[0].produces = ["text/plain"] + OpenAPIOperation.mediaTypes
      operations[0].responses = [(200, .string)]
    }
    return operations.isEmpty ? [] : [OpenAPIPath(path: path, operations: operations)]
  }

  /// Subresources that turn the request into a connection to something else.
  private func connect(
    _ sub: SubresourceInfo, _ suffix: String, _ info: ResourceInfo, _ gvk: GroupVersionKind, _ path: String
  ) -> [OpenAPIPath] {
    let proxy = sub.name == "proxy"
    let methods = proxy ? ["delete", "get", "head", "options", "patch", "post", "put"] : ["get", "post"]
    let query = Self.query(schema.schema(for: gvk))
    let parameters = named(info).filter { $0 != Self.pretty } + query
    func operations(_ tail: String, _ extra: [OpenAPIParameter]) -> [OpenAPIOperation] {
      methods.map { method in
        var result = operation(
          method, "connect\(idPart)\(method.capitalizedFirst)\(suffix)\(tail)",
          "connect \(method.uppercased()) requests to \(sub.name) of \(info.kind)", "connect", gvk,
          parameters + extra, [(200, .string)])
        result.produces = ["*/*"]
        return result
      }
    }
    var paths = [OpenAPIPath(path: path, operations: operations("", []))]
    if proxy {
      let tail = OpenAPIParameter(name: "path", inPath: true)
      paths.append(OpenAPIPath(path: path + "/{path}", operations: operations("WithPath", [tail])))
    }
    return paths
  }

  // MARK: Parts

  private func named(_ info: ResourceInfo) -> [OpenAPIParameter] {
    info.namespaced ? [Self.name, Self.namespace, Self.pretty] : [Self.name, Self.pretty]
  }

  private func collectionPath(_ info: ResourceInfo) -> String {
    base + (info.namespaced ? "/namespaces/{namespace}/" : "/") + info.resource
  }

  private func itemPath(_ info: ResourceInfo) -> String { collectionPath(info) + "/{name}" }

  private func gvk(_ info: ResourceInfo) -> GroupVersionKind {
    GroupVersionKind(group: group, version: version, kind: info.kind)
  }

  private func content(_ gvk: GroupVersionKind) -> OpenAPIContent? {
    schema.schema(for: gvk).map { .type($0.name) }
  }

  private func article(_ kind: String) -> String { "AEIOU".contains(kind.prefix(1)) ? "an" : "a" }

  private func operation(
    _ method: String, _ id: String, _ description: String, _ action: String, _ gvk: GroupVersionKind,
    _ parameters: [OpenAPIParameter], body: OpenAPIContent? = nil, bodyRequired: Bool = true,
    _ responses: [(code: Int, content: OpenAPIContent?)]
  ) -> OpenAPIOperation {
    OpenAPIOperation(
      method: method, id: id, description: description, tag: tag, action: action, gvk: gvk, parameters: parameters,
      body: body, bodyRequired: bodyRequired, responses: responses)
  }
}
