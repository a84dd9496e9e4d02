import Glibc

extension Comparison {
  /// Compares two encoded objects, without their managed fields. Values that are written alike are not looked into,
  /// and only those that differ and are no objects become trees.
  init(from old: [UInt8], to new: [UInt8], _ shape: Shape) throws {
    self.init()
    try old.withUnsafeBufferPointer { a in
      try new.withUnsafeBufferPointer { b in
        try members(a, b, shape, at: .root)
      }
    }
  }

  private enum Place { case root, metadata, deeper }

  private struct Member {
    var name: JSONKey
    var value: UnsafeBufferPointer<UInt8>
    var matched = false
  }

  private static func isSame(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let p = a.baseAddress, let q = b.baseAddress else { return a.count == b.count }
    return a.count == b.count && memcmp(p, q, a.count) == 0
  }

  private static func tree(_ bytes: UnsafeBufferPointer<UInt8>) throws -> JSONValue {
    try JSONReader.withReader(bytes) { try $0.value() }
  }

  private mutating func members(
    _ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>, _ shape: Shape, at place: Place
  ) throws {
    try JSONReader.withReader(a) { before in
      // The reader keeps the names' bytes alive while they are used below.
      var old: [Member] = []
      try before.beginObject()
      while let key = try before.nextKey() {
        old.append(Member(name: key, value: before.bytes(in: try before.skipValue())))
      }
      try JSONReader.withReader(b) { after in
        var next = 0
        try after.beginObject()
        while let key = try after.nextKey() {
          let value = after.bytes(in: try after.skipValue())
          if place == .metadata, key.equals("managedFields") { continue }
          if next >= old.count || !Self.isSame(old[next].name.utf8, key.utf8) {
            guard let found = old.firstIndex(where: { Self.isSame($0.name.utf8, key.utf8) }) else {
              try differ(key, nil, value, shape, at: place)
              continue
            }
            next = found
          }
          old[next].matched = true
          let was = old[next].value
          next += 1
          if !Self.isSame(was, value) { try differ(key, was, value, shape, at: place) }
        }
      }
      for member in old where !member.matched {
        if place == .metadata, member.name.equals("managedFields") { continue }
        try differ(member.name, member.value, nil, shape, at: place)
      }
    }
  }

  private mutating func differ(
    _ key: JSONKey, _ old: UnsafeBufferPointer<UInt8>?, _ new: UnsafeBufferPointer<UInt8>?, _ shape: Shape,
    at place: Place
  ) throws {
    let name = key.string
    let below = shape.member(name)
    var child = Comparison()
    if let old, let new, old.first == UInt8(ascii: "{"), new.first == UInt8(ascii: "{"), !below.isLeaf {
      try child.members(old, new, below, at: place == .root && name == "metadata" ? .metadata : .deeper)
    } else {
      try child.compare(old.map(Self.tree), new.map(Self.tree), below)
    }
    if !child.isEmpty { attach("f:" + name, child) }
  }
}

extension Shape {
  var isLeaf: Bool { if case .leaf = self { true } else { false } }
}
