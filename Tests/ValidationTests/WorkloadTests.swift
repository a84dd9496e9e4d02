import API
import Testing
import Validation

private let template = #""template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#
private let meta = #""metadata":{"name":"n","namespace":"d"}"#

@Suite struct WorkloadTests {
  @Test func deployments() throws {
    #expect(
      try messages(Deployment.self, #"{\#(meta),"spec":{"selector":{"matchLabels":{"a":"c"}},\#(template)}}"#) == [
        #"spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`"#
      ])
    #expect(
      try messages(Deployment.self, #"{\#(meta),"spec":{\#(template)}}"#) == [
        "spec.selector: Required value",
        #"spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`"#,
      ])
    let good = try defaulted(
      Deployment.self, #"{\#(meta),"spec":{"selector":{"matchLabels":{"a":"b"}},\#(template)}}"#)
    #expect(validateCreate(good).isEmpty)
    #expect(
      changeMessages(good) {
        $0.spec.selector?.matchLabels = ["x": "y"]
        $0.spec.template.metadata.labels = ["x": "y"]
      } == [#"spec.selector: Invalid value: {"matchLabels":{"x":"y"}}: field is immutable"#])
    #expect(
      changeMessages(good) {
        $0.spec.replicas = -1
        $0.spec.strategy.rollingUpdate?.maxSurge = 0
        $0.spec.strategy.rollingUpdate?.maxUnavailable = "0%"
      } == [
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        #"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0"#,
      ])
  }

  @Test func statefulSetsChangeLittle() throws {
    let good = try defaulted(
      StatefulSet.self,
      #"{\#(meta),"spec":{"serviceName":"s","selector":{"matchLabels":{"a":"b"}},\#(template)}}"#)
    #expect(validateCreate(good).isEmpty)
    #expect(changeMessages(good) { $0.spec.replicas = 3 } == [])
    #expect(
      changeMessages(good) { $0.spec.serviceName = "t" } == [
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
          + "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
          + "forbidden"
      ])
  }

  @Test func jobsMustEnd() throws {
    let text = #"{\#(meta),"spec":{"selector":{"matchLabels":{"a":"b"}},\#(template)}}"#
    #expect(
      try messages(Job.self, text) == [
        #"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#
      ])
    var job = try defaulted(Job.self, text)
    job.spec.template.spec.restartPolicy = "Never"
    #expect(validateCreate(job).isEmpty)
    #expect(
      changeMessages(job) { $0.spec.completions = 2 } == ["spec.completions: Invalid value: 2: field is immutable"])
    #expect(changeMessages(job) { $0.spec.template.spec.hostname = "h" }.first?.hasSuffix("field is immutable") == true)
  }

  @Test(
    arguments: [
      ("* * * * *", nil), ("*/5 0-6,8 1 jan mon-fri", nil), ("@hourly", nil), ("@every 1h30m", nil),
      ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
      ("60 * * * *", "end of range (60) above maximum (59): 60"),
      ("a * * * *", #"failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax"#),
      ("*/0 * * * *", "step of range should be a positive number: */0"), ("@soon", "unrecognized descriptor: @soon"),
    ] as [(String, String?)])
  func cronSchedules(_ schedule: String, _ problem: String?) throws {
    let text = #"""
      {\#(meta),"spec":{"schedule":"\#(schedule)","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never",
      "containers":[{"name":"c","image":"i"}]}}}}}}
      """#
    let expected = problem.map { ["spec.schedule: Invalid value: \(goQuoted(schedule)): \($0)"] } ?? []
    #expect(try messages(CronJob.self, text) == expected)
  }
}
