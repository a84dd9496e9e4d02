import API

/// The annotations of a Service that say how its load balancer shall be.
struct ServiceAnnotations {
  static let prefix = "service.beta.kubernetes.io/aws-load-balancer-"
  static let sourceRanges = "service.beta.kubernetes.io/load-balancer-source-ranges"

  private let values: [String: String]

  init(_ service: Service) { values = service.metadata.annotations }

  /// The value of an annotation, named without the prefix.
  subscript(name: String) -> String? { values[Self.prefix + name] }

  /// An annotation that is named in full.
  func full(_ name: String) -> String? { values[name] }

  func int(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let text = self[name] else { return nil }
    guard let value = Int(text) else {
      throw AWSConfigurationError("failed to parse annotation \(Self.prefix)\(name)=\(text)")
    }
    guard range.contains(value) else {
      throw AWSConfigurationError(
        "annotation \(Self.prefix)\(name)=\(text): must be between \(range.lowerBound) and \(range.upperBound)")
    }
    return value
  }

  func bool(_ name: String) throws -> Bool? {
    guard let text = self[name], !text.isEmpty else { return nil }
    guard let value = goBool(text) else {
      throw AWSConfigurationError("error parsing service annotation: \(Self.prefix)\(name)=\(text)")
    }
    return value
  }

  /// The parts of a comma-separated list.
  func list(_ name: String) -> [String] { Self.split(self[name] ?? "") }

  static func split(_ text: String) -> [String] {
    text.split(separator: ",").map { $0.filter { !$0.isWhitespace } }.filter { !$0.isEmpty }
  }

  /// `a=1,b=2,c`.
  func pairs(_ name: String) -> [String: String] {
    var out: [String: String] = [:]
    for part in (self[name] ?? "").split(separator: ",") {
      let halves = part.split(separator: "=", omittingEmptySubsequences: false)
      let key = halves[0].trimmingSpaces
      if !key.isEmpty { out[key] = halves.count > 1 ? halves[1].trimmingSpaces : "" }
    }
    return out
  }
}

extension Substring {
  fileprivate var trimmingSpaces: String {
    var slice = self
    while slice.first?.isWhitespace == true { slice = slice.dropFirst() }
    while slice.last?.isWhitespace == true { slice = slice.dropLast() }
    return String(slice)
  }
}
