import API
import APIMachinery
import HTTP
import Testing

@testable import APIServer

@Suite struct PodSecurityTests {
  private func pod(_ change: (inout PodSpec) -> Void) -> Pod {
    Pod { pod in
      pod.spec.containers = [Container { $0.name = "c" }]
      change(&pod.spec)
    }
  }

  private func told(_ level: PodSecurityLevel.Level, _ pod: Pod, minor: Int? = nil) -> String {
    PodSecurityChecks.details(
      PodSecurityChecks.violations(PodSecurityLevel(level: level, minor: minor), pod.metadata, pod.spec))
  }

  private func secured(_ change: (inout SecurityContext) -> Void = { _ in }) -> SecurityContext {
    var context = SecurityContext()
    context.allowPrivilegeEscalation = false
    context.runAsNonRoot = true
    context.capabilities = Capabilities { $0.drop = ["ALL"] }
    context.seccompProfile = SeccompProfile { $0.type = "RuntimeDefault" }
    change(&context)
    return context
  }

  @Test func aPlainPodIsBaselineButNotRestricted() {
    let plain = pod { _ in }
    #expect(told(.privileged, plain) == "")
    #expect(told(.baseline, plain) == "")
    #expect(
      told(.restricted, plain)
        == "allowPrivilegeEscalation != false (container \"c\" must set "
        + "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set "
        + "securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set "
        + "securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set "
        + "securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")")
    // The checks came one after the other.
    #expect(
      told(.restricted, plain, minor: 7)
        == "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)")
    #expect(told(.restricted, pod { $0.containers[0].securityContext = secured() }) == "")
  }

  @Test(arguments: [
    ("hostNetwork", "host namespaces (hostNetwork=true)"),
    ("hostPath", "hostPath volumes (volume \"v\")"),
    ("hostPort", "hostPort (container \"c\" uses hostPorts 80, 81)"),
    ("privileged", "privileged (container \"c\" must not set securityContext.privileged=true)"),
    (
      "capability",
      "non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)"
    ),
    (
      "selinux",
      "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)"
    ),
    ("sysctl", "forbidden sysctls (kernel.msgmax)"),
    (
      "seccomp",
      "seccompProfile (pod and container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")"
    ),
    ("procMount", "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"),
    ("probe", "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"10.0.0.1\")"),
  ])
  func baselineForbids(_ what: String, _ message: String) {
    let pod = pod { spec in
      switch what {
      case "hostNetwork": spec.hostNetwork = true
      case "hostPath":
        spec.volumes = [
          Volume {
            $0.name = "v"
            $0.hostPath = HostPathVolumeSource { $0.path = "/" }
          }
        ]
      case "hostPort":
        spec.containers[0].ports = [ContainerPort { $0.hostPort = 81 }, ContainerPort { $0.hostPort = 80 }]
      case "privileged": spec.containers[0].securityContext = SecurityContext { $0.privileged = true }
      case "capability":
        spec.containers[0].securityContext = SecurityContext {
          $0.capabilities = Capabilities { $0.add = ["NET_ADMIN", "CHOWN"] }
        }
      case "selinux":
        spec.securityContext = PodSecurityContext {
          $0.seLinuxOptions = SELinuxOptions {
            $0.type = "spc_t"
            $0.user = "x"
          }
        }
      case "sysctl":
        spec.securityContext = PodSecurityContext {
          $0.sysctls = [Sysctl { $0.name = "kernel.msgmax" }, Sysctl { $0.name = "net.ipv4.tcp_syncookies" }]
        }
      case "seccomp":
        spec.securityContext = PodSecurityContext { $0.seccompProfile = SeccompProfile { $0.type = "Unconfined" } }
        spec.containers[0].securityContext = SecurityContext {
          $0.seccompProfile = SeccompProfile { $0.type = "Unconfined" }
        }
      case "procMount": spec.containers[0].securityContext = SecurityContext { $0.procMount = "Unmasked" }
      default:
        spec.containers[0].livenessProbe = Probe { $0.tcpSocket = TCPSocketAction { $0.host = "10.0.0.1" } }
      }
    }
    #expect(told(.baseline, pod) == message)
  }

  @Test func labelsAreReadStrictly() {
    let prefix = PodSecurityPolicy.prefix
    let (policy, errors) = PodSecurityPolicy.of([prefix + "enforce": "baseline", prefix + "enforce-version": "v1.25"])
    #expect(errors.isEmpty)
    #expect("\(policy.enforce)" == "baseline:v1.25")
    #expect(policy.warn == policy.enforce)
    #expect("\(policy.audit)" == "privileged:latest")
    let wrong = PodSecurityPolicy.of([prefix + "enforce": "strict", prefix + "warn-version": "1.25"])
    #expect(wrong.policy.enforce.level == .restricted)
    #expect(wrong.errors.count == 2)
  }

  @Test func podsAreRefusedAndWorkloadsWarnedOf() async throws {
    try await RegistryHarness.with { harness in
      var answer = await harness.call(
        "POST", "/api/v1/namespaces",
        #"{"metadata":{"name":"safe","labels":{"pod-security.kubernetes.io/enforce":"strict"}}}"#)
      #expect(answer.status == 422)
      #expect(answer.message.contains("must be one of privileged, baseline, restricted"))
      _ = await harness.call(
        "POST", "/api/v1/namespaces",
        #"{"metadata":{"name":"safe","labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}"#)
      _ = await harness.call("POST", "/api/v1/namespaces/safe/serviceaccounts", #"{"metadata":{"name":"default"}}"#)
      let spec = #"{"hostPID":true,"containers":[{"name":"c","image":"i"}]}"#
      answer = await harness.call(
        "POST", "/api/v1/namespaces/safe/pods", #"{"metadata":{"name":"p"},"spec":\#(spec)}"#)
      #expect(answer.status == 403)
      #expect(
        answer.message
          == #"pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)"#)
      answer = await harness.call(
        "POST", "/apis/apps/v1/namespaces/safe/deployments",
        #"{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":\#(spec)}}}"#
      )
      #expect(answer.status == 201)
      #expect(
        answer.headers["warning"]?.contains(
          #"would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"#) == true)
    }
  }
}
