import Storage

@testable import StorageSQLite

/// Rows of the log, read on a connection of its own.
func rows(_ path: String) throws -> Int64 {
  try Database(path: path, readOnly: true).integer("SELECT count(*) FROM log") ?? -1
}

func sqlite(_ path: String, _ sql: String) throws {
  try Database(path: path, readOnly: false).execute(sql)
}
