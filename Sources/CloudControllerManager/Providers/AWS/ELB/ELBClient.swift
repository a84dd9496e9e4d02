/// The actions of Elastic Load Balancing (version 2) that the provider needs.
struct ELBClient: Sendable {
  /// The most targets in one request.
  static let targetChunk = 100
  /// The most resources in one question for tags.
  static let tagChunk = 20

  let query: QueryClient

  private func describe(_ action: String, _ parameters: QueryParameters, _ list: String) async throws -> [XMLElement] {
    let result = "\(action)Result"
    return try await query.pages(
      action, parameters, request: "Marker", next: { $0.child(result)?.string("NextMarker") ?? "" }
    ).flatMap { $0.child(result)?.list(list) ?? [] }
  }

  /// Runs a question for something that may not be there.
  private func unless<T>(_ code: String, _ none: T, _ body: () async throws -> T) async throws -> T {
    do {
      return try await body()
    } catch let error as AWSError where error.code == code || error.code == "\(code)Exception" {
      return none
    }
  }

  func loadBalancer(name: String) async throws -> ELBLoadBalancer? {
    try await unless("LoadBalancerNotFound", nil) {
      var parameters = QueryParameters()
      parameters.list("Names.member", [name])
      return try await describe("DescribeLoadBalancers", parameters, "LoadBalancers").first.map { ELBLoadBalancer($0) }
    }
  }

  /// What a new load balancer is made of.
  struct NewLoadBalancer: Sendable {
    var name: String
    var isInternal: Bool
    var subnets: [String]
    var addresses: [String]
    var tags: [String: String]
  }

  func createLoadBalancer(_ new: NewLoadBalancer) async throws -> ELBLoadBalancer {
    var parameters = QueryParameters([
      "Name": new.name, "Type": "network", "Scheme": new.isInternal ? "internal" : "internet-facing",
    ])
    for (index, subnet) in new.subnets.enumerated() {
      parameters.set("SubnetMappings.member.\(index + 1).SubnetId", subnet)
      if index < new.addresses.count {
        parameters.set("SubnetMappings.member.\(index + 1).AllocationId", new.addresses[index])
      }
    }
    parameters.tags(new.tags)
    return ELBLoadBalancer(
      try await query.call("CreateLoadBalancer", parameters).only("CreateLoadBalancerResult", "LoadBalancers"))
  }

  func deleteLoadBalancer(arn: String) async throws {
    try await unless("LoadBalancerNotFound", ()) {
      _ = try await query.call("DeleteLoadBalancer", QueryParameters(["LoadBalancerArn": arn]))
    }
  }

  func attributes(loadBalancer arn: String) async throws -> [String: String] {
    let answer = try await query.call("DescribeLoadBalancerAttributes", QueryParameters(["LoadBalancerArn": arn]))
    var out: [String: String] = [:]
    for item in answer.child("DescribeLoadBalancerAttributesResult")?.list("Attributes") ?? [] {
      out[item.string("Key")] = item.string("Value")
    }
    return out
  }

  func modifyAttributes(loadBalancer arn: String, _ attributes: [String: String]) async throws {
    var parameters = QueryParameters(["LoadBalancerArn": arn])
    for (index, (key, value)) in attributes.sorted(by: { $0.key < $1.key }).enumerated() {
      parameters.set("Attributes.member.\(index + 1).Key", key)
      parameters.set("Attributes.member.\(index + 1).Value", value)
    }
    _ = try await query.call("ModifyLoadBalancerAttributes", parameters)
  }

  func listeners(loadBalancer arn: String) async throws -> [ELBListener] {
    try await unless("ListenerNotFound", []) {
      try await describe("DescribeListeners", QueryParameters(["LoadBalancerArn": arn]), "Listeners")
        .map { ELBListener($0) }
    }
  }

  /// What a listener shall be.
  struct NewListener: Sendable {
    var port: Int
    var `protocol`: String
    var sslPolicy: String
    var certificate: String
    var targetGroup: String

    fileprivate func parameters() -> QueryParameters {
      var parameters = QueryParameters([
        "Port": String(port), "Protocol": `protocol`, "DefaultActions.member.1.Type": "forward",
        "DefaultActions.member.1.TargetGroupArn": targetGroup,
      ])
      if `protocol` == "TLS" {
        parameters.set("SslPolicy", sslPolicy.isEmpty ? nil : sslPolicy)
        parameters.set("Certificates.member.1.CertificateArn", certificate)
      }
      return parameters
    }
  }

  func createListener(loadBalancer arn: String, _ new: NewListener, tags: [String: String]) async throws {
    var parameters = new.parameters()
    parameters.set("LoadBalancerArn", arn)
    parameters.tags(tags)
    _ = try await query.call("CreateListener", parameters)
  }

  func modifyListener(arn: String, _ new: NewListener) async throws {
    var parameters = new.parameters()
    parameters.set("ListenerArn", arn)
    _ = try await query.call("ModifyListener", parameters)
  }

  func deleteListener(arn: String) async throws {
    try await unless("ListenerNotFound", ()) {
      _ = try await query.call("DeleteListener", QueryParameters(["ListenerArn": arn]))
    }
  }

  func tags(_ arns: [String]) async throws -> [String: [String: String]] {
    var out: [String: [String: String]] = [:]
    for start in stride(from: 0, to: arns.count, by: Self.tagChunk) {
      var parameters = QueryParameters()
      parameters.list("ResourceArns.member", Array(arns[start..<min(start + Self.tagChunk, arns.count)]))
      let answer = try await query.call("DescribeTags", parameters)
      for item in answer.child("DescribeTagsResult")?.list("TagDescriptions") ?? [] {
        out[item.string("ResourceArn")] = item.tags
      }
    }
    return out
  }

  func addTags(_ arns: [String], _ tags: [String: String]) async throws {
    var parameters = QueryParameters()
    parameters.list("ResourceArns.member", arns)
    parameters.tags(tags)
    _ = try await query.call("AddTags", parameters)
  }
}

extension QueryParameters {
  /// Adds tags in the order of their keys.
  mutating func tags(_ tags: [String: String]) {
    for (index, (key, value)) in tags.sorted(by: { $0.key < $1.key }).enumerated() {
      set("Tags.member.\(index + 1).Key", key)
      set("Tags.member.\(index + 1).Value", value)
    }
  }
}

extension XMLElement {
  /// The one element of a list that an answer must have.
  func only(_ result: String, _ list: String) throws -> XMLElement {
    guard let found = child(result)?.list(list).first else {
      throw AWSConfigurationError("an answer without \(list)")
    }
    return found
  }
}
