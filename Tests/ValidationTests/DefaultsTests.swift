import API
import Testing
import Validation

@Suite struct DefaultsTests {
  @Test func podsGetWhatUpstreamGivesThem() throws {
    let pod = try defaulted(
      Pod.self,
      #"""
      {"metadata":{"name":"p"},"spec":{"hostNetwork":true,"serviceAccountName":"s","volumes":[{"name":"v"},
       {"name":"s","secret":{"secretName":"x"}}],"containers":[{"name":"c","image":"nginx","ports":[{"containerPort":80}],
       "resources":{"limits":{"cpu":"1"}},"env":[{"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
       "livenessProbe":{"httpGet":{"port":80}}},{"name":"d","image":"nginx:1"}]}}
      """#)
    #expect(pod.spec.dnsPolicy == "ClusterFirst" && pod.spec.restartPolicy == "Always")
    #expect(pod.spec.terminationGracePeriodSeconds == 30 && pod.spec.schedulerName == "default-scheduler")
    #expect(pod.spec.securityContext == PodSecurityContext() && pod.spec.enableServiceLinks == true)
    #expect(pod.spec.serviceAccount == "s")
    #expect(pod.spec.volumes[0].emptyDir != nil && pod.spec.volumes[1].secret?.defaultMode == 420)
    let container = pod.spec.containers[0]
    #expect(container.imagePullPolicy == "Always" && pod.spec.containers[1].imagePullPolicy == "IfNotPresent")
    #expect(container.terminationMessagePath == "/dev/termination-log")
    #expect(container.ports[0].hostPort == 80 && container.ports[0].`protocol` == "TCP")
    #expect(container.resources.requests["cpu"] == Quantity(1))
    #expect(container.env[0].valueFrom?.fieldRef?.apiVersion == "v1")
    #expect(container.livenessProbe?.httpGet?.scheme == "HTTP" && container.livenessProbe?.httpGet?.path == "/")
    #expect(container.livenessProbe?.periodSeconds == 10 && container.livenessProbe?.failureThreshold == 3)
  }

  @Test func templatesGetNoHostPorts() throws {
    let set = try defaulted(
      ReplicaSet.self,
      #"{"spec":{"template":{"spec":{"hostNetwork":true,"containers":[{"name":"c","ports":[{"containerPort":1}]}]}}}}"#)
    #expect(set.spec.template.spec.containers[0].ports[0].hostPort == 0)
    #expect(set.spec.replicas == 1 && set.spec.template.spec.enableServiceLinks == nil)
  }

  @Test(arguments: [
    ("a", "Always"), ("a:latest", "Always"), ("a:1", "IfNotPresent"), ("r:5000/a", "Always"),
    ("r:5000/a:2", "IfNotPresent"), ("a@sha256:00", "IfNotPresent"),
  ])
  func pullPolicyFollowsTheTag(_ image: String, _ policy: String) throws {
    let pod = try defaulted(Pod.self, #"{"spec":{"containers":[{"image":"\#(image)"}]}}"#)
    #expect(pod.spec.containers[0].imagePullPolicy == policy)
  }

  @Test func workloads() throws {
    let deployment = try defaulted(Deployment.self, "{}")
    #expect(deployment.spec.replicas == 1 && deployment.spec.revisionHistoryLimit == 10)
    #expect(deployment.spec.strategy.rollingUpdate?.maxSurge == "25%")
    #expect(deployment.spec.progressDeadlineSeconds == 600)
    let daemon = try defaulted(DaemonSet.self, "{}")
    #expect(daemon.spec.updateStrategy.rollingUpdate?.maxUnavailable == 1)
    let set = try defaulted(StatefulSet.self, #"{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"v"}}]}}"#)
    #expect(set.spec.updateStrategy.rollingUpdate?.partition == 0 && set.spec.podManagementPolicy == "OrderedReady")
    #expect(set.spec.persistentVolumeClaimRetentionPolicy?.whenDeleted == "Retain")
    #expect(set.spec.volumeClaimTemplates[0].spec.volumeMode == "Filesystem")
    let job = try defaulted(Job.self, #"{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}"#)
    #expect(job.spec.completions == 1 && job.spec.parallelism == 1 && job.spec.backoffLimit == 6)
    #expect(job.metadata.labels == ["a": "b"] && job.spec.podReplacementPolicy == "TerminatingOrFailed")
    let queue = try defaulted(Job.self, #"{"spec":{"parallelism":2}}"#)
    #expect(queue.spec.completions == nil && queue.spec.parallelism == 2)
    let cron = try defaulted(CronJob.self, "{}")
    #expect(cron.spec.concurrencyPolicy == "Allow" && cron.spec.failedJobsHistoryLimit == 1)
    let scaler = try defaulted(HorizontalPodAutoscaler.self, #"{"spec":{"behavior":{}}}"#)
    #expect(scaler.spec.metrics[0].resource?.target.averageUtilization == 80 && scaler.spec.minReplicas == 1)
    #expect(scaler.spec.behavior?.scaleUp?.policies.map(\.value) == [4, 100])
    #expect(scaler.spec.behavior?.scaleDown?.stabilizationWindowSeconds == nil)
  }

  @Test func services() throws {
    let service = try defaulted(Service.self, #"{"spec":{"ports":[{"port":80}]}}"#)
    #expect(service.spec.type == "ClusterIP" && service.spec.sessionAffinity == "None")
    #expect(service.spec.ports[0].targetPort == 80 && service.spec.ports[0].`protocol` == "TCP")
    #expect(service.spec.internalTrafficPolicy == "Cluster" && service.spec.externalTrafficPolicy.isEmpty)
    let node = try defaulted(Service.self, #"{"spec":{"type":"NodePort","sessionAffinity":"ClientIP"}}"#)
    #expect(node.spec.externalTrafficPolicy == "Cluster")
    #expect(node.spec.sessionAffinityConfig?.clientIP?.timeoutSeconds == 10_800)
    let balancer = try defaulted(Service.self, #"{"spec":{"type":"LoadBalancer"}}"#)
    #expect(balancer.spec.allocateLoadBalancerNodePorts == true)
  }

  @Test func others() throws {
    let space = try defaulted(Namespace.self, #"{"metadata":{"name":"n"}}"#)
    #expect(space.metadata.labels == ["kubernetes.io/metadata.name": "n"] && space.spec.finalizers == ["kubernetes"])
    let secret = try defaulted(Secret.self, #"{"data":{"a":"AA=="},"stringData":{"a":"x","b":"y"}}"#)
    #expect(secret.type == "Opaque" && secret.data["a"]?.string == "x" && secret.stringData.isEmpty)
    let binding = try defaulted(
      RoleBinding.self, #"{"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]}"#)
    #expect(binding.roleRef.apiGroup == "rbac.authorization.k8s.io")
    #expect(binding.subjects.map(\.apiGroup) == ["rbac.authorization.k8s.io", ""])
    let limits = try defaulted(
      LimitRange.self, #"{"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"memory":"1Mi"}}]}}"#)
    #expect(limits.spec.limits[0].`default`["cpu"] == Quantity(2))
    #expect(limits.spec.limits[0].defaultRequest.keys.sorted() == ["cpu", "memory"])
    #expect(try defaulted(StorageClass.self, "{}").reclaimPolicy == "Delete")
    #expect(try defaulted(NetworkPolicy.self, #"{"spec":{"egress":[{}]}}"#).spec.policyTypes == ["Ingress", "Egress"])
  }

  @Test func defaultsAreStable() throws {
    for type in Kinds.all {
      var once: any APIObject = type.init()
      applyDefaults(to: &once)
      var twice = once
      applyDefaults(to: &twice)
      #expect(once.encoded() == twice.encoded(), "\(type.kind)")
    }
  }
}
