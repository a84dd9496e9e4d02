import API
import APIMachinery
import HTTP
import NIOCore
import Storage
import Synchronization

/// One page of a collection.
struct ListPage {
  var objects: [CachedObject]
  var revision: Revision
  var continueToken: String?
  var remaining: Int?
}

extension Registry {
  /// A list that the cache can answer at once; nil when it must wait, look into the past, or is a large table.
  func listNow(_ resource: ServedResource, _ request: ResourceRequest) throws -> HTTPResponse? {
    let query = try ListQuery(request.query)
    if query.watch { return nil }
    let predicate = try query.predicate(resource, namespace: request.info.namespace)
    // Going through very many objects is no work for an event loop.
    if query.limit == 0, query.indexValue(resource) == nil, predicate.name == nil, (resource.cache?.count ?? 0) > 20_000
    {
      return nil
    }
    guard isFresh(Freshness(list: query), resource) else { return nil }
    guard let page = try cachedPage(resource, query, predicate) else { return nil }
    // Nor is turning many of them into something else.
    if request.form.output == .table || request.form.media != .json || request.form.pretty, page.objects.count > 200 {
      return nil
    }
    return try answer(resource, page, request)
  }

  func list(_ resource: ServedResource, _ request: ResourceRequest) async throws -> HTTPResponse {
    let query = try ListQuery(request.query)
    if query.watch { return try await watch(resource, request) }
    let predicate = try query.predicate(resource, namespace: request.info.namespace)
    if query.match == .exact, let version = query.resourceVersion { try await reach(version, resource) }
    let warnings = try await freshen(Freshness(list: query), resource)
    let page: ListPage
    if let cached = try cachedPage(resource, query, predicate) {
      page = cached
    } else {
      page = try await storedPage(resource, query, predicate)
    }
    try await resource.prepare(page.objects)
    var response = try answer(resource, page, request)
    addWarnings(warnings, to: &response)
    return response
  }

  /// A page from the cache's present state, if that is the state asked for.
  private func cachedPage(_ resource: ServedResource, _ query: ListQuery, _ predicate: Predicate) throws
    -> ListPage?
  {
    guard let cache = resource.cache else { return nil }
    var after: String?
    var pinned: Revision?
    if let text = query.continueToken {
      if let version = query.resourceVersion, version != 0 {
        throw StatusError.badRequest("specifying resource version is not allowed when using continue")
      }
      let token = try ContinueToken(text)
      after = token.after
      pinned = token.revision
    } else if query.match == .exact {
      pinned = query.resourceVersion
    }
    if query.continueToken == nil, let name = predicate.name, !name.isEmpty,
      predicate.namespace.isEmpty == !resource.info.namespaced, pinned == nil
    {
      let snapshot = cache.snapshot()
      let object = snapshot.objects[resource.key(predicate.namespace, name)].flatMap {
        predicate.matches($0) ? $0 : nil
      }
      return ListPage(objects: object.map { [$0] } ?? [], revision: snapshot.revision)
    }
    if query.limit == 0, query.continueToken == nil, pinned == nil, let value = query.indexValue(resource) {
      let (objects, revision) = cache.indexed(value)
      try checkReached(query, revision)
      return ListPage(objects: objects.filter(predicate.matches), revision: revision)
    }
    let snapshot = cache.snapshot()
    if let pinned {
      // The present state is the pinned one if nothing has changed since.
      if pinned > snapshot.revision { return nil }
      if cache.lastChange > pinned { return nil }
    } else if let version = query.resourceVersion, version > snapshot.revision {
      return nil
    }
    return page(
      query, predicate, after: after, revision: pinned ?? snapshot.revision
    ) { prefix, after, body in snapshot.objects.forEach(prefix: prefix, after: after) { body($1) } }
  }

  private func checkReached(_ query: ListQuery, _ revision: Revision) throws {
    if let version = query.resourceVersion, version > revision {
      throw StatusError.tooLargeResourceVersion(version, current: revision)
    }
  }

  private func page(
    _ query: ListQuery, _ predicate: Predicate, after: String?, revision: Revision,
    each: (String, String?, (CachedObject) -> Bool) -> Void
  ) -> ListPage {
    let prefix = predicate.namespace.isEmpty ? "" : predicate.namespace + "/"
    // Tokens carry keys relative to the collection, as upstream's do.
    let start = after.map { prefix + $0 }
    var page = ListPage(objects: [], revision: revision)
    var last: CachedObject?
    var rest = 0
    each(prefix, start) { object in
      if query.limit > 0, page.objects.count == query.limit {
        if rest == 0, let last {
          page.continueToken = ContinueToken(revision: revision, after: String(last.key.dropFirst(prefix.count))).text
        }
        rest += 1
        return predicate.labels.isEmpty && predicate.fields.isEmpty
      }
      last = object
      if predicate.matches(object) { page.objects.append(object) }
      return true
    }
    if page.continueToken != nil, predicate.labels.isEmpty, predicate.fields.isEmpty { page.remaining = rest }
    return page
  }

  /// A page of a past state, from the store's history.
  private func storedPage(_ resource: ServedResource, _ query: ListQuery, _ predicate: Predicate) async throws
    -> ListPage
  {
    guard let cache = resource.cache else { throw StatusError.notFound(resource.groupResource, "") }
    let token = try query.continueToken.map { try ContinueToken($0) }
    guard let revision = token?.revision ?? query.resourceVersion else {
      throw StatusError.internalError("list without a revision")
    }
    let prefix = cache.prefix + (predicate.namespace.isEmpty ? "" : predicate.namespace + "/")
    let after = token.map { prefix + $0.after }
    do {
      let stored = try await storage.list(prefix: prefix, after: after, limit: nil, at: revision)
      let objects = stored.items.map { value in
        CachedObject(
          key: String(value.key.dropFirst(cache.prefix.utf8.count)), bytes: value.value,
          revision: value.modRevision, index: resource.traits.index)
      }
      return page(query, predicate, after: nil, revision: revision) { _, _, body in
        for object in objects where !body(object) { break }
      }
    } catch StorageError.compacted {
      guard let token else { throw StatusError.expired("The resourceVersion for the provided list is too old.") }
      throw ExpiredContinue(token: ContinueToken(revision: nil, after: token.after).text)
    }
  }

  // MARK: - Answers

  func answer(_ resource: ServedResource, _ page: ListPage, _ request: ResourceRequest) throws -> HTTPResponse {
    if request.form.media == .protobuf, let response = try protobufAnswer(resource, page, request.form.output) {
      return response
    }
    switch request.form.output {
    case .table:
      let bytes = try table(
        resource, page.objects, version: String(page.revision), continueToken: page.continueToken,
        remaining: page.remaining, request)
      return jsonResponse(200, bytes)
    case .partialMetadata:
      let head = listHead("PartialObjectMetadataList", "meta.k8s.io/v1", page)
      return listResponse(head, page.objects) { object, out in
        out.append(contentsOf: partialMetadata(object, header: partialMetadataHeader))
      }
    case .object:
      let head = listHead(resource.listKind, resource.apiVersion, page)
      return listResponse(head, page.objects) { object, out in self.appendItem(resource, object, to: &out) }
    }
  }

  func appendItem(_ resource: ServedResource, _ object: CachedObject, to out: inout [UInt8]) {
    if resource.servesAsStored(object) {
      object.appendItem(to: &out, header: "{\"metadata\":{")
    } else if resource.custom != nil {
      out.append(contentsOf: resource.served(object))
    } else if let tree = try? resource.tree(object) {
      CachedObject(key: object.key, bytes: storedForm(tree), revision: object.revision, index: nil)
        .appendItem(to: &out, header: "{\"metadata\":{")
    }
  }

  func listHead(_ kind: String, _ apiVersion: String, _ page: ListPage) -> [UInt8] {
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    writer.key("kind")
    writer.string(kind)
    writer.key("apiVersion")
    writer.string(apiVersion)
    writer.key("metadata")
    writer.beginObject()
    writer.key("resourceVersion")
    writer.string(String(page.revision))
    if let token = page.continueToken {
      writer.key("continue")
      writer.string(token)
    }
    if let remaining = page.remaining {
      writer.key("remainingItemCount")
      writer.int(Int64(remaining))
    }
    writer.endObject()
    writer.endObject()
    var bytes = writer.bytes
    bytes.removeLast()
    bytes.append(contentsOf: ",\"items\":[".utf8)
    return bytes
  }

  /// Small lists in one piece, large ones made chunk by chunk as the client takes them.
  private func listResponse(
    _ head: [UInt8], _ objects: [CachedObject],
    _ append: @escaping @Sendable (CachedObject, inout [UInt8]) -> Void
  ) -> HTTPResponse {
    let size = objects.reduce(head.count) { $0 + $1.bytes.count + 48 }
    let chunk = 128 << 10
    let state = Mutex((next: 0, ended: false))
    let piece: @Sendable () -> [UInt8]? = {
      state.withLock { state in
        if state.ended { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(min(size, chunk + 8192))
        if state.next == 0 { out.append(contentsOf: head) }
        while state.next < objects.count, out.count < chunk {
          if state.next > 0 { out.append(UInt8(ascii: ",")) }
          append(objects[state.next], &out)
          state.next += 1
        }
        if state.next == objects.count {
          out.append(contentsOf: "]}".utf8)
          state.ended = true
        }
        return out
      }
    }
    if size <= chunk { return jsonResponse(200, piece() ?? []) }
    var response = HTTPResponse(status: 200, body: .pull { piece().map { ByteBuffer(bytes: $0) } })
    response.headers.add("content-type", "application/json")
    response.headers.add("cache-control", "no-cache, private")
    return response
  }
}

/// A continue token whose state is gone: 410 with a token for an inconsistent rest.
struct ExpiredContinue: Error {
  var token: String

  var status: StatusError {
    .expired(
      "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        + "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
        + "the results. Continuing with the provided token results in an inconsistent list - objects that were "
        + "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
        + "list.")
  }

  /// The Status with the token in its metadata.
  var body: [UInt8] {
    guard var tree = try? JSONValue(parsing: status.encoded()) else { return status.encoded() }
    tree["metadata"] = .object(["continue": .string(token)])
    return tree.encoded()
  }
}
