import API
import Foundation
import HTTP
import Logging
import Synchronization

@testable import CloudControllerManager

/// A server that plays EC2 and Elastic Load Balancing, started once for all tests. Each test has a region of its own,
/// which is a world of its own.
final class MotoServer: Sendable {
  struct NotFound: Error, CustomStringConvertible {
    var description: String { "moto_server is not installed: run Scripts/install.sh" }
  }
  struct NotStarted: Error { var output: String }

  let url: String
  /// Closed when this process ends, however that comes about, which ends the server.
  private let lifeline: FileHandle

  private static let one = Task { try await MotoServer() }
  static var shared: MotoServer { get async throws { try await one.value } }

  private init() async throws {
    let process = Process()
    let script = try Self.script()
    // The server itself watches the lifeline: a shell around it could be ended without it.
    let source = """
      import os, runpy, sys, threading
      threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
      sys.argv = sys.argv[1:]
      runpy.run_path(sys.argv[0], run_name="__main__")
      """
    process.executableURL = URL(fileURLWithPath: try Self.interpreter(of: script))
    process.arguments = ["-c", source, script, "-H", "127.0.0.1", "-p", "0"]
    let input = Pipe(), output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    try process.run()
    lifeline = input.fileHandleForWriting
    // It names the port that it found free.
    var text = ""
    var found: String?
    while found == nil {
      let data = output.fileHandleForReading.availableData
      if data.isEmpty { throw NotStarted(output: text) }
      text += String(decoding: data, as: UTF8.self)
      found = text.split(separator: "\n").first { $0.contains("Running on http://") && $0.last?.isNumber == true }
        .map { String($0[$0.range(of: "http://")!.lowerBound...]) }
    }
    url = found ?? ""
    output.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
  }

  private static func interpreter(of script: String) throws -> String {
    let line = try String(contentsOfFile: script, encoding: .utf8).prefix { !$0.isNewline }
    guard line.hasPrefix("#!/") else { throw NotFound() }
    return String(line.dropFirst(2))
  }

  private static func script() throws -> String {
    var root = URL(fileURLWithPath: #filePath)
    while root.path != "/", !FileManager.default.fileExists(atPath: root.appendingPathComponent("Package.swift").path) {
      root.deleteLastPathComponent()
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let places = [root.appendingPathComponent(".build/tools/bin").path] + path.split(separator: ":").map(String.init)
    let found = places.map { "\($0)/moto_server" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    guard let found else { throw NotFound() }
    return found
  }
}

/// The actions that a provider sent.
private final class ActionLog: Sendable {
  private let actions = Mutex<[String]>([])
  func add(_ action: String) { actions.withLock { $0.append(action) } }
  func take() -> [String] {
    actions.withLock { actions in
      defer { actions = [] }
      return actions
    }
  }
}

/// A virtual network in a region of its own, made with the client under test.
final class MotoWorld: Sendable {
  let region: String
  let url: String
  let ec2: QueryClient
  let elb: QueryClient
  let vpc: String
  let subnets: [String]
  let group: String
  let table: String
  private let log = ActionLog()

  static let cluster = "test"
  static let tag = ClusterTag(clusterID: cluster)

  init(_ region: String) async throws {
    self.region = region
    let url = try await MotoServer.shared.url
    self.url = url
    let http = HTTPClient()
    let source = StaticCredentials(value: AWSCredentials(accessKeyID: "test", secretAccessKey: "test"))
    func client(_ service: AWSService) throws -> QueryClient {
      QueryClient(
        service: service,
        endpoint: try AWSEndpoints(region: region, environment: ["AWS_ENDPOINT_URL": url]).resolve(service),
        http: http, credentials: source, logger: Logger(label: "moto"))
    }
    let ec2 = try client(.ec2)
    self.ec2 = ec2
    elb = try client(.elb)
    vpc = try await ec2.call("CreateVpc", QueryParameters(["CidrBlock": "10.0.0.0/16"])).find("vpc", "vpcId")!.text
    var subnets: [String] = []
    for (index, zone) in ["a", "b"].enumerated() {
      let subnet = try await ec2.call(
        "CreateSubnet",
        QueryParameters([
          "VpcId": vpc, "CidrBlock": "10.0.\(index).0/24", "AvailabilityZone": "\(region)\(zone)",
        ])
      ).find("subnet", "subnetId")!.text
      subnets.append(subnet)
    }
    self.subnets = subnets
    group = try await ec2.call(
      "CreateSecurityGroup",
      QueryParameters(["GroupName": "nodes", "GroupDescription": "nodes", "VpcId": vpc])
    ).string("groupId")
    table = try await ec2.call("CreateRouteTable", QueryParameters(["VpcId": vpc]))
      .find("routeTable", "routeTableId")!.text
    try await tag(subnets, [Self.tag.key: "owned", ClusterTag.publicSubnet: "1", ClusterTag.internalSubnet: "1"])
    try await tag([group, table], [Self.tag.key: "owned"])
  }

  func tag(_ ids: [String], _ tags: [String: String]) async throws {
    var parameters = QueryParameters()
    parameters.list("ResourceId", ids)
    for (index, tag) in tags.sorted(by: { $0.key < $1.key }).enumerated() {
      parameters.set("Tag.\(index + 1).Key", tag.key)
      parameters.set("Tag.\(index + 1).Value", tag.value)
    }
    _ = try await ec2.call("CreateTags", parameters)
  }

  func run(_ count: Int, subnet: Int = 0) async throws -> [EC2Instance] {
    let answer = try await ec2.call(
      "RunInstances",
      QueryParameters([
        "ImageId": "ami-12c6146b", "InstanceType": "m5.large", "MinCount": String(count), "MaxCount": String(count),
        "SubnetId": subnets[subnet], "SecurityGroupId.1": group,
      ]))
    return answer.list("instancesSet").map { EC2Instance($0) }
  }

  func change(_ action: String, _ ids: [String]) async throws {
    var parameters = QueryParameters()
    parameters.list("InstanceId", ids)
    _ = try await ec2.call(action, parameters)
  }

  func provider(_ settings: String = "", lifetime: Duration = .zero) async throws -> AWSProvider {
    var configuration = try AWSConfiguration(
      cloudConfig: "[Global]\nKubernetesClusterID = \(Self.cluster)\n\(settings)",
      environment: [
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": region, "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent",
      ])
    configuration.batchWindow = .milliseconds(2)
    configuration.cacheLifetime = lifetime
    configuration.observer = { [log] action in log.add(action) }
    return try await AWSProvider(configuration: configuration, logger: Logger(label: "aws-test"))
  }

  /// The actions sent since the last time, those that write.
  func writes() -> [String] { actions().filter { !$0.hasPrefix("Describe") } }

  func actions() -> [String] { log.take() }

  /// The node that an instance is.
  static func node(_ instance: EC2Instance, byName: Bool = false) -> Node {
    var node = Node()
    node.metadata.name = instance.privateDNSName
    if !byName { node.spec.providerID = "aws:///\(instance.zone)/\(instance.id)" }
    return node
  }

  func rules() async throws -> [EC2Rule] {
    try await EC2Client(query: ec2).securityGroups([("group-id", [group])]).first?.ingress ?? []
  }
}
