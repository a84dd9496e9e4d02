/// Holds the fields of a large API type behind one reference, copied when a shared one is changed.
///
/// A pod costs a few references to copy; equality looks at identity before it looks at fields.
public struct COWBox<Values: Equatable & Sendable>: Equatable, Sendable {
  /// Unchecked: `values` only changes while the reference is unique, so no two tasks ever see a change.
  @usableFromInline final class Storage: @unchecked Sendable {
    @usableFromInline var values: Values

    @inlinable init(_ values: Values) { self.values = values }
  }

  @usableFromInline var storage: Storage

  /// A box of its own.
  @inlinable public init(_ values: Values) { storage = Storage(values) }

  /// The fields; changing them copies them first if they are shared.
  @inlinable public var values: Values {
    _read { yield storage.values }
    _modify {
      if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.values) }
      yield &storage.values
    }
  }

  /// Whether both hold the same fields.
  @inlinable public static func == (a: Self, b: Self) -> Bool {
    a.storage === b.storage || a.storage.values == b.storage.values
  }
}

extension COWBox: Hashable where Values: Hashable {
  /// Feeds the fields to the hasher.
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(storage.values) }
}
