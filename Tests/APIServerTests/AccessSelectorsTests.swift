import API
import APIMachinery
import HTTP
import Testing

@testable import APIServer

@Suite struct AccessSelectorsTests {
  private static func attributes(_ method: String, _ target: String) -> AuthorizationAttributes {
    let head = HTTPRequestHead(method: method, target: target)
    return AuthorizationAttributes(RequestInfo(method: method, path: head.path, query: head.query))
  }

  @Test func requestsCarryThem() {
    let query = "?fieldSelector=spec.nodeName%3Dn,status.phase!%3DFailed&labelSelector=a+in+(b,c),!d,e%3E5"
    for (method, target) in [
      ("GET", "/api/v1/pods"), ("GET", "/api/v1/watch/pods"), ("DELETE", "/api/v1/namespaces/x/pods"),
    ] {
      let selectors = Self.attributes(method, target + query).selectors
      #expect(selectors.fields.count == 2 && selectors.fieldProblem == nil)
      #expect(
        selectors.fieldsForReview == [
          ["key": "spec.nodeName", "operator": "In", "values": ["n"]],
          ["key": "status.phase", "operator": "NotIn", "values": ["Failed"]],
        ])
      // Reviews cannot say "greater than"; it only narrows.
      #expect(
        selectors.labelsForReview == [
          ["key": "a", "operator": "In", "values": ["b", "c"]], ["key": "d", "operator": "DoesNotExist"],
        ])
    }
    #expect(Self.attributes("GET", "/api/v1/namespaces/x/pods/p" + query).fieldSelector.isEmpty)
    #expect(Self.attributes("POST", "/api/v1/namespaces/x/pods" + query).labelSelector.isEmpty)
    let bad = Self.attributes("GET", "/api/v1/pods?fieldSelector=x&labelSelector=a+in+b").selectors
    #expect(bad.fields.isEmpty && bad.fieldProblem != nil && bad.labels.isEmpty && bad.labelProblem != nil)
    #expect(bad.fieldsForReview == nil && bad.labelsForReview == nil)
  }

  private static func review(_ resource: String) -> String {
    #"{"spec":{"user":"system:node:n","groups":["system:nodes"],"resourceAttributes":{"verb":"list","resource":"pods","version":"v1",\#(resource)}}}"#
  }

  @Test func reviewsUseThem() async throws {
    try await ServerFixture.with { fixture in
      let client = try fixture.client()
      func ask(_ resource: String) async throws -> (status: Int, json: JSONValue) {
        let answer = try await fixture.ask(
          client, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", token: "root-token",
          json: Self.review(resource))
        return (answer.status, answer.json)
      }
      let raw = try await ask(#""fieldSelector":{"rawSelector":"spec.nodeName=n"}"#)
      #expect(raw.json["status"] == ["allowed": true])
      let other = try await ask(#""fieldSelector":{"rawSelector":"spec.nodeName=m"}"#)
      #expect(
        other.json["status"] == [
          "allowed": false, "reason": "can only list/watch pods with spec.nodeName field selector",
        ])
      let listed = try await ask(
        #""fieldSelector":{"requirements":[{"key":"spec.nodeName","operator":"In","values":["n"]},{"key":"x","operator":"Exists"}]}"#
      )
      #expect(
        listed.json["status"] == [
          "allowed": true,
          "evaluationError": "spec.resourceAttributes.fieldSelector partially ignored due to parse error",
        ])
      let unread = try await ask(#""labelSelector":{"rawSelector":"a in b"}"#)
      #expect(
        unread.json["status"]?["evaluationError"]
          == "spec.resourceAttributes.labelSelector ignored due to parse error")
      let both = try await ask(
        #""fieldSelector":{"rawSelector":"a=b","requirements":[{"key":"","operator":"In"}]},"labelSelector":{}"#)
      #expect(both.status == 422)
      let causes = both.json["details"]?["causes"]?.arrayValue?.map { cause in
        "\(cause["field"]?.stringValue ?? ""): \(cause["message"]?.stringValue ?? "")"
      }
      let place = "spec.resourceAttributes"
      #expect(
        causes == [
          "\(place).fieldSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same time as requirements",
          "\(place).fieldSelector.requirements[0].key: Required value: must be specified",
          "\(place).fieldSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
          "\(place).labelSelector.requirements: Required value: when \(place).labelSelector is specified, requirements or rawSelector is required",
        ])
      let labels = try await ask(
        #""labelSelector":{"requirements":[{"key":"-","operator":"In","values":["$"]},{"key":"a","operator":"Exists","values":["b"]},{"key":"b","operator":"Later"}]}"#
      )
      let fields = labels.json["details"]?["causes"]?.arrayValue?.compactMap { $0["field"]?.stringValue }
      #expect(
        fields == [
          "\(place).labelSelector.requirements[0].key", "\(place).labelSelector.requirements[0].values[0]",
          "\(place).labelSelector.requirements[1].values",
        ])
      await client.shutdown()
    }
  }

  @Test func reviewsWithNothingInThemAreRefused() async throws {
    try await ServerFixture.with { fixture in
      let client = try fixture.client()
      let answer = try await fixture.ask(
        client, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", token: "root-token", json: #"{"spec":{}}"#
      )
      let fields = answer.json["details"]?["causes"]?.arrayValue?.compactMap { $0["field"]?.stringValue }
      #expect(answer.status == 422 && fields == ["spec.resourceAttributes", "spec.user"])
      let local = try await fixture.ask(
        client, "POST", "/apis/authorization.k8s.io/v1/namespaces/x/localsubjectaccessreviews", token: "root-token",
        json: #"{"spec":{"user":"a","resourceAttributes":{"verb":"get","resource":"pods","namespace":"y"}}}"#)
      #expect(local.status == 422)
      #expect(
        local.json["message"]?.stringValue?.hasSuffix(
          #"spec.resourceAttributes.namespace: Invalid value: "y": must match metadata.namespace"#) == true)
      await client.shutdown()
    }
  }
}
