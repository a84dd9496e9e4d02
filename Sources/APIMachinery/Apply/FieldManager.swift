/// Keeps `metadata.managedFields` for one kind and subresource, and performs server-side apply.
///
/// ```
/// create   created(object)               fields that differ from an empty object
/// update   update(live, new, manager)    changed fields move to the writer, removed ones leave everybody
/// apply    apply(live, config, manager)  merge, drop what is no longer applied, conflicts unless forced
/// ```
public struct FieldManager: Sendable {
  let schema: Schema
  let shape: Shape
  let apiVersion: String
  let subresource: String
  let ignored: FieldSet
  /// An object of the kind in which nothing is set.
  let empty: JSONValue

  /// For a kind; `ignored` are the fields that writes through this (sub)resource cannot set, `status` for the main one.
  public init(schema: Schema, apiVersion: String, subresource: String = "", ignored: FieldSet = FieldSet()) {
    self.schema = schema
    shape = .structure(schema)
    self.apiVersion = apiVersion
    self.subresource = subresource
    self.ignored = ignored
    empty = emptyObject(schema)
  }

  /// Upstream's name for what was there before anybody tracked fields.
  public static let beforeFirstApply = "before-first-apply"

  /// Fields that every object has by itself; nobody manages them.
  static let stripped: FieldSet = {
    var paths: [[String]] = [["apiVersion"], ["kind"], ["metadata"]]
    for name in [
      "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
      "resourceVersion",
    ] { paths.append(["metadata", name]) }
    return FieldSet(paths: paths)
  }()

  private func manager(_ name: String, _ operation: String) -> ManagedFields.Manager {
    .init(
      name: name, operation: operation, apiVersion: operation == "Apply" ? "" : apiVersion, subresource: subresource)
  }

  /// What a write's user agent or `fieldManager` parameter makes a manager's name.
  public static func managerName(fieldManager: String?, userAgent: String?) -> String {
    if let fieldManager, !fieldManager.isEmpty { return fieldManager }
    let agent = userAgent ?? ""
    let name = agent.prefix { $0 != "/" }
    return String(name.prefix(128))
  }

  // MARK: Create and update

  /// A created object with its managed fields.
  public func create(_ object: JSONValue, manager name: String, now: Time) -> JSONValue {
    update(live: nil, new: object, manager: name, now: now)
  }

  /// An object after a write that is no apply, with its managed fields; `live` is nil on create.
  ///
  /// A write that changes nothing keeps the recorded times, so that it can be seen to change nothing.
  public func update(live: JSONValue?, new: JSONValue, manager name: String, now: Time) -> JSONValue {
    var new = new
    let given = new["metadata"]?["managedFields"]
    let recorded = live?["metadata"]?["managedFields"]
    var managed: ManagedFields
    if !subresource.isEmpty {
      managed = ManagedFields(recorded) ?? ManagedFields()
    } else if given == [[:]] {
      managed = ManagedFields()  // asks for a new start
    } else if let read = ManagedFields(given), !read.entries.isEmpty {
      managed = read
    } else {
      managed = ManagedFields(recorded) ?? ManagedFields()
    }
    new["metadata"]?["managedFields"] = nil
    if live != nil && managed.entries.isEmpty { return new }  // nobody tracked it from the start
    var old = live ?? empty
    old["metadata"]?["managedFields"] = nil
    record(Comparison(from: old, to: new, shape).excluding(ignored), in: &managed, manager: name, now: now)
    new["metadata"]?["managedFields"] = managed.tree
    return new
  }

  /// Moves what changed to the writer.
  func record(_ comparison: Comparison, in managed: inout ManagedFields, manager name: String, now: Time) {
    if comparison.isEmpty { return }
    let mine = comparison.modified.union(comparison.added).subtracting(Self.stripped)
    let id = manager(name, "Update")
    let before = managed.entries[id]
    _ = managed.yield(comparison, except: nil, force: true)
    if !mine.isEmpty {
      // What the writer owned of it already was yielded like everybody else's, and comes back here.
      let fields: RecordedFields
      if let before, before.fields.count(of: mine) == mine.count, comparison.removed.isEmpty {
        fields = before.fields
      } else {
        fields = managed.entries[id]?.fields.union(mine) ?? .set(mine)
      }
      managed.entries[id] = .init(fields: fields, apiVersion: apiVersion, time: now)
    }
    managed.cap()
  }

  // MARK: Apply

  /// Server-side apply: the new object with its managed fields. `live` is nil if there is none yet.
  public func apply(
    live: JSONValue?, config: JSONValue, manager name: String, force: Bool, now: Time
  ) throws(StatusError) -> JSONValue {
    if case .array(let given)? = config["metadata"]?["managedFields"], !given.isEmpty {
      throw .badRequest("metadata.managedFields must be nil")
    }
    var config = config
    config["metadata"]?["managedFields"] = nil
    if let message = ApplyCheck(config, schema).message {
      let about =
        "\(config["metadata"]?["namespace"]?.stringValue ?? "")/\(config["metadata"]?["name"]?.stringValue ?? "")"
      let kind =
        "\(config["apiVersion"]?.stringValue ?? apiVersion), Kind=\(config["kind"]?.stringValue ?? schema.goName)"
      throw StatusError(
        code: 500, reason: "", message: "failed to create typed patch object (\(about); \(kind)): \(message)")
    }
    var old = live ?? empty
    var managed = ManagedFields(old["metadata"]?["managedFields"]) ?? ManagedFields()
    old["metadata"]?["managedFields"] = nil
    if live != nil && managed.entries.isEmpty {
      // What stands there belongs to whoever wrote it before fields were tracked.
      let all = Comparison(from: empty, to: old, shape)
      let fields = all.added.union(all.modified).subtracting(Self.stripped)
      let id = ManagedFields.Manager(
        name: Self.beforeFirstApply, operation: "Update", apiVersion: apiVersion, subresource: "")
      if !fields.isEmpty { managed.entries[id] = .init(fields: .set(fields), apiVersion: apiVersion, time: now) }
    }
    let id = manager(name, "Apply")
    let before = managed
    var result = old
    do {
      result = try merge(old, config, id, &managed, force: force)
    } catch {
      // kubectl that applied from its side before may take over what its annotation records.
      guard name == "kubectl", let allowed = fieldsOfLastApplied(old) else { throw Self.conflictError(error.conflicts) }
      let rest = error.conflicts.map { ($0.0, $0.1.subtracting(allowed)) }.filter { !$0.1.isEmpty }
      guard rest.isEmpty else { throw Self.conflictError(rest) }
      managed = before
      do { result = try merge(old, config, id, &managed, force: true) } catch {
        throw Self.conflictError(error.conflicts)
      }
    }
    // Only the times tell a repeated apply from the one before, so they stay.
    if result == old, managed == before, live != nil {
      result["metadata"]?["managedFields"] = live?["metadata"]?["managedFields"]
      return result
    }
    managed.entries[id]?.time = now
    managed.cap()
    result["metadata"]?["managedFields"] = managed.tree
    return result
  }

  private struct Conflict: Error {
    var conflicts: [(ManagedFields.Manager, FieldSet)]
  }

  private func merge(
    _ old: JSONValue, _ config: JSONValue, _ id: ManagedFields.Manager, _ managed: inout ManagedFields, force: Bool
  ) throws(Conflict) -> JSONValue {
    var merged = mergedForApply(old, config, shape)
    let last = managed.entries[id]
    let claimed = FieldSet(of: config, shape).subtractingRecursively(ignored).subtracting(Self.stripped)
    managed.entries[id] = .init(fields: .set(claimed), apiVersion: apiVersion, time: last?.time)
    if let last = last?.fields.set, !last.isEmpty {
      var owned = FieldSet()
      for entry in managed.entries.values { owned = owned.union(entry.fields.set) }
      let gone = last.withNamedParents(shape).subtracting(owned.withNamedParents(shape))
      if !gone.isEmpty { merged = removing(gone, from: merged, shape) ?? .object([:]) }
    }
    let conflicts = managed.yield(
      Comparison(from: old, to: merged, shape).excluding(ignored), except: id, force: force)
    if !conflicts.isEmpty { throw Conflict(conflicts: conflicts) }
    if claimed.isEmpty { managed.entries[id] = nil }
    return merged
  }

  private func fieldsOfLastApplied(_ live: JSONValue) -> FieldSet? {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration"
    guard let text = live["metadata"]?["annotations"]?[annotation]?.stringValue,
      let config = try? JSONValue(parsing: Array(text.utf8))
    else { return nil }
    return FieldSet(of: config, shape)
  }

  private static func conflictError(_ conflicts: [(ManagedFields.Manager, FieldSet)]) -> StatusError {
    let list = conflicts.map { ($0.0.shown, $0.1.paths) }.sorted { $0.0 < $1.0 }
    let all = list.flatMap { manager, paths in paths.map { (manager, $0) } }
    let message: String
    if all.count == 1 {
      message = "Apply failed with 1 conflict: conflict with \(all[0].0): \(all[0].1)"
    } else {
      let lines = list.flatMap { manager, paths in ["conflicts with \(manager):"] + paths.map { "- \($0)" } }
      message = "Apply failed with \(all.count) conflicts: " + lines.joined(separator: "\n")
    }
    let causes = all.map {
      StatusError.Cause(reason: "FieldManagerConflict", message: "conflict with \($0.0)", field: $0.1)
    }
    return StatusError(
      code: 409, reason: "Conflict", message: message, details: StatusError.Details(causes: causes))
  }
}

/// How Go writes an object of the type in which nothing is set: what cannot be left out is there.
func emptyObject(_ schema: Schema) -> JSONValue {
  var members: [String: JSONValue] = [:]
  for field in schema.fields {
    switch field.type {
    case .object:
      if !field.ptr, let target = field.target, target !== schema {
        members[field.name] = emptyObject(target)
      } else if field.always {
        members[field.name] = .null
      }
    case _ where !field.always: break
    case .string: members[field.name] = field.ptr ? .null : ""
    case .boolean: members[field.name] = field.ptr ? .null : false
    case .int32, .int64, .double: members[field.name] = field.ptr ? .null : 0
    default: members[field.name] = .null
    }
  }
  return .object(members)
}
