extension ELBClient {
  /// The target groups that a load balancer's listeners forward to.
  func targetGroups(loadBalancer arn: String) async throws -> [ELBTargetGroup] {
    try await targetGroups(of: try await listeners(loadBalancer: arn))
  }

  /// The target groups that listeners forward to.
  func targetGroups(of listeners: [ELBListener]) async throws -> [ELBTargetGroup] {
    let arns = Set(listeners.map(\.targetGroup)).filter { !$0.isEmpty }.sorted()
    var out: [ELBTargetGroup] = []
    for start in stride(from: 0, to: arns.count, by: Self.tagChunk) {
      var parameters = QueryParameters()
      parameters.list("TargetGroupArns.member", Array(arns[start..<min(start + Self.tagChunk, arns.count)]))
      out += try await targetGroups(parameters)
    }
    return out
  }

  func targetGroup(name: String) async throws -> ELBTargetGroup? {
    var parameters = QueryParameters()
    parameters.list("Names.member", [name])
    return try await targetGroups(parameters).first
  }

  /// Every target group of the account in the region.
  func allTargetGroups() async throws -> [ELBTargetGroup] { try await targetGroups(QueryParameters()) }

  private func targetGroups(_ parameters: QueryParameters) async throws -> [ELBTargetGroup] {
    let action = "DescribeTargetGroups"
    do {
      return try await query.pages(
        action, parameters, request: "Marker", next: { $0.child("\(action)Result")?.string("NextMarker") ?? "" }
      ).flatMap { $0.child("\(action)Result")?.list("TargetGroups") ?? [] }.map { ELBTargetGroup($0) }
    } catch let error as AWSError where ["TargetGroupNotFound", "LoadBalancerNotFound"].contains(error.code) {
      return []
    }
  }

  /// What a target group shall be.
  struct NewTargetGroup: Sendable {
    var name: String
    var port: Int
    var `protocol`: String
    var vpc: String
    var healthCheck: ELBHealthCheck
    var tags: [String: String]
  }

  func createTargetGroup(_ new: NewTargetGroup) async throws -> ELBTargetGroup {
    var parameters = QueryParameters([
      "Name": new.name, "Port": String(new.port), "Protocol": new.protocol, "VpcId": new.vpc, "TargetType": "instance",
    ])
    parameters.healthCheck(new.healthCheck)
    parameters.tags(new.tags)
    return ELBTargetGroup(
      try await query.call("CreateTargetGroup", parameters).only("CreateTargetGroupResult", "TargetGroups"))
  }

  func modifyTargetGroup(arn: String, _ healthCheck: ELBHealthCheck) async throws {
    var parameters = QueryParameters(["TargetGroupArn": arn])
    parameters.healthCheck(healthCheck)
    _ = try await query.call("ModifyTargetGroup", parameters)
  }

  func deleteTargetGroup(arn: String) async throws {
    do {
      _ = try await query.call("DeleteTargetGroup", QueryParameters(["TargetGroupArn": arn]))
    } catch let error as AWSError where error.code == "TargetGroupNotFound" {
      return
    }
  }

  /// The targets, but for those on their way out.
  func targets(group arn: String) async throws -> Set<ELBTarget> {
    let answer = try await query.call("DescribeTargetHealth", QueryParameters(["TargetGroupArn": arn]))
    var out: Set<ELBTarget> = []
    for item in answer.child("DescribeTargetHealthResult")?.list("TargetHealthDescriptions") ?? [] {
      guard let target = item.child("Target"),
        item.child("TargetHealth")?.string("Reason") != "Target.DeregistrationInProgress"
      else { continue }
      out.insert(ELBTarget(id: target.string("Id"), port: target.int("Port") ?? 0))
    }
    return out
  }

  func register(group arn: String, _ targets: Set<ELBTarget>) async throws {
    try await change("RegisterTargets", arn, targets)
  }

  func deregister(group arn: String, _ targets: Set<ELBTarget>) async throws {
    try await change("DeregisterTargets", arn, targets)
  }

  private func change(_ action: String, _ arn: String, _ targets: Set<ELBTarget>) async throws {
    let ordered = targets.sorted { ($0.id, $0.port) < ($1.id, $1.port) }
    for start in stride(from: 0, to: ordered.count, by: Self.targetChunk) {
      var parameters = QueryParameters(["TargetGroupArn": arn])
      for (index, target) in ordered[start..<min(start + Self.targetChunk, ordered.count)].enumerated() {
        parameters.set("Targets.member.\(index + 1).Id", target.id)
        parameters.set("Targets.member.\(index + 1).Port", String(target.port))
      }
      _ = try await query.call(action, parameters)
    }
  }
}

extension QueryParameters {
  fileprivate mutating func healthCheck(_ check: ELBHealthCheck) {
    set("HealthCheckProtocol", check.protocol)
    set("HealthCheckPort", check.port)
    set("HealthCheckPath", check.protocol == "TCP" ? nil : check.path)
    set("HealthCheckIntervalSeconds", String(check.interval))
    set("HealthCheckTimeoutSeconds", check.timeout.map { String($0) })
    set("HealthyThresholdCount", String(check.healthy))
    set("UnhealthyThresholdCount", String(check.unhealthy))
  }
}
