import HTTP

/// `/debug/api_priority_and_fairness`: what waits where, in upstream's columns.
struct FlowControlDump {
  static let prefix = "/debug/api_priority_and_fairness/"
  let control: FlowControl

  /// The answer for a path; nil where there is none.
  func answer(path: String, query: [(String, String)]) -> HTTPResponse? {
    guard path.hasPrefix(Self.prefix) else { return nil }
    let rows: [[String]]
    switch path.dropFirst(Self.prefix.count) {
    case "dump_priority_levels": rows = levels
    case "dump_queues": rows = queues
    case "dump_requests":
      rows = requests(details: query.contains { $0.0 == "includeRequestDetails" && $0.1 == "1" })
    default: return nil
    }
    var response = HTTPResponse(body: .bytes(Array(Self.table(rows).utf8)))
    response.headers.add("content-type", "text/plain; charset=utf-8")
    response.headers.add("x-content-type-options", "nosniff")
    return response
  }

  private var levels: [[String]] {
    let head = [
      "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
      "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
    ]
    return [head]
      + control.picture.levels.map { name, level in
        let queues = level.queues
        let active = queues.queues.count { !$0.waiters.isEmpty }
        return [
          name, "\(active)", "\(level.executing + queues.waiting == 0)", "false", "\(queues.waiting)",
          "\(level.executing)", "\(level.dispatched)", "\(queues.counts.rejected)", "\(queues.counts.timedOut)",
          "\(queues.counts.cancelled)",
        ]
      }
  }

  private var queues: [[String]] {
    let head = [
      "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
      "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
    ]
    return [head]
      + control.picture.levels.flatMap { name, level in
        level.queues.queues.enumerated().map { index, queue in
          let waiting = "\(queue.waiters.count)"
          return [
            name, "\(index)", waiting, "\(queue.executing)", "\(queue.executing)", "\(queue.nextStart)", waiting,
            waiting, waiting,
          ]
        }
      }
  }

  private func requests(details: Bool) -> [[String]] {
    var head = [
      "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
      "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
    ]
    if details {
      head += ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]
    }
    return [head]
      + control.picture.levels.flatMap { name, level in
        level.queues.queues.enumerated().flatMap { index, queue in
          queue.waiters.enumerated().map { place, waiter in
            let label = waiter.label
            var row = [
              name, label.schema, "\(index)", "\(place)", label.distinguisher, "\(waiter.since)", "1", "0", "0s", "",
            ]
            if details {
              row += [
                label.user, label.verb, label.path, label.namespace, label.name, label.apiVersion, label.resource,
                label.subresource,
              ]
            }
            return row
          }
        }
      }
  }

  /// Columns under each other, as Go's tabwriter sets them.
  private static func table(_ rows: [[String]]) -> String {
    let count = rows.first?.count ?? 0
    let widths = (0..<count).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.enumerated().map { column, cell in
        let text = column < count - 1 ? cell + "," : cell
        return column < count - 1 ? text + String(repeating: " ", count: widths[column] + 2 - text.count) : text
      }.joined() + "\n"
    }.joined()
  }

  /// The metrics of flow control under upstream's names.
  func write(to text: inout String) {
    let (levels, rejected) = control.picture
    func family(_ name: String, _ kind: String, _ help: String, _ lines: [String]) {
      text += "# HELP apiserver_flowcontrol_\(name) \(help)\n# TYPE apiserver_flowcontrol_\(name) \(kind)\n"
      for line in lines { text += "apiserver_flowcontrol_\(name)\(line)\n" }
    }
    func of(_ value: (PriorityLevel.Picture) -> Any) -> [String] {
      levels.map { "{priority_level=\"\($0.name)\"} \(value($0.picture))" }
    }
    family(
      "current_executing_requests", "gauge",
      "[BETA] Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority "
        + "and Fairness subsystem", of { $0.executing })
    family(
      "current_executing_seats", "gauge",
      "[BETA] Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage "
        + "otherwise) requests in the API Priority and Fairness subsystem", of { $0.executing })
    family(
      "current_inqueue_requests", "gauge",
      "[BETA] Number of requests currently pending in queues of the API Priority and Fairness subsystem",
      of { $0.queues.waiting })
    family(
      "nominal_limit_seats", "gauge",
      "[BETA] Nominal number of execution seats configured for each priority level", of { $0.level.nominal })
    family(
      "current_limit_seats", "gauge",
      "[ALPHA] current derived number of execution seats available to each priority level",
      of { $0.queues.limit })
    family(
      "lower_limit_seats", "gauge",
      "[ALPHA] Configured lower bound on number of execution seats available to each "
        + "priority level", of { $0.level.least })
    family(
      "upper_limit_seats", "gauge",
      "[ALPHA] Configured upper bound on number of execution seats available to each "
        + "priority level", of { $0.level.most })
    family(
      "dispatched_requests_total", "counter",
      "[BETA] Number of requests executed by API Priority and Fairness subsystem", of { $0.dispatched })
    family(
      "rejected_requests_total", "counter", "[BETA] Number of requests rejected by API Priority and Fairness subsystem",
      rejected.sorted { ($0.key.schema, $0.key.reason) < ($1.key.schema, $1.key.reason) }.map {
        "{flow_schema=\"\($0.key.schema)\",priority_level=\"\($0.key.level)\",reason=\"\($0.key.reason)\"} \($0.value)"
      })
  }
}
