/// What can go wrong with keys and certificates.
public enum PKIError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A file or text is not what its name says.
  case malformed(what: String, detail: String)
  /// A file could not be read or written.
  case file(path: String, detail: String)
  /// The authority's key is not here, so nothing can be signed by it.
  case missingKey(path: String)
  /// The authority's certificate is no longer (or not yet) valid. It is never replaced on its own.
  case invalidAuthority(path: String, detail: String)
  /// The sealed PKI does not open with this token.
  case wrongToken
  /// A file of this directory is of another cluster than the store.
  case otherCluster(path: String)
  /// An address that is none.
  case invalidAddress(String)

  /// One line.
  public var description: String {
    switch self {
    case .malformed(let what, let detail): return "\(what): \(detail)"
    case .file(let path, let detail): return "\(path): \(detail)"
    case .missingKey(let path): return "\(path) is missing: certificates of this authority cannot be made here"
    case .invalidAuthority(let path, let detail): return "\(path): \(detail)"
    case .wrongToken: return "the token does not open the cluster's keys"
    case .otherCluster(let path): return "\(path) belongs to another cluster than the store"
    case .invalidAddress(let address): return "\(address) is not an IP address"
    }
  }
}
