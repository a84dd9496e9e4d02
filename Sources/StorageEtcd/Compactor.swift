internal import Logging
internal import Storage

/// Gives up old history at intervals. Of all servers on one etcd, stock ones included, the first to count up a certain
/// key does it; the others learn from it when they may try next.
struct Compactor {
  static let key = Array("compact_rev_key".utf8)

  let client: EtcdClient
  let compact: @Sendable (Revision) async throws -> Void
  private var version: UInt64 = 0
  private var revision: Revision = 0

  init(client: EtcdClient, compact: @escaping @Sendable (Revision) async throws -> Void) {
    self.client = client
    self.compact = compact
  }

  mutating func run() async {
    while !Task.isCancelled {
      do { try await Task.sleep(for: client.configuration.compactionInterval) } catch { return }
      do { try await round() } catch {
        client.logger.warning("compaction failed", metadata: ["error": "\(error)"])
      }
    }
  }

  /// One round: compacts to the revision of the last one, if no other server has done so since.
  mutating func round() async throws {
    let text = Array(String(revision).utf8)
    let request = KeyTxn(
      key: Self.key, comparisons: [.version(version)], change: .put(head: [], value: text, from: 0, lease: 0))
    let reply = try await client.write(EtcdMethod.txn, request.bytes)
    let answer = try CompactorAnswer(reply)
    let target = revision
    revision = answer.revision
    guard answer.succeeded else {
      version = answer.version
      return
    }
    version += 1
    if target > 0 { try await compact(target) }
  }
}

/// TxnResponse of the compactor's key, whose name begins with no slash.
struct CompactorAnswer {
  var succeeded = false
  var revision: Revision = 0
  var version: UInt64 = 0

  init(_ message: [UInt8]) throws {
    try message.withUnsafeBytes { buffer in
      var reader = ProtoReader(buffer)
      while let field = try reader.next() {
        switch field {
        case 1: revision = try ResponseHeader(reader.data()).revision
        case 2: succeeded = try reader.number() != 0
        case 3: try read(operation: reader.data())
        default: try reader.skip()
        }
      }
    }
  }

  private mutating func read(operation: UnsafeRawBufferPointer) throws {
    var reader = ProtoReader(operation)
    while let kind = try reader.next() {
      guard kind == 1 else {
        try reader.skip()
        continue
      }
      var range = ProtoReader(try reader.data())
      while let field = try range.next() {
        guard field == 2 else {
          try range.skip()
          continue
        }
        var item = ProtoReader(try range.data())
        while let field = try item.next() {
          if field == 4 { version = try item.number() } else { try item.skip() }
        }
      }
    }
  }
}
