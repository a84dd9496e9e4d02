import API

extension CloudProviderError: CustomStringConvertible {
  /// Upstream's words, which end up in events.
  public var description: String {
    switch self {
    case .instanceNotFound: "instance not found"
    case .implementedElsewhere: "implemented by alternate to cloud provider"
    case .retry(_, let reason): reason
    }
  }
}

/// An error's words for an event or a log line.
func text(_ error: any Error) -> String {
  (error as? StatusError)?.message ?? "\(error)"
}

/// A failure with words of its own.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
