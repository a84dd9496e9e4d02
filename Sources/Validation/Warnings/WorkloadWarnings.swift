import API

private let templatePath = FieldPath("spec").child("template")

extension Deployment: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) {
    if isNew { notes.workloadName(metadata.name) }
    notes.template(spec.template, templatePath)
  }
}

extension ReplicaSet: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) {
    if isNew { notes.workloadName(metadata.name) }
    notes.template(spec.template, templatePath)
  }
}

extension ReplicationController: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) {
    if isNew { notes.workloadName(metadata.name) }
    if let template = spec.template { notes.template(template, templatePath) }
  }
}

extension DaemonSet: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) { notes.template(spec.template, templatePath) }
}

extension StatefulSet: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) {
    notes.template(spec.template, templatePath)
    for (i, claim) in spec.volumeClaimTemplates.enumerated() {
      notes.claim(claim.spec, FieldPath("spec").child("volumeClaimTemplates").index(i))
    }
    if let limit = spec.revisionHistoryLimit, limit < 0 {
      notes.add(
        FieldPath("spec").child("revisionHistoryLimit"),
        "a negative value retains all historical revisions; a value >= 0 is recommended")
    }
  }
}

extension PodTemplate: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) { notes.template(template, FieldPath("template")) }
}

extension Job: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) {
    if isNew { notes.workloadName(metadata.name) }
    notes.job(spec, FieldPath("spec"))
  }
}

extension CronJob: Warned {
  func warn(_ notes: inout Notes, isNew: Bool) {
    if isNew { notes.workloadName(metadata.name) }
    notes.job(spec.jobTemplate.spec, FieldPath("spec").child("jobTemplate", "spec"))
    if spec.schedule.contains("TZ") {
      notes.add(
        "CRON_TZ or TZ used in spec.spec.schedule is not officially supported, see "
          + "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
    }
  }
}

extension Notes {
  mutating func job(_ spec: JobSpec, _ path: FieldPath) {
    if spec.completionMode == "Indexed", (spec.completions ?? 0) > 100_000, (spec.parallelism ?? 0) > 10_000 {
      add(
        "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
          + "might not be able to track completedIndexes when a big number of indexes fail")
    }
    template(spec.template, path.child("template"))
  }
}
