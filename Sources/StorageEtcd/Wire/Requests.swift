internal import Storage

/// etcd's services and methods, as far as they are used.
enum EtcdMethod {
  static let range = "/etcdserverpb.KV/Range"
  static let txn = "/etcdserverpb.KV/Txn"
  static let compact = "/etcdserverpb.KV/Compact"
  static let watch = "/etcdserverpb.Watch/Watch"
  static let leaseGrant = "/etcdserverpb.Lease/LeaseGrant"
  static let status = "/etcdserverpb.Maintenance/Status"
}

/// RangeRequest.
struct RangeRequest {
  var key: [UInt8]
  /// Empty: the one key. A zero byte: every key from `key` on.
  var end: [UInt8] = []
  var limit = 0
  var revision: Revision = 0
  var keysOnly = false

  func write(to writer: inout ProtoWriter) {
    writer.data(1, key)
    writer.data(2, end)
    writer.number(3, UInt64(limit))
    writer.number(4, revision)
    writer.flag(8, keysOnly)
  }

  var bytes: [UInt8] {
    var writer = ProtoWriter(capacity: key.count + end.count + 16)
    write(to: &writer)
    return writer.bytes
  }
}

/// TxnRequest on one key: if it stands as wanted, put or delete it, else read it.
struct KeyTxn {
  enum Comparison {
    case exists
    case absent
    case modified(Revision)
    /// How many writes the key has had since it was made.
    case version(UInt64)
  }

  enum Change {
    /// `head` comes before the value's bytes from `from` on.
    case put(head: [UInt8], value: [UInt8], from: Int, lease: UInt64)
    case delete
  }

  var key: [UInt8]
  var comparisons: [Comparison]
  var change: Change

  var bytes: [UInt8] {
    var size = 64 + 4 * key.count
    if case .put(let head, let value, _, _) = change { size += head.count + value.count }
    var writer = ProtoWriter(capacity: size)
    for comparison in comparisons {
      writer.message(1) { inner in
        switch comparison {
        case .exists: inner.number(1, 1)  // VERSION, the target 0, GREATER than nothing.
        case .absent: inner.number(2, 1)  // CREATE
        case .modified(let revision):
          inner.number(2, 2)  // MOD
          inner.data(3, key)
          inner.number(6, revision)
          return
        case .version(let version):
          inner.data(3, key)
          inner.number(4, version)
          return
        }
        inner.data(3, key)
      }
    }
    switch change {
    case .delete:
      writer.message(2) { operation in
        operation.message(3) { $0.data(1, key) }
      }
    case .put(let head, let value, let from, let lease):
      writePut(head, value[from...], lease, to: &writer)
    }
    writer.message(3) { operation in
      operation.message(1) { RangeRequest(key: key).write(to: &$0) }
    }
    return writer.bytes
  }

  /// The put as the success operation, with lengths computed beforehand so that the value is copied once.
  private func writePut(_ head: [UInt8], _ value: ArraySlice<UInt8>, _ lease: UInt64, to writer: inout ProtoWriter) {
    var tail = ProtoWriter(capacity: 16)
    tail.number(3, lease)
    let length = head.count + value.count
    let valueField = length == 0 ? 0 : 1 + ProtoWriter.size(length) + length
    let put = 1 + ProtoWriter.size(key.count) + key.count + valueField + tail.bytes.count
    writer.begin(2, length: 1 + ProtoWriter.size(put) + put)
    writer.begin(2, length: put)
    writer.data(1, key)
    if length > 0 {
      writer.begin(2, length: length)
      writer.append(head)
      writer.append(value)
    }
    writer.append(tail.bytes)
  }
}

/// CompactionRequest.
func compactionRequest(_ revision: Revision) -> [UInt8] {
  var writer = ProtoWriter()
  writer.number(1, revision)
  return writer.bytes
}

/// WatchRequest that begins a watch of every key.
func watchRequest(from revision: Revision, previous: Bool) -> [UInt8] {
  var writer = ProtoWriter()
  writer.message(1) { create in
    create.data(1, [0])
    create.data(2, [0])
    create.number(3, revision)
    create.flag(6, previous)
    create.flag(8, true)  // Large answers in fragments.
  }
  return writer.bytes
}

/// LeaseGrantRequest.
func leaseGrantRequest(seconds: Int) -> [UInt8] {
  var writer = ProtoWriter()
  writer.number(1, UInt64(max(1, seconds)))
  return writer.bytes
}
