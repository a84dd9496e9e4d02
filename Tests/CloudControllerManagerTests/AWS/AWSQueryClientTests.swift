import Foundation
import HTTP
import Synchronization
import Testing

@testable import CloudControllerManager

@Suite struct AWSQueryClientTests {
  @Test func followsPages() async throws {
    let service = try await FakeService { request, _ in
      let page = request.form["NextToken"] ?? ""
      let next =
        page.isEmpty ? "<nextToken>p/2=</nextToken>" : page == "p/2=" ? "<nextToken>p3</nextToken>" : "<nextToken/>"
      return FakeService.xml(
        "<R><subnetSet><item><subnetId>s-\(page)</subnetId></item></subnetSet>\(next)</R>")
    }
    let subnets = try await EC2Client(query: try service.client()).subnets([
      ("vpc-id", ["v-1", "v-2"]), ("tag-key", ["k"]),
    ])
    #expect(subnets.map(\.id) == ["s-", "s-p/2=", "s-p3"])
    let first = service.requests[0]
    #expect(first.form["Action"] == "DescribeSubnets")
    #expect(first.form["Version"] == "2016-11-15")
    #expect(first.form["Filter.1.Name"] == "vpc-id")
    #expect(first.form["Filter.1.Value.2"] == "v-2")
    #expect(first.form["Filter.2.Value.1"] == "k")
    #expect(service.requests.count == 3)
    await service.stop()
  }

  @Test func followsMarkers() async throws {
    let service = try await FakeService { request, _ in
      let first = request.form["Marker"] == nil
      return FakeService.xml(
        "<R><DescribeTargetGroupsResult><TargetGroups><member><TargetGroupArn>\(first ? "a" : "b")</TargetGroupArn>"
          + "</member></TargetGroups>\(first ? "<NextMarker>m</NextMarker>" : "")</DescribeTargetGroupsResult></R>")
    }
    let groups = try await ELBClient(query: try service.client(.elb)).allTargetGroups()
    #expect(groups.map(\.arn) == ["a", "b"])
    await service.stop()
  }

  @Test func aPageThatLeadsToItselfEnds() async throws {
    let service = try await FakeService { _, _ in FakeService.xml("<R><nextToken>same</nextToken></R>") }
    await #expect(throws: AWSError.self) { _ = try await EC2Client(query: try service.client()).subnets([]) }
    await service.stop()
  }

  @Test func throttlingAndServerErrorsAreRetried() async throws {
    let service = try await FakeService { _, index in
      switch index {
      case 0: FakeService.ec2Error("RequestLimitExceeded", status: 503)
      case 1: FakeService.text("<html>bad gateway", status: 502)
      default: FakeService.xml("<R><ok>yes</ok></R>")
      }
    }
    let answer = try await service.client().call("DescribeVpcs")
    #expect(answer.string("ok") == "yes")
    #expect(service.requests.count == 3)
    await service.stop()
  }

  @Test func retriesEnd() async throws {
    let service = try await FakeService { _, _ in FakeService.ec2Error("Unavailable", status: 503) }
    let client = try service.client()
    let error = await #expect(throws: AWSError.self) { _ = try await client.call("DescribeVpcs") }
    #expect(error?.code == "Unavailable")
    #expect(service.requests.count == 4)
    await service.stop()
  }

  @Test func aTimeoutIsRetried() async throws {
    let service = try await FakeService { _, index in
      index == 0
        ? HTTPResponse(body: .stream { _ in try await Task.sleep(for: .seconds(30)) })
        : FakeService.xml("<R/>")
    }
    // Enough attempts that a busy machine's slow answers do not use them up.
    let patient = RetryPolicy(maxAttempts: 20, base: 0.001, throttledBase: 0.001, limit: 0.01)
    _ = try await service.client(retry: patient, timeout: .seconds(1)).call("DescribeVpcs")
    #expect(service.requests.count >= 2)
    await service.stop()
  }

  @Test func errorsAreMapped() async throws {
    let service = try await FakeService { request, _ in
      request.form["Action"] == "A"
        ? FakeService.ec2Error("InvalidInstanceID.NotFound", status: 400)
        : FakeService.xml(
          "<ErrorResponse><Error><Type>Sender</Type><Code>LoadBalancerNotFound</Code><Message>m</Message></Error>"
            + "<RequestId>r-2</RequestId></ErrorResponse>", status: 400)
    }
    let client = try service.client()
    let first = await #expect(throws: AWSError.self) { _ = try await client.call("A") }
    #expect(first?.code == "InvalidInstanceID.NotFound")
    #expect(first?.message == "no & no")
    #expect(first?.requestID == "r-1")
    #expect(
      first?.description
        == "operation error EC2: A, https response error StatusCode: 400, RequestID: r-1, "
        + "api error InvalidInstanceID.NotFound: no & no")
    let second = await #expect(throws: AWSError.self) { _ = try await client.call("B") }
    #expect(second?.requestID == "r-2")
    #expect(service.requests.count == 2)
    #expect(try await ELBClient(query: client).loadBalancer(name: "x") == nil)
    await service.stop()
  }

  /// Refused credentials are fetched anew, once.
  @Test func expiredCredentialsAreReplaced() async throws {
    final class Source: CredentialSource {
      let dropped = Mutex(0)
      func credentials() async throws -> AWSCredentials {
        AWSCredentials(accessKeyID: "K\(dropped.withLock { $0 })", secretAccessKey: "s", sessionToken: "t")
      }
      func invalidate() async { dropped.withLock { $0 += 1 } }
    }
    let service = try await FakeService { request, _ in
      request.headers["authorization"]?.contains("Credential=K0/") == true
        ? FakeService.ec2Error("ExpiredToken", status: 400) : FakeService.xml("<R/>")
    }
    _ = try await service.client(credentials: Source()).call("DescribeVpcs")
    #expect(service.requests.map { $0.headers["x-amz-security-token"] } == ["t", "t"])
    await service.stop()

    let refusing = try await FakeService { _, _ in FakeService.ec2Error("AuthFailure", status: 401) }
    let client = try refusing.client(credentials: Source())
    await #expect(throws: AWSError.self) { _ = try await client.call("DescribeVpcs") }
    #expect(refusing.requests.count == 2)
    await refusing.stop()
  }

  /// A wrong clock is put right by the answer's date.
  @Test func theClockIsCorrected() async throws {
    let service = try await FakeService { _, index in
      guard index == 0 else { return FakeService.xml("<R/>") }
      var response = FakeService.ec2Error("RequestTimeTooSkewed", status: 403)
      response.headers["date"] = "Sun, 30 Aug 2015 12:36:00 GMT"
      return response
    }
    let source = StaticCredentials(value: AWSSigV4Tests.credentials)
    _ = try await service.client(credentials: source).call("DescribeVpcs")
    #expect(service.requests[0].headers["x-amz-date"]?.hasPrefix("2015") == false)
    #expect(service.requests.count == 2)
    #expect(service.requests[1].headers["x-amz-date"]?.hasPrefix("20150830T") == true)
    await service.stop()
  }

  @Test func endpoints() throws {
    func resolve(_ service: AWSService, _ region: String, _ environment: [String: String] = [:]) throws -> AWSEndpoint {
      try AWSEndpoints(region: region, environment: environment).resolve(service)
    }
    #expect(try resolve(.ec2, "eu-west-1").origin == .https(host: "ec2.eu-west-1.amazonaws.com", port: 443))
    #expect(try resolve(.elb, "cn-north-1").origin.authority == "elasticloadbalancing.cn-north-1.amazonaws.com.cn")
    let environment = [
      "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2": "http://127.0.0.1:2/x",
    ]
    #expect(try resolve(.ec2, "a", environment).origin == .http(host: "127.0.0.1", port: 1))
    let elb = try resolve(.elb, "a", environment)
    #expect(elb.origin == .http(host: "127.0.0.1", port: 2))
    #expect(elb.path == "/x")
    let ignoring = environment.merging(["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"]) { $1 }
    #expect(try resolve(.sts, "us-east-1", ignoring).origin.authority == "sts.us-east-1.amazonaws.com")
  }
}

@Suite struct AWSRetryTests {
  @Test func delaysGrowUpToALimit() {
    let policy = RetryPolicy(maxAttempts: 5, base: 0.5, throttledBase: 1, limit: 3)
    #expect((0..<5).map { policy.delay(attempt: $0, throttled: false, unit: 1) } == [0.5, 1, 2, 3, 3])
    #expect(policy.delay(attempt: 1, throttled: true, unit: 0.5) == 1)
    #expect(policy.delay(attempt: 9, throttled: true, unit: 0) == 0)
  }

  @Test func theQuotaRunsOut() {
    var quota = RetryQuota()
    var taken = 0
    while quota.take(timeout: false) { taken += 1 }
    #expect(taken == 100)
    quota.succeeded(afterRetry: true, timeout: false)
    let again = quota.take(timeout: false)
    let more = quota.take(timeout: true)
    #expect(again && !more)
  }

  @Test func theRateFollowsTheService() {
    var rate = AdaptiveRate(now: 0)
    var now = 0.0
    for _ in 0..<100 {
      let wait = rate.acquire(now: now)
      #expect(wait == 0)
      now += 0.1
      rate.settle(throttled: false, now: now)
    }
    #expect(!rate.enabled)
    rate.settle(throttled: true, now: now)
    #expect(rate.enabled)
    // 10 requests a second were sent; now about 7 are let through.
    var sent = 0.0
    let start = now
    while now < start + 2 {
      now += rate.acquire(now: now)
      sent += 1
      if sent > 1000 { break }
    }
    #expect(sent / 2 > 4 && sent / 2 < 10)
    // Without further throttling the rate rises again.
    for _ in 0..<200 {
      now += rate.acquire(now: now) + 0.05
      rate.settle(throttled: false, now: now)
    }
    let wait = rate.acquire(now: now + 1)
    #expect(wait == 0)
  }
}
