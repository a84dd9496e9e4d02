import API
import APIMachinery
import APIMeta

/// Pods and what makes them.
func workloadCells(_ object: any APIObject, _ context: CellContext) -> TableRowCells? {
  let name = JSONValue.string(object.metadata.name)
  let age = context.age(object.metadata)
  switch object {
  case let pod as Pod: return podCells(pod, context)
  case let deployment as Deployment:
    let (names, images) = context.containers(deployment.spec.template.spec)
    return TableRowCells([
      name, .string("\(deployment.status.readyReplicas)/\(deployment.spec.replicas ?? 0)"),
      cell(deployment.status.updatedReplicas), cell(deployment.status.availableReplicas), age, names, images,
      context.selector(deployment.spec.selector),
    ])
  case let set as ReplicaSet:
    let (names, images) = context.containers(set.spec.template.spec)
    return TableRowCells([
      name, cell(set.spec.replicas ?? 0), cell(set.status.replicas), cell(set.status.readyReplicas), age, names,
      images, context.selector(set.spec.selector),
    ])
  case let controller as ReplicationController:
    let (names, images) = context.containers(controller.spec.template?.spec ?? PodSpec())
    return TableRowCells([
      name, cell(controller.spec.replicas ?? 0), cell(controller.status.replicas),
      cell(controller.status.readyReplicas), age, names, images, context.labels(controller.spec.selector),
    ])
  case let set as DaemonSet:
    let (names, images) = context.containers(set.spec.template.spec)
    return TableRowCells([
      name, cell(set.status.desiredNumberScheduled), cell(set.status.currentNumberScheduled),
      cell(set.status.numberReady), cell(set.status.updatedNumberScheduled), cell(set.status.numberAvailable),
      context.labels(set.spec.template.spec.nodeSelector), age, names, images, context.selector(set.spec.selector),
    ])
  case let set as StatefulSet:
    let (names, images) = context.containers(set.spec.template.spec)
    return TableRowCells([
      name, .string("\(set.status.readyReplicas)/\(set.spec.replicas ?? 0)"), age, names, images,
    ])
  case let job as Job: return jobCells(job, context)
  case let job as CronJob:
    let (names, images) = context.containers(job.spec.jobTemplate.spec.template.spec)
    return TableRowCells([
      name, .string(job.spec.schedule), cell(job.spec.timeZone ?? ""), context.flag(job.spec.suspend),
      .int(Int64(job.status.active.count)),
      .string(job.status.lastScheduleTime.map { context.since($0) } ?? "<none>"), age, names, images,
      context.selector(job.spec.jobTemplate.spec.selector),
    ])
  case let revision as ControllerRevision:
    var controller = "<none>"
    if let owner = revision.metadata.ownerReferences.first(where: { $0.controller == true }) {
      let group = GroupVersion(apiVersion: owner.apiVersion).group
      controller = (GroupResource(group: group, resource: owner.kind.lowercased()).description) + "/" + owner.name
    }
    return TableRowCells([name, .string(controller), .int(revision.revision), age])
  case let template as PodTemplate:
    let (names, images) = context.containers(template.template.spec)
    return TableRowCells([name, names, images, context.labels(template.template.metadata.labels)])
  case let scaler as HorizontalPodAutoscaler:
    return TableRowCells([
      name, .string("\(scaler.spec.scaleTargetRef.kind)/\(scaler.spec.scaleTargetRef.name)"),
      .string(metricsText(scaler)), scaler.spec.minReplicas.map { .string("\($0)") } ?? .string("<unset>"),
      cell(scaler.spec.maxReplicas), cell(scaler.status.currentReplicas), age,
    ])
  default: return nil
  }
}

private func jobCells(_ job: Job, _ context: CellContext) -> TableRowCells {
  let completions: String
  if let wanted = job.spec.completions {
    completions = "\(job.status.succeeded)/\(wanted)"
  } else if let parallelism = job.spec.parallelism, parallelism > 1 {
    completions = "\(job.status.succeeded)/1 of \(parallelism)"
  } else {
    completions = "\(job.status.succeeded)/1"
  }
  var duration = ""
  if let start = job.status.startTime {
    duration = humanDuration((job.status.completionTime ?? context.now).seconds(since: start))
  }
  let conditions = job.status.conditions
  let status: String
  if conditions.isTrue("Complete") {
    status = "Complete"
  } else if conditions.isTrue("Failed") {
    status = "Failed"
  } else if job.metadata.deletionTimestamp != nil {
    status = "Terminating"
  } else if conditions.isTrue("Suspended") {
    status = "Suspended"
  } else if conditions.isTrue("FailureTarget") {
    status = "FailureTarget"
  } else if conditions.isTrue("SuccessCriteriaMet") {
    status = "SuccessCriteriaMet"
  } else {
    status = "Running"
  }
  let (names, images) = context.containers(job.spec.template.spec)
  return TableRowCells([
    .string(job.metadata.name), .string(status), .string(completions), .string(duration),
    context.age(job.metadata), names, images, context.selector(job.spec.selector),
  ])
}

/// `cpu: 12%/80%` for each metric, the first two of them.
private func metricsText(_ scaler: HorizontalPodAutoscaler) -> String {
  var parts: [String] = []
  let current = scaler.status.currentMetrics
  func text(_ value: Quantity?) -> String { value?.description ?? "<unknown>" }
  for (index, metric) in scaler.spec.metrics.enumerated() {
    let now = index < current.count ? current[index] : nil
    if let resource = metric.resource {
      parts.append("\(resource.name): " + targetText(resource.target, now?.resource?.current))
    } else if let resource = metric.containerResource {
      parts.append("\(resource.name): " + targetText(resource.target, now?.containerResource?.current))
    } else if let pods = metric.pods {
      parts.append("\(text(now?.pods?.current.averageValue))/\(text(pods.target.averageValue))")
    } else if let external = metric.external {
      if let average = external.target.averageValue {
        parts.append("\(text(now?.external?.current.averageValue))/\(average) (avg)")
      } else {
        parts.append("\(text(now?.external?.current.value))/\(text(external.target.value))")
      }
    } else if let object = metric.object {
      if let average = object.target.averageValue {
        parts.append("\(text(now?.object?.current.averageValue))/\(average) (avg)")
      } else {
        parts.append("\(text(now?.object?.current.value))/\(text(object.target.value))")
      }
    }
  }
  if parts.isEmpty { return "<none>" }
  let shown = parts.prefix(2).joined(separator: ", ")
  return parts.count > 2 ? "\(shown) + \(parts.count - 2) more..." : shown
}

private func targetText(_ target: MetricTarget, _ current: MetricValueStatus?) -> String {
  if let average = target.averageValue {
    return "\(current?.averageValue?.description ?? "<unknown>")/\(average)"
  }
  let now = current?.averageUtilization.map { "\($0)%" } ?? "<unknown>"
  let wanted = target.averageUtilization.map { "\($0)%" } ?? "<auto>"
  return "\(now)/\(wanted)"
}
