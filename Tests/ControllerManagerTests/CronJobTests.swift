import API
import APIMachinery
import Client
import Testing

@testable import ControllerManager

@Suite struct CronJobTests {
  /// `moment` is a whole minute here.
  private let now = Time(seconds: 1_767_225_600 + 3600)

  private func cronJob(_ change: (inout CronJob) -> Void = { _ in }) -> CronJob {
    CronJob {
      $0.metadata.name = "often"
      $0.metadata.namespace = "default"
      $0.metadata.uid = "cron"
      $0.metadata.creationTimestamp = now.adding(seconds: -30)
      $0.spec.schedule = "* * * * *"
      $0.spec.concurrencyPolicy = "Allow"
      $0.spec.successfulJobsHistoryLimit = 1
      $0.spec.failedJobsHistoryLimit = 1
      $0.spec.jobTemplate.spec.template = template(image: "work:1")
      $0.spec.jobTemplate.spec.template.spec.restartPolicy = "Never"
      change(&$0)
    }
  }

  private func job(_ name: String, done: String? = nil, started: Int64 = 0) -> Job {
    Job {
      $0.metadata.name = name
      $0.metadata.namespace = "default"
      $0.metadata.uid = name
      $0.status.startTime = now.adding(seconds: started)
      if let done {
        $0.status.completionTime = now
        $0.status.conditions = [
          JobCondition {
            $0.type = done
            $0.status = "True"
          }
        ]
      }
    }
  }

  private func active(_ name: String) -> ObjectReference {
    ObjectReference {
      $0.name = name
      $0.uid = name
    }
  }

  @Test func startsWhatIsDue() {
    let decision = CronJobDecision.decide(cronJob(), jobs: [], now: now)
    #expect(decision.start == now)
    #expect(decision.requeue == 60)
    let made = CronJobDecision.job(cronJob(), now)
    #expect(made.metadata.name == "often-\(now.seconds / 60)")
    #expect(made.metadata.annotations[CronJobDecision.timestampAnnotation] == now.description)
    #expect(
      CronJobDecision.decide(cronJob { $0.status.lastScheduleTime = now }, jobs: [], now: now).start == nil)
    #expect(CronJobDecision.decide(cronJob { $0.spec.suspend = true }, jobs: [], now: now).start == nil)
  }

  @Test func oneAtATimeWhereThatIsAsked() {
    let running = cronJob { $0.status.active = [active("a")] }
    var forbid = running
    forbid.spec.concurrencyPolicy = "Forbid"
    let held = CronJobDecision.decide(forbid, jobs: [job("a")], now: now)
    #expect(held.start == nil)
    #expect(held.events.map(\.reason) == ["JobAlreadyActive"])
    var replace = running
    replace.spec.concurrencyPolicy = "Replace"
    let replaced = CronJobDecision.decide(replace, jobs: [job("a")], now: now)
    #expect(replaced.start == now)
    #expect(replaced.replaced.map(\.metadata.name) == ["a"])
  }

  @Test func missedTimesAreLeftBehind() {
    let late = cronJob {
      $0.spec.schedule = "0 0 * * *"
      $0.spec.startingDeadlineSeconds = 60
      $0.metadata.creationTimestamp = now.adding(seconds: -2 * 86400)
    }
    let decision = CronJobDecision.decide(late, jobs: [], now: now)
    #expect(decision.start == nil)
    let ages = cronJob { $0.metadata.creationTimestamp = now.adding(seconds: -86400) }
    let many = CronJobDecision.decide(ages, jobs: [], now: now)
    #expect(many.start == now)
    #expect(many.events.map(\.reason) == ["TooManyMissedTimes"])
    let lost = cronJob { $0.spec.timeZone = "Mars/Olympus" }
    #expect(CronJobDecision.decide(lost, jobs: [], now: now).events.map(\.reason) == ["UnknownTimeZone"])
  }

  @Test func remembersSoManyAndNoMore() {
    let cron = cronJob {
      $0.spec.suspend = true
      $0.status.active = [active("new"), active("lost")]
    }
    let decision = CronJobDecision.decide(
      cron,
      jobs: [
        job("old", done: "Complete", started: -200), job("new", done: "Complete", started: -100),
        job("bad", done: "Failed", started: -300),
      ], now: now)
    #expect(decision.expired.map(\.metadata.name) == ["old"])
    #expect(decision.status.active.isEmpty)
    #expect(decision.status.lastSuccessfulTime == now)
    #expect(decision.events.map(\.reason) == ["SawCompletedJob", "MissingJob"])
  }

  @Test func makesAJobAndRemembersIt() async throws {
    try await withControllers(["cronjob-controller"]) { api, client in
      try api.seed(
        cronJob {
          $0.metadata.uid = ""
          $0.metadata.creationTimestamp = Time.now.adding(seconds: -120)
        })
      #expect(
        await eventually {
          api.object(CronJob.self, namespace: "default", name: "often")?.status.active.count == 1
        })
      let made = try #require(api.objects(Job.self).first)
      #expect(made.metadata.controllerOwner?.name == "often")
      _ = try api.modify(Job.self, namespace: "default", name: made.metadata.name) {
        $0.status.conditions = [
          JobCondition {
            $0.type = "Complete"
            $0.status = "True"
          }
        ]
      }
      #expect(
        await eventually {
          api.object(CronJob.self, namespace: "default", name: "often")?.status.active.isEmpty == true
        })
    }
  }
}
