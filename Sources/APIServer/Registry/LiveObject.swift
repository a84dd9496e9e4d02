import API
import APIMachinery
import APIMeta

/// An object on its way through a mutation: typed where its kind has a type, a tree otherwise.
enum LiveObject: Sendable {
  case typed(any APIObject)
  case dynamic(DynamicObject)

  /// Reads stored or served bytes.
  init(_ resource: ServedResource, bytes: [UInt8]) throws {
    if let type = resource.type {
      self = .typed(try type.decode(bytes))
    } else {
      var object = try DynamicObject.decode(bytes)
      object.apiVersion = resource.storedVersion
      object.kind = resource.info.kind
      if let custom = resource.custom {
        custom.shape(&object.content)
      } else if let schema = resource.storedSchema {
        object.content = pruned(object.content, by: schema)
      }
      self = .dynamic(object)
    }
  }

  init(_ resource: ServedResource, cached: CachedObject) throws {
    if resource.custom != nil {
      var object = try DynamicObject.decode(resource.live(cached).bytes)
      object.apiVersion = resource.storedVersion
      object.kind = resource.info.kind
      self = .dynamic(object)
    } else {
      try self.init(resource, bytes: cached.bytes)
    }
    metadata.resourceVersion = String(cached.revision)
  }

  var metadata: ObjectMeta {
    get {
      switch self {
      case .typed(let object): object.metadata
      case .dynamic(let object): object.metadata
      }
    }
    set {
      switch self {
      case .typed(var object):
        object.metadata = newValue
        self = .typed(object)
      case .dynamic(var object):
        object.metadata = newValue
        self = .dynamic(object)
      }
    }
  }

  /// The object as one kind; nil when it is of another.
  func `as`<T: APIObject>(_ type: T.Type) -> T? {
    if case .typed(let object) = self { object as? T } else { nil }
  }

  /// Changes the object in place if it is of kind `T`.
  mutating func with<T: APIObject>(_ type: T.Type, _ change: (inout T) throws -> Void) rethrows {
    guard case .typed(let object) = self, var typed = object as? T else { return }
    try change(&typed)
    self = .typed(typed)
  }

  /// Whether two objects are the same, resourceVersion aside.
  func isSame(as other: LiveObject) -> Bool {
    func equal<T: APIObject>(_ a: T, _ b: any APIObject) -> Bool {
      guard var b = b as? T else { return false }
      b.metadata.resourceVersion = a.metadata.resourceVersion
      return a == b
    }
    switch (self, other) {
    case (.typed(let a), .typed(let b)): return equal(a, b)
    case (.dynamic(let a), .dynamic(var b)):
      b.metadata.resourceVersion = a.metadata.resourceVersion
      return a == b
    default: return false
    }
  }

  /// Stored form.
  func stored() -> [UInt8] {
    switch self {
    case .typed(var object):
      object.metadata.resourceVersion = ""
      return object.encoded()
    case .dynamic(var object):
      object.metadata.resourceVersion = ""
      return object.encoded()
    }
  }

  /// The stored form as a tree.
  func tree() throws -> JSONValue { try JSONValue(parsing: stored()) }
}

/// The byte ranges of an object's top-level fields.
func topLevelFields(_ bytes: [UInt8]) -> [String: Range<Int>] {
  var fields: [String: Range<Int>] = [:]
  try? JSONReader.withReader(bytes) { reader in
    try reader.beginObject()
    while let key = try reader.nextKey() {
      let name = key.string
      fields[name] = try reader.skipValue()
    }
  }
  return fields
}

/// Whether two objects in stored form agree in a top-level field, or in all but metadata and status.
func sameField(_ a: [UInt8], _ b: [UInt8], _ name: String) -> Bool {
  let left = topLevelFields(a)[name].map { a[$0] }
  let right = topLevelFields(b)[name].map { b[$0] }
  return left == right
}

func sameContent(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  func content(_ bytes: [UInt8]) -> [String: ArraySlice<UInt8>] {
    topLevelFields(bytes).filter { $0.key != "metadata" && $0.key != "status" }.mapValues { bytes[$0] }
  }
  return content(a) == content(b)
}
