internal import CSQLite
internal import Storage

/// One SQLite connection, used by one thread at a time.
///
/// `@unchecked Sendable`: a connection is opened on one thread and handed once to the thread that uses it from then
/// on; SQLite allows that for connections opened without its own mutex.
final class Database: @unchecked Sendable {
  let path: String
  private var handle: OpaquePointer?
  private let walPagesCell = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

  init(path: String, readOnly: Bool) throws {
    self.path = path
    walPagesCell.initialize(to: 0)
    let access = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let code = sqlite3_open_v2(path, &handle, access | SQLITE_OPEN_NOMUTEX, nil)
    guard code == SQLITE_OK else {
      let failure = error(code)
      close()
      throw failure
    }
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, 10_000)
  }

  deinit {
    close()
    walPagesCell.deallocate()
  }

  /// Closes the connection. Statements must be finalized before.
  func close() {
    sqlite3_close_v2(handle)
    handle = nil
  }

  /// Counts the pages of the write-ahead log from now on; also switches off SQLite's own checkpoints.
  func watchLog() {
    sqlite3_wal_hook(
      handle,
      { cell, _, _, pages in
        cell?.assumingMemoryBound(to: Int32.self).pointee = pages
        return SQLITE_OK
      }, walPagesCell)
  }

  /// Pages in the write-ahead log after the last commit.
  var walPages: Int { Int(walPagesCell.pointee) }

  func execute(_ sql: String) throws {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw error(code) }
  }

  func prepare(_ sql: String) throws -> Statement {
    var pointer: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
    guard code == SQLITE_OK, let pointer else { throw error(code) }
    return Statement(pointer, database: self)
  }

  /// The first column of the first row, nil without one or when it is NULL.
  func integer(_ sql: String) throws -> Int64? {
    let statement = try prepare(sql)
    guard try statement.step(), !statement.isNull(0) else { return nil }
    return statement.integer(0)
  }

  /// Moves what it can from the write-ahead log into the database file without waiting for anybody.
  /// Returns the frames in the log and how many of them are done.
  func checkpoint() throws -> (frames: Int, done: Int) {
    var frames: Int32 = 0
    var done: Int32 = 0
    let code = sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, &frames, &done)
    if code & 0xFF == SQLITE_BUSY { return (Int(max(frames, 0)), Int(max(done, 0))) }
    guard code == SQLITE_OK else { throw error(code) }
    return (Int(max(frames, 0)), Int(max(done, 0)))
  }

  func error(_ code: Int32) -> StorageError {
    let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
    switch code & 0xFF {
    case SQLITE_CORRUPT, SQLITE_NOTADB: return .corrupt(path: path, detail: message)
    default: return .engine("\(path): \(message) (SQLite code \(code))")
    }
  }
}

/// A prepared statement. Belongs to its connection's thread.
final class Statement {
  private let pointer: OpaquePointer
  private let database: Database

  init(_ pointer: OpaquePointer, database: Database) {
    self.pointer = pointer
    self.database = database
  }

  deinit {
    sqlite3_finalize(pointer)
  }

  func bind(_ index: Int32, _ value: Int64) {
    sqlite3_bind_int64(pointer, index, value)
  }

  func bind(_ index: Int32, _ value: Revision) {
    sqlite3_bind_int64(pointer, index, Int64(bitPattern: value))
  }

  func bindNull(_ index: Int32) {
    sqlite3_bind_null(pointer, index)
  }

  /// Binds without copying: the memory must stay until the statement was run.
  func bindText(_ index: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
    let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
    sqlite3_bind_text64(pointer, index, start, UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
  }

  /// Binds without copying: the memory must stay until the statement was run.
  func bindBlob(_ index: Int32, _ bytes: UnsafeRawBufferPointer) {
    if let start = bytes.baseAddress, !bytes.isEmpty {
      sqlite3_bind_blob64(pointer, index, start, UInt64(bytes.count), nil)
    } else {
      sqlite3_bind_zeroblob(pointer, index, 0)
    }
  }

  /// True when a row stands there.
  func step() throws -> Bool {
    let code = sqlite3_step(pointer)
    switch code {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default:
      let failure = database.error(code)
      sqlite3_reset(pointer)
      throw failure
    }
  }

  /// Runs a statement that has no rows and makes it ready for the next time.
  func run() throws {
    while try step() {}
    sqlite3_reset(pointer)
  }

  func reset() {
    sqlite3_reset(pointer)
  }

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(pointer, column) == SQLITE_NULL }
  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(pointer, column) }
  func revision(_ column: Int32) -> Revision { Revision(bitPattern: sqlite3_column_int64(pointer, column)) }

  func text(_ column: Int32) -> String {
    guard let start = sqlite3_column_text(pointer, column) else { return "" }
    let count = Int(sqlite3_column_bytes(pointer, column))
    return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }

  func blob(_ column: Int32) -> [UInt8] {
    guard let start = sqlite3_column_blob(pointer, column) else { return [] }
    let count = Int(sqlite3_column_bytes(pointer, column))
    return Array(UnsafeRawBufferPointer(start: start, count: count))
  }
}
