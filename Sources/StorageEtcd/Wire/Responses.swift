internal import Storage

/// ResponseHeader.
struct ResponseHeader {
  var cluster: UInt64 = 0
  var revision: Revision = 0

  init() {}

  init(_ buffer: UnsafeRawBufferPointer) throws {
    var reader = ProtoReader(buffer)
    while let field = try reader.next() {
      switch field {
      case 1: cluster = try reader.number()
      case 3: revision = try reader.number()
      default: try reader.skip()
      }
    }
  }
}

/// What is read of a message that has nothing but a header of interest, or one number beside it.
struct HeaderOnly {
  var header = ResponseHeader()
  var number: UInt64 = 0
  var text = ""

  /// `number` and `text` name fields to keep.
  init(_ message: [UInt8], number wanted: UInt64 = 0, text wantedText: UInt64 = 0) throws {
    try message.withUnsafeBytes { buffer in
      var reader = ProtoReader(buffer)
      while let field = try reader.next() {
        switch field {
        case 1: header = try ResponseHeader(reader.data())
        case wanted: number = try reader.number()
        case wantedText: text = String(decoding: try reader.data(), as: UTF8.self)
        default: try reader.skip()
        }
      }
    }
  }
}

/// KeyValue, in the form that the layout gives it.
struct KeyValue {
  var value: StoredValue
  /// Writes since the key was made; 0 in a deletion.
  var version: UInt64

  /// Nil for keys that are not ours.
  init?(_ buffer: UnsafeRawBufferPointer, _ layout: EtcdLayout) throws {
    var reader = ProtoReader(buffer)
    var key = UnsafeRawBufferPointer(start: nil, count: 0)
    var bytes = key
    var create: Revision = 0
    var modified: Revision = 0
    version = 0
    while let field = try reader.next() {
      switch field {
      case 1: key = try reader.data()
      case 2: create = try reader.number()
      case 3: modified = try reader.number()
      case 4: version = try reader.number()
      case 5: bytes = try reader.data()
      default: try reader.skip()
      }
    }
    guard let (name, place) = layout.inner(key) else { return nil }
    value = StoredValue(
      key: name, value: layout.inner(bytes, place), createRevision: create, modRevision: modified)
  }
}

/// RangeResponse.
struct RangeResponse {
  var header = ResponseHeader()
  var values: [StoredValue] = []
  /// Of the last value.
  var version: UInt64 = 0
  var more = false
  /// The last key as etcd has it, where the next page goes on.
  var lastKey: [UInt8] = []

  init(_ message: [UInt8], _ layout: EtcdLayout) throws {
    self = try message.withUnsafeBytes { try RangeResponse($0, layout) }
  }

  init(_ buffer: UnsafeRawBufferPointer, _ layout: EtcdLayout) throws {
    var reader = ProtoReader(buffer)
    var last = UnsafeRawBufferPointer(start: nil, count: 0)
    while let field = try reader.next() {
      switch field {
      case 1: header = try ResponseHeader(reader.data())
      case 2:
        last = try reader.data()
        if let item = try KeyValue(last, layout) {
          values.append(item.value)
          version = item.version
        }
      case 3: more = try reader.number() != 0
      default: try reader.skip()
      }
    }
    guard more else { return }
    var item = ProtoReader(last)
    while let field = try item.next() {
      if field == 1 { lastKey = Array(try item.data()) } else { try item.skip() }
    }
  }
}

/// TxnResponse of a `KeyTxn`.
struct TxnResponse {
  var header = ResponseHeader()
  var succeeded = false
  /// What stands there, when the comparison failed.
  var current: StoredValue?
  var version: UInt64 = 0

  init(_ message: [UInt8], _ layout: EtcdLayout) throws {
    try message.withUnsafeBytes { buffer in
      var reader = ProtoReader(buffer)
      while let field = try reader.next() {
        switch field {
        case 1: header = try ResponseHeader(reader.data())
        case 2: succeeded = try reader.number() != 0
        case 3:
          var operation = ProtoReader(try reader.data())
          while let kind = try operation.next() {
            guard kind == 1 else {
              try operation.skip()
              continue
            }
            let range = try RangeResponse(operation.data(), layout)
            current = range.values.first
            version = range.version
          }
        default: try reader.skip()
        }
      }
    }
  }
}

/// WatchResponse.
struct WatchResponse {
  enum Change {
    case put(KeyValue, previous: StoredValue?)
    case delete(key: String, Revision, previous: StoredValue?)
    /// A key that is not ours: it counts, and that is all.
    case foreign(Revision)
    /// Somebody is about to compact.
    case compaction(Revision, to: Revision)

    var revision: Revision {
      switch self {
      case .put(let item, _): item.value.modRevision
      case .delete(_, let revision, _), .foreign(let revision), .compaction(let revision, _): revision
      }
    }
  }

  var header = ResponseHeader()
  var created = false
  var canceled = false
  var compacted: Revision = 0
  var reason = ""
  var fragment = false
  var changes: [Change] = []

  init(_ message: [UInt8], _ layout: EtcdLayout) throws {
    try message.withUnsafeBytes { buffer in
      var reader = ProtoReader(buffer)
      while let field = try reader.next() {
        switch field {
        case 1: header = try ResponseHeader(reader.data())
        case 3: created = try reader.number() != 0
        case 4: canceled = try reader.number() != 0
        case 5: compacted = try reader.number()
        case 6: reason = String(decoding: try reader.data(), as: UTF8.self)
        case 7: fragment = try reader.number() != 0
        case 11: changes.append(try Self.change(reader.data(), layout))
        default: try reader.skip()
        }
      }
    }
  }

  private static func change(_ buffer: UnsafeRawBufferPointer, _ layout: EtcdLayout) throws -> Change {
    var reader = ProtoReader(buffer)
    var isDelete = false
    var item = UnsafeRawBufferPointer(start: nil, count: 0)
    var previous: StoredValue?
    while let field = try reader.next() {
      switch field {
      case 1: isDelete = try reader.number() == 1
      case 2: item = try reader.data()
      case 3: previous = try KeyValue(reader.data(), layout)?.value
      default: try reader.skip()
      }
    }
    if let found = try KeyValue(item, layout) {
      return isDelete
        ? .delete(key: found.value.key, found.value.modRevision, previous: previous)
        : .put(found, previous: previous)
    }
    return try foreign(item)
  }

  private static func foreign(_ buffer: UnsafeRawBufferPointer) throws -> Change {
    var reader = ProtoReader(buffer)
    var revision: Revision = 0
    var isCompaction = false
    var value: Revision?
    while let field = try reader.next() {
      switch field {
      case 1: isCompaction = try reader.data().elementsEqual(Compactor.key)
      case 3: revision = try reader.number()
      case 5: value = Revision(String(decoding: try reader.data(), as: UTF8.self))
      default: try reader.skip()
      }
    }
    if isCompaction, let value { return .compaction(revision, to: value) }
    return .foreign(revision)
  }
}
