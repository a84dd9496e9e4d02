internal import Storage

/// Reads of the log on a connection of their own.
final class History {
  private let database: Database
  private let eventsStatement: Statement
  private let previousStatement: Statement
  private let supersededStatement: Statement
  private let compactedStatement: Statement

  init(_ database: Database) throws {
    self.database = database
    eventsStatement = try database.prepare(
      """
      SELECT revision, key, deleted, created, previous, value FROM log
      WHERE revision > ? AND revision <= ? ORDER BY revision
      """)
    previousStatement = try database.prepare("SELECT created, value FROM log WHERE revision = ?")
    supersededStatement = try database.prepare(
      "SELECT revision, deleted, previous FROM log WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?")
    compactedStatement = try database.prepare("SELECT value FROM meta WHERE name = 'compacted'")
  }

  /// The writes under a prefix in `after..<=through`.
  func events(prefix: String, after: Revision, through: Revision) throws -> [StorageEvent] {
    // One read transaction, so that rows cannot be purged between the check and the last row.
    try database.execute("BEGIN")
    defer { try? database.execute("COMMIT") }
    defer { compactedStatement.reset() }
    let compacted = try compactedStatement.step() ? compactedStatement.revision(0) : 0
    guard after >= compacted else { throw StorageError.compacted(requested: after, compacted: compacted) }
    eventsStatement.bind(1, after)
    eventsStatement.bind(2, through)
    defer { eventsStatement.reset() }
    var found: [StorageEvent] = []
    while try eventsStatement.step() {
      let key = eventsStatement.text(1)
      guard key.hasPrefix(prefix) else { continue }
      let revision = eventsStatement.revision(0)
      let previous = try previous(eventsStatement.revision(4), key: key)
      let deleted = eventsStatement.integer(2) != 0
      let value = deleted ? previous?.value ?? [] : eventsStatement.blob(5)
      let current = StoredValue(
        key: key, value: value, createRevision: eventsStatement.revision(3), modRevision: revision)
      found.append(StorageEvent(kind: deleted ? .delete : .put, current: current, previous: previous))
    }
    return found
  }

  private func previous(_ revision: Revision, key: String) throws -> StoredValue? {
    guard revision != 0 else { return nil }
    previousStatement.bind(1, revision)
    defer { previousStatement.reset() }
    guard try previousStatement.step() else {
      throw StorageError.corrupt(path: database.path, detail: "row \(revision) is missing")
    }
    return StoredValue(
      key: key, value: previousStatement.blob(1), createRevision: previousStatement.revision(0),
      modRevision: revision)
  }

  /// A step of the compaction: rows that nothing after `through` can ask for, found among the writes after `after`,
  /// and the revision up to which they were looked for.
  func superseded(after: Revision, target: Revision, limit: Int) throws -> (rows: [Revision], through: Revision) {
    supersededStatement.bind(1, after)
    supersededStatement.bind(2, target)
    supersededStatement.bind(3, Int64(limit))
    defer { supersededStatement.reset() }
    var rows: [Revision] = []
    var seen = 0
    var last = after
    while try supersededStatement.step() {
      seen += 1
      last = supersededStatement.revision(0)
      let previous = supersededStatement.revision(2)
      if previous != 0 { rows.append(previous) }
      if supersededStatement.integer(1) != 0 { rows.append(last) }
    }
    return (rows, seen < limit ? target : last)
  }
}
