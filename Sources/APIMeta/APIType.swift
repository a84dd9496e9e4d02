public import APIMachinery

/// Any generated API type: a value with a zero state that reads and writes JSON.
public protocol APIType: JSONCodable, Sendable, Equatable {
  /// The zero value, as Go has it.
  init()
}

extension APIType {
  /// A zero value, then changed by `configure`: `Container { $0.name = "web" }`.
  public init(_ configure: (inout Self) throws -> Void) rethrows {
    self.init()
    try configure(&self)
  }
}
