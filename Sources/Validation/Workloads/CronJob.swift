import API

extension CronJob: Validated {
  func validate(_ errors: inout [FieldError]) {
    let path = FieldPath("spec")
    if metadata.name.utf8.count > 52 {
      errors.append(
        .invalid(FieldPath("metadata").child("name"), metadata.name, "must be no more than 52 characters"))
    }
    checkSchedule(path.child("schedule"), &errors)
    if let seconds = spec.startingDeadlineSeconds {
      checkNonnegative(seconds, path.child("startingDeadlineSeconds"), &errors)
    }
    checkTimeZone(path.child("timeZone"), &errors)
    checkRequiredOneOf(
      spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"], path.child("concurrencyPolicy"), &errors)
    let template = path.child("jobTemplate")
    checkLabels(spec.jobTemplate.metadata.labels, template.child("metadata", "labels"), &errors)
    checkJobSpec(spec.jobTemplate.spec, template.child("spec"), isTemplate: true, &errors)
    checkNonnegative(spec.successfulJobsHistoryLimit, path.child("successfulJobsHistoryLimit"), &errors)
    checkNonnegative(spec.failedJobsHistoryLimit, path.child("failedJobsHistoryLimit"), &errors)
  }

  private func checkSchedule(_ path: FieldPath, _ errors: inout [FieldError]) {
    if spec.schedule.isEmpty {
      errors.append(.required(path))
      return
    }
    do throws(CronSchedule.Problem) { _ = try CronSchedule(parsing: spec.schedule) } catch {
      errors.append(.invalid(path, spec.schedule, error.message))
    }
    if spec.schedule.contains("TZ") {
      errors.append(
        .invalid(path, spec.schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
    }
  }

  private func checkTimeZone(_ path: FieldPath, _ errors: inout [FieldError]) {
    guard let zone = spec.timeZone else { return }
    if zone.isEmpty {
      errors.append(.invalid(path, zone, "timeZone must be nil or non-empty string"))
    } else if zone.lowercased() == "local" {
      errors.append(
        .invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
    } else if ZoneInfo(named: zone) == nil {
      errors.append(.invalid(path, zone, "unknown time zone \(zone)"))
    }
  }
}
