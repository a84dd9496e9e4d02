/// `metadata.managedFields` as sets by manager.
struct ManagedFields: Sendable, Equatable {
  /// Who manages fields: for updates each API version counts apart, for applies it does not.
  struct Manager: Sendable, Hashable {
    var name: String
    /// "Apply" or "Update".
    var operation: String
    /// "" for Apply.
    var apiVersion: String
    var subresource: String

    /// `"kubectl" using apps/v1`, as conflicts name a manager.
    var shown: String {
      var text = goQuoted(name)
      if !subresource.isEmpty { text += " with subresource \(goQuoted(subresource))" }
      return operation == "Update" ? text + " using \(apiVersion)" : text
    }
  }

  struct Entry: Sendable, Equatable {
    var fields: RecordedFields
    var apiVersion: String
    var time: Time?
  }

  var entries: [Manager: Entry] = [:]

  init() {}

  /// Reads the list; nil if an entry cannot be understood.
  init?(_ list: JSONValue?) {
    guard case .array? = list else {
      self.init()
      return
    }
    self.init(bytes: (list ?? .null).encoded()[...])
  }

  /// Reads the list from its JSON; the sets of fields are not looked at until they are needed.
  init?(bytes: ArraySlice<UInt8>) {
    do {
      try JSONReader.withReader(bytes) { reader in
        if try reader.readNull() { return }
        try reader.beginArray()
        while try reader.nextElement() {
          var manager = Manager(name: "", operation: "", apiVersion: "", subresource: "")
          var time: Time?
          var fields = RecordedFields.set(FieldSet())
          try reader.beginObject()
          while let key = try reader.nextKey() {
            if key.equals("fieldsV1") {
              if try reader.peek() == .object {
                fields = .raw(Array(reader.bytes(in: try reader.skipValue())))
              } else {
                try reader.skipValue()
              }
            } else if key.equals("manager") {
              manager.name = try String(from: &reader)
            } else if key.equals("operation") {
              manager.operation = try String(from: &reader)
            } else if key.equals("apiVersion") {
              manager.apiVersion = try String(from: &reader)
            } else if key.equals("subresource") {
              manager.subresource = try String(from: &reader)
            } else if key.equals("time") {
              time = try Time?(from: &reader)
            } else if key.equals("fieldsType") {
              guard try reader.string() == "FieldsV1" else { throw unreadable }
            } else {
              try reader.skipValue()
            }
          }
          let version = manager.apiVersion
          switch manager.operation {
          case "Update": break
          case "Apply": manager.apiVersion = ""
          default: throw unreadable
          }
          if version.isEmpty { throw unreadable }
          entries[manager] = Entry(fields: fields, apiVersion: version, time: time)
        }
      }
    } catch { return nil }
  }

  private var unreadable: JSONError { JSONError(message: "unreadable managed fields", offset: 0) }

  /// Applies first, then by time and name.
  var sorted: [(Manager, Entry)] {
    entries.sorted { a, b in
      if a.key.operation != b.key.operation { return a.key.operation < b.key.operation }
      let (x, y) = (a.value.time?.seconds ?? .min, b.value.time?.seconds ?? .min)
      if x != y { return x < y }
      if a.key.name != b.key.name { return a.key.name < b.key.name }
      if a.value.apiVersion != b.value.apiVersion { return a.value.apiVersion < b.value.apiVersion }
      return a.key.subresource < b.key.subresource
    }.map { ($0.key, $0.value) }
  }

  /// The list as `metadata.managedFields` holds it.
  func encode(to writer: inout JSONWriter) {
    writer.beginArray()
    for (manager, entry) in sorted {
      ManagedFields.writeEntry(manager, entry.apiVersion, entry.time, &writer) { entry.fields.encode(to: &$0) }
    }
    writer.endArray()
  }

  static func writeEntry(
    _ manager: Manager, _ apiVersion: String, _ time: Time?, _ writer: inout JSONWriter,
    fields: (inout JSONWriter) -> Void
  ) {
    writer.beginObject()
    if !manager.name.isEmpty {
      writer.key("manager")
      writer.string(manager.name)
    }
    writer.key("operation")
    writer.string(manager.operation)
    writer.key("apiVersion")
    writer.string(apiVersion)
    if let time, !time.isZero {
      writer.key("time")
      time.encode(to: &writer)
    }
    writer.key("fieldsType")
    writer.string("FieldsV1")
    writer.key("fieldsV1")
    fields(&writer)
    if !manager.subresource.isEmpty {
      writer.key("subresource")
      writer.string(manager.subresource)
    }
    writer.endObject()
  }

  /// The list as a tree; nil if nobody manages anything.
  var tree: JSONValue? {
    if entries.isEmpty { return nil }
    return .array(
      sorted.map { manager, entry in
        var item: [String: JSONValue] = [
          "operation": .string(manager.operation), "apiVersion": .string(entry.apiVersion), "fieldsType": "FieldsV1",
          "fieldsV1": entry.fields.set.tree,
        ]
        if !manager.name.isEmpty { item["manager"] = .string(manager.name) }
        if let time = entry.time, !time.isZero { item["time"] = .string(time.description) }
        if !manager.subresource.isEmpty { item["subresource"] = .string(manager.subresource) }
        return .object(item)
      })
  }

  /// Takes fields that changed from everybody but `except`, and fields that are gone too. Without `force` the fields
  /// that others manage are returned as conflicts instead.
  mutating func yield(
    _ comparison: Comparison, except: Manager?, force: Bool
  ) -> [(Manager, FieldSet)] {
    let changed = comparison.modified.union(comparison.added)
    var conflicts: [(Manager, FieldSet)] = []
    for (manager, entry) in entries where manager != except {
      if force || entry.fields.count(of: changed) == 0 { continue }
      let conflict = entry.fields.set.intersection(changed)
      if !conflict.isEmpty { conflicts.append((manager, conflict)) }
    }
    if !force && !conflicts.isEmpty { return conflicts }
    let lost = changed.union(comparison.removed)
    for (manager, entry) in entries where manager != except {
      if entry.fields.count(of: lost) == 0 { continue }
      let rest = entry.fields.set.subtracting(lost)
      entries[manager] = rest.isEmpty ? nil : Entry(fields: .set(rest), apiVersion: entry.apiVersion, time: entry.time)
    }
    return []
  }

  /// Beyond ten updaters the oldest are kept as one per API version.
  mutating func cap(_ limit: Int = 10) {
    let updaters = sorted.filter { $0.0.operation == "Update" }
    var count = updaters.count
    var first: [String: Manager] = [:]
    for (manager, entry) in updaters where count > limit {
      guard let oldest = first[entry.apiVersion] else {
        first[entry.apiVersion] = manager
        continue
      }
      let bucket = Manager(
        name: "ancient-changes", operation: "Update", apiVersion: entry.apiVersion, subresource: "")
      let kept = entries[bucket] ?? entries.removeValue(forKey: oldest)
      entries[manager] = nil
      entries[bucket] = Entry(
        fields: .set(entry.fields.set.union(kept?.fields.set ?? FieldSet())), apiVersion: entry.apiVersion,
        time: entry.time)
      count -= 1
    }
  }
}

extension FieldSet {
  /// fieldsV1 as a tree. Its members' order is the tree's, not upstream's.
  var tree: JSONValue {
    var out: [String: JSONValue] = [:]
    for (step, child) in children {
      var below = child.tree
      if child.isMember && !child.children.isEmpty { below["."] = .object([:]) }
      out[step] = below
    }
    return .object(out)
  }
}
