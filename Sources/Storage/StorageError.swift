/// What a store can answer instead of a result.
public enum StorageError: Error, Sendable, Equatable {
  /// The revision asked for lies before the compaction.
  case compacted(requested: Revision, compacted: Revision)
  /// The revision asked for has not happened yet.
  case future(requested: Revision, current: Revision)
  /// The store was closed.
  case closed
  /// Another server has the directory open.
  case locked(directory: String, holder: String)
  /// The files were written by a newer version.
  case newerSchema(path: String, found: Int, supported: Int)
  /// The files cannot be read as a store.
  case corrupt(path: String, detail: String)
  /// The engine could not do it: disk full, I/O error, permissions.
  case engine(String)
  /// The store cannot be reached at the moment, and nothing was done.
  case unavailable(String)
  /// The store did not answer in time: a write may have been done, or may yet be.
  case timeout(String)
}

extension StorageError: CustomStringConvertible {
  /// One line for a log or a terminal.
  public var description: String {
    switch self {
    case .compacted(let requested, let compacted):
      return "revision \(requested) is compacted, the oldest one kept is \(compacted)"
    case .future(let requested, let current):
      return "revision \(requested) is in the future, the store is at \(current)"
    case .closed: return "the store is closed"
    case .locked(let directory, let holder):
      return "the store in \(directory) is in use by another server\(holder.isEmpty ? "" : " (process \(holder))")"
    case .newerSchema(let path, let found, let supported):
      return "\(path) has schema \(found), written by a newer version; this one knows up to schema \(supported)"
    case .corrupt(let path, let detail): return "\(path) is damaged or not a store: \(detail)"
    case .engine(let detail): return "storage engine: \(detail)"
    case .unavailable(let detail): return "the store cannot be reached: \(detail)"
    case .timeout(let detail): return "the store did not answer in time: \(detail)"
    }
  }
}
