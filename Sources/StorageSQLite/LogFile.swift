internal import CSQLite
internal import Glibc
internal import Storage

/// The file on disk: a log of writes whose row id is the revision, and a few numbers beside it.
///
///     log(revision, key, deleted, created, previous, expires, value)     previous: the key's write before, 0 for none
///     meta(name, value)                                                  compacted, purged
///
/// There is no index by key: SQLite appends at the end of one tree, and the keys live in memory. `value` is the last
/// column, so that a scan that does not need it never touches its overflow pages.
enum LogFile {
  /// The layout written here. A file with a higher number belongs to a newer version.
  static let schema = 1
  /// "Apus" in the header, so that somebody else's database is not taken for a store.
  static let applicationID: Int64 = 0x4170_7573

  static let fileName = "store.db"

  /// What the log says when it is opened.
  struct Contents {
    var index: LiveIndex
    var revision: Revision
    var compacted: Revision
    var purged: Revision
    var expiries: [ExpiryHeap.Entry]
  }

  /// Opens the writer's connection and makes the tables where there are none.
  static func open(directory: String) throws -> Database {
    let path = directory + "/" + fileName
    // SQLite gives its other files the mode of this one.
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if descriptor >= 0 { Glibc.close(descriptor) }
    let database = try Database(path: path, readOnly: false)
    do {
      try check(database)
      try database.execute("PRAGMA journal_mode=WAL")
      try configure(database)
    } catch {
      database.close()
      throw error
    }
    database.watchLog()
    return database
  }

  /// What every connection is told.
  static func configure(_ database: Database) throws {
    try database.execute(
      "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY")
  }

  private static func check(_ database: Database) throws {
    let tables = try database.integer("SELECT count(*) FROM sqlite_schema") ?? 0
    if tables == 0 {
      try database.execute(
        """
        BEGIN IMMEDIATE;
        CREATE TABLE log(revision INTEGER PRIMARY KEY, key TEXT NOT NULL, deleted INTEGER NOT NULL,
          created INTEGER NOT NULL, previous INTEGER NOT NULL, expires INTEGER, value BLOB);
        CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO meta VALUES ('compacted', 0), ('purged', 0);
        PRAGMA application_id=\(applicationID);
        PRAGMA user_version=\(schema);
        COMMIT;
        """)
      return
    }
    guard try database.integer("PRAGMA application_id") == applicationID else {
      throw StorageError.corrupt(path: database.path, detail: "a database of another program")
    }
    let found = try database.integer("PRAGMA user_version") ?? 0
    guard found <= schema else {
      throw StorageError.newerSchema(path: database.path, found: Int(found), supported: schema)
    }
    guard found == schema else {
      throw StorageError.corrupt(path: database.path, detail: "schema \(found) was never written by any version")
    }
  }

  /// Reads the whole log once, newest first: the first row of a key is the one that counts.
  static func load(_ database: Database) throws -> Contents {
    let compacted = try meta(database, "compacted")
    let purged = try meta(database, "purged")
    let statement = try database.prepare(
      "SELECT revision, key, deleted, created, expires, value FROM log ORDER BY revision DESC")
    var seen: Set<String> = []
    var live: [StoredValue] = []
    var expiries: [ExpiryHeap.Entry] = []
    var newest: Revision = 0
    while try statement.step() {
      let revision = statement.revision(0)
      newest = max(newest, revision)
      let key = statement.text(1)
      guard seen.insert(key).inserted, statement.integer(2) == 0 else { continue }
      guard !statement.isNull(5), !key.isEmpty else {
        throw StorageError.corrupt(path: database.path, detail: "row \(revision) has no key or no value")
      }
      live.append(
        StoredValue(
          key: key, value: statement.blob(5), createRevision: statement.revision(3), modRevision: revision))
      if !statement.isNull(4) {
        expiries.append(ExpiryHeap.Entry(milliseconds: statement.integer(4), key: key, revision: revision))
      }
    }
    live.sort { $0.key < $1.key }
    return Contents(
      index: LiveIndex(sorted: live), revision: max(newest, compacted, 1), compacted: compacted, purged: purged,
      expiries: expiries)
  }

  private static func meta(_ database: Database, _ name: String) throws -> Revision {
    guard let value = try database.integer("SELECT value FROM meta WHERE name = '\(name)'"), value >= 0 else {
      throw StorageError.corrupt(path: database.path, detail: "no \(name) revision")
    }
    return Revision(value)
  }
}

/// The statements of the writer's connection.
final class LogWriter {
  private let beginStatement: Statement
  private let commitStatement: Statement
  private let rollbackStatement: Statement
  private let insertStatement: Statement
  private let purgeStatement: Statement
  private let metaStatement: Statement

  init(_ database: Database) throws {
    beginStatement = try database.prepare("BEGIN IMMEDIATE")
    commitStatement = try database.prepare("COMMIT")
    rollbackStatement = try database.prepare("ROLLBACK")
    insertStatement = try database.prepare(
      "INSERT INTO log(revision, key, deleted, created, previous, expires, value) VALUES (?, ?, ?, ?, ?, ?, ?)")
    purgeStatement = try database.prepare("DELETE FROM log WHERE revision = ?")
    metaStatement = try database.prepare("UPDATE meta SET value = ? WHERE name = ?")
  }

  func begin() throws { try beginStatement.run() }
  func commit() throws { try commitStatement.run() }
  /// An error may have rolled back already; then there is nothing left to do.
  func rollback() { try? rollbackStatement.run() }

  func insert(_ event: StorageEvent, expires: Int64?) throws {
    let current = event.current
    insertStatement.bind(1, current.modRevision)
    insertStatement.bind(3, event.kind == .delete ? Int64(1) : 0)
    insertStatement.bind(4, current.createRevision)
    insertStatement.bind(5, event.previous?.modRevision ?? Revision(0))
    if let expires { insertStatement.bind(6, expires) } else { insertStatement.bindNull(6) }
    var key = current.key
    try key.withUTF8 { key in
      insertStatement.bindText(2, key)
      if event.kind == .delete {
        insertStatement.bindNull(7)
        try insertStatement.run()
      } else {
        try current.value.withUnsafeBytes { value in
          insertStatement.bindBlob(7, value)
          try insertStatement.run()
        }
      }
    }
  }

  func purge(_ revision: Revision) throws {
    purgeStatement.bind(1, revision)
    try purgeStatement.run()
  }

  func setMeta(_ name: String, _ value: Revision) throws {
    metaStatement.bind(1, value)
    var name = name
    try name.withUTF8 { name in
      metaStatement.bindText(2, name)
      try metaStatement.run()
    }
  }
}
