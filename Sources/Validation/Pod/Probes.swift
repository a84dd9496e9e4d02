import API

/// Checks a container's three probes.
func checkProbes(_ container: Container, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  if let probe = container.livenessProbe {
    let path = path.child("livenessProbe")
    checkProbe(probe, path, context, &errors)
    if probe.successThreshold != 1 {
      errors.append(.invalid(path.child("successThreshold"), probe.successThreshold, "must be 1"))
    }
  }
  if let probe = container.readinessProbe {
    let path = path.child("readinessProbe")
    checkProbe(probe, path, context, &errors)
    if let seconds = probe.terminationGracePeriodSeconds {
      errors.append(
        .invalid(path.child("terminationGracePeriodSeconds"), seconds, "must not be set for readinessProbes"))
    }
  }
  if let probe = container.startupProbe {
    let path = path.child("startupProbe")
    checkProbe(probe, path, context, &errors)
    if probe.successThreshold != 1 {
      errors.append(.invalid(path.child("successThreshold"), probe.successThreshold, "must be 1"))
    }
  }
}

private func checkProbe(_ probe: Probe, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]) {
  checkHandler(
    exec: probe.exec, http: probe.httpGet, tcp: probe.tcpSocket, grpc: probe.grpc, sleep: nil, path, context, &errors)
  checkNonnegative(probe.initialDelaySeconds, path.child("initialDelaySeconds"), &errors)
  checkNonnegative(probe.timeoutSeconds, path.child("timeoutSeconds"), &errors)
  checkNonnegative(probe.periodSeconds, path.child("periodSeconds"), &errors)
  checkNonnegative(probe.successThreshold, path.child("successThreshold"), &errors)
  checkNonnegative(probe.failureThreshold, path.child("failureThreshold"), &errors)
  if let seconds = probe.terminationGracePeriodSeconds, seconds <= 0 {
    errors.append(.invalid(path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"))
  }
}

/// Checks what is done at the start and the end of a container.
func checkLifecycle(
  _ lifecycle: Lifecycle?, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  guard let lifecycle else { return }
  if let handler = lifecycle.postStart { checkHandler(handler, path.child("postStart"), context, &errors) }
  if let handler = lifecycle.preStop { checkHandler(handler, path.child("preStop"), context, &errors) }
}

private func checkHandler(
  _ handler: LifecycleHandler, _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  checkHandler(
    exec: handler.exec, http: handler.httpGet, tcp: handler.tcpSocket, grpc: nil, sleep: handler.sleep, path, context,
    &errors)
}

private func checkHandler(
  exec: ExecAction?, http: HTTPGetAction?, tcp: TCPSocketAction?, grpc: GRPCAction?, sleep: SleepAction?,
  _ path: FieldPath, _ context: PodContext, _ errors: inout [FieldError]
) {
  var count = 0
  func another(_ field: String, _ errors: inout [FieldError]) -> Bool {
    count += 1
    if count == 1 { return true }
    errors.append(.forbidden(path.child(field), "may not specify more than 1 handler type"))
    return false
  }
  if let exec, another("exec", &errors), exec.command.isEmpty {
    errors.append(.required(path.child("exec").child("command")))
  }
  if let http, another("httpGet", &errors) { checkHTTPGet(http, path.child("httpGet"), &errors) }
  if let tcp, another("tcpSocket", &errors) { checkPort(tcp.port, path.child("tcpSocket").child("port"), &errors) }
  if let grpc, another("grpc", &errors) { checkPort(grpc.port, path.child("grpc").child("port"), &errors) }
  if let sleep, another("sleep", &errors), sleep.seconds < 0 || sleep.seconds > context.gracePeriod {
    errors.append(
      .invalid(
        path.child("sleep"), sleep.seconds,
        "must be non-negative and less than terminationGracePeriodSeconds (\(context.gracePeriod))"))
  }
  if count == 0 { errors.append(.required(path, "must specify a handler type")) }
}

private func checkHTTPGet(_ action: HTTPGetAction, _ path: FieldPath, _ errors: inout [FieldError]) {
  checkRequired(action.path, path.child("path"), &errors)
  checkPort(action.port, path.child("port"), &errors)
  checkOneOf(action.scheme, ["HTTP", "HTTPS"], path.child("scheme"), &errors)
  for header in action.httpHeaders {
    let wellFormed = header.name.utf8.allSatisfy {
      ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5A) || ($0 >= 0x61 && $0 <= 0x7A) || $0 == 0x2D
    }
    if header.name.isEmpty || !wellFormed {
      errors.append(
        .invalid(
          path.child("httpHeaders"), header.name,
          regexProblem(
            "a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name")))
    }
  }
}
