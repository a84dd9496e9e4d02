import HTTP

/// A service, as endpoints, signatures and the Query protocol name it.
struct AWSService: Sendable, Hashable {
  /// The SDKs' service ID, which settings name it by.
  var id: String
  /// The first label of its hosts, and its name in signatures.
  var host: String
  /// The version of its Query interface.
  var version: String

  static let ec2 = AWSService(id: "EC2", host: "ec2", version: "2016-11-15")
  static let elb = AWSService(id: "Elastic Load Balancing v2", host: "elasticloadbalancing", version: "2015-12-01")
  static let sts = AWSService(id: "STS", host: "sts", version: "2011-06-15")

  /// The part after `AWS_ENDPOINT_URL_`.
  var variable: String { id.uppercased().split(separator: " ").joined(separator: "_") }
}

/// Where a service is spoken to, and how requests to it are signed.
struct AWSEndpoint: Sendable {
  var origin: HTTPOrigin
  var path: String
  var signingRegion: String
  var signingName: String
}

/// A `[ServiceOverride "…"]` section of the cloud configuration.
public struct AWSServiceOverride: Sendable, Hashable {
  public var service = ""
  public var region = ""
  public var url = ""
  public var signingRegion = ""
  public var signingName = ""

  public init() {}
}

/// Finds a service's endpoint: the cloud configuration's override, then the environment's, then the profile's, then the
/// region's own.
struct AWSEndpoints: Sendable {
  var region: String
  var overrides: [AWSServiceOverride] = []
  var environment: [String: String] = [:]
  /// `endpoint_url` of the profile in use.
  var profileURL: String?

  func resolve(_ service: AWSService) throws -> AWSEndpoint {
    let override = overrides.first {
      $0.region == region && [service.id.lowercased(), service.host].contains($0.service.lowercased())
    }
    if let override {
      return try endpoint(
        override.url, region: override.signingRegion.isEmpty ? region : override.signingRegion,
        name: override.signingName.isEmpty ? service.host : override.signingName)
    }
    let ignored = environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]?.lowercased() == "true"
    if !ignored {
      let candidates = [
        environment["AWS_ENDPOINT_URL_\(service.variable)"], environment["AWS_ENDPOINT_URL"], profileURL,
      ]
      for case let url? in candidates where !url.isEmpty {
        return try endpoint(url, region: region, name: service.host)
      }
    }
    return try endpoint(
      "https://\(service.host).\(region).\(Self.suffix(region))", region: region, name: service.host)
  }

  private func endpoint(_ url: String, region: String, name: String) throws -> AWSEndpoint {
    let (origin, target) = try HTTPOrigin.parse(url)
    return AWSEndpoint(origin: origin, path: target, signingRegion: region, signingName: name)
  }

  /// The domain of the region's partition.
  static func suffix(_ region: String) -> String {
    let suffixes = [
      ("cn-", "amazonaws.com.cn"), ("us-isob-", "sc2s.sgov.gov"), ("us-isof-", "csp.hci.ic.gov"),
      ("eu-isoe-", "cloud.adc-e.uk"), ("us-iso-", "c2s.ic.gov"), ("eusc-", "amazonaws.eu"),
    ]
    return suffixes.first { region.hasPrefix($0.0) }?.1 ?? "amazonaws.com"
  }
}
