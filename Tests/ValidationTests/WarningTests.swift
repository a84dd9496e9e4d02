import API
import Testing
import Validation

@Suite struct WarningTests {
  private let meta = #""metadata":{"name":"n","namespace":"d"}"#

  @Test func pods() throws {
    let odd = try defaulted(
      Pod.self,
      #"""
      {"metadata":{"name":"a.b","namespace":"d","annotations":{"scheduler.alpha.kubernetes.io/critical-pod":""}},
      "spec":{"nodeSelector":{"beta.kubernetes.io/os":"linux"},"terminationGracePeriodSeconds":-1,
      "topologySpreadConstraints":[{"topologyKey":"failure-domain.beta.kubernetes.io/zone","maxSkew":1}],
      "hostAliases":[{"ip":"::01"},{"ip":"::01"}],"imagePullSecrets":[{"name":""}],
      "affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"x"}]}},
      "containers":[{"name":"c","image":"i","env":[{"name":"A","value":"1"},{"name":"A","value":"2"},
      {"name":"A","value":"$(A)3"}],"ports":[{"containerPort":80},{"containerPort":80},{"containerPort":81,
      "hostIP":"1.2.3.4"}],"resources":{"requests":{"memory":"100m"}}}],
      "volumes":[{"name":"g","gitRepo":{"repository":"r"}},{"name":"m","configMap":{"name":"x","items":[
      {"key":"a","path":"p"},{"key":"b","path":"p/q"}]}}]}}
      """#)
    let found = warnings(for: odd, old: nil)
    #expect(found.first?.hasPrefix("metadata.name: this is used in the Pod's hostname, which can result in") == true)
    #expect(
      Array(found.dropFirst()) == [
        #"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
        "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since "
          + #"v1.17; use "topology.kubernetes.io/zone" instead"#,
        "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "
          + #""priorityClassName" field instead"#,
        "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
        #"volume "m" (ConfigMap "x"): overlapping paths: "p/q" with "p""#,
        #"spec.hostAliases[1].ip: duplicate ip "::01""#,
        #"spec.imagePullSecrets[0].name: invalid empty name """#,
        #"spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer"#,
        #"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
        "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        "spec.containers[0].ports[2]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:81 Protocol:TCP "
          + "HostIP:1.2.3.4}",
        "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null "
          + "labelSelector results in matching no pod",
        #"spec.hostAliases[0].ip: IPv6 address "::01" should be in RFC 5952 canonical format ("::1")"#,
        #"spec.hostAliases[1].ip: IPv6 address "::01" should be in RFC 5952 canonical format ("::1")"#,
      ])
    #expect(warnings(for: odd, old: odd).isEmpty)
    #expect(warnings(for: try pod(), old: nil).isEmpty)
  }

  @Test func templates() throws {
    let spec = #"{"containers":[{"name":"c","image":"i"}],"nodeSelector":{"beta.kubernetes.io/arch":"x"}}"#
    let text = #"deprecated since v1.14; use "kubernetes.io/arch" instead"#
    var deployment = try defaulted(Deployment.self, #"{\#(meta),"spec":{"template":{"spec":\#(spec)}}}"#)
    let wanted = ["spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: \(text)"]
    #expect(warnings(for: deployment, old: nil) == wanted)
    let before = deployment
    #expect(warnings(for: deployment, old: before).isEmpty)
    deployment.metadata.generation += 1
    #expect(warnings(for: deployment, old: before) == wanted)
    let cron = try defaulted(
      CronJob.self,
      #"{\#(meta),"spec":{"schedule":"TZ=UTC 0 0 * * *","jobTemplate":{"spec":{"template":{"spec":\#(spec)}}}}}"#)
    #expect(
      warnings(for: cron, old: nil) == [
        "spec.jobTemplate.spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: \(text)",
        "CRON_TZ or TZ used in spec.spec.schedule is not officially supported, see "
          + "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
      ])
    let set = try defaulted(
      StatefulSet.self,
      #"""
      {\#(meta),"spec":{"revisionHistoryLimit":-1,"volumeClaimTemplates":[{"spec":{"resources":{"requests":
      {"storage":"1500m"}}}}]}}
      """#)
    #expect(
      warnings(for: set, old: nil) == [
        #"spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value "1500m" is invalid, must be "#
          + "an integer",
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
      ])
  }

  @Test func servicesAndAddresses() throws {
    let headless = try defaulted(
      Service.self,
      #"{\#(meta),"spec":{"clusterIP":"None","sessionAffinity":"ClientIP","externalIPs":["FE80::1"],"externalName":"x"}}"#
    )
    #expect(
      warnings(for: headless, old: nil) == [
        "spec.externalIPs is ignored for headless services", "spec.SessionAffinity is ignored for headless services",
        #"spec.externalIPs[0]: IPv6 address "FE80::1" should be in RFC 5952 canonical format ("fe80::1")"#,
        #"spec.externalName is ignored when spec.type is not "ExternalName""#,
      ])
    let policy = try defaulted(
      NetworkPolicy.self,
      #"""
      {\#(meta),"spec":{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.1/8","except":["2001:db8:0:0::/64",
      "::ffff:1.2.3.0/120"]}}]}]}}
      """#)
    #expect(
      warnings(for: policy, old: nil) == [
        #"spec.ingress[0].from[0].ipBlock.cidr: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "#
          + #""10.0.0.0/8" or "10.0.0.1/32"?)"#,
        #"spec.ingress[0].from[0].ipBlock.except[0]: IPv6 CIDR value "2001:db8:0:0::/64" should be in RFC 5952 "#
          + #"canonical format ("2001:db8::/64")"#,
        #"spec.ingress[0].from[0].ipBlock.except[1]: non-standard CIDR value "::ffff:1.2.3.0/120" will be considered "#
          + #"invalid in a future Kubernetes release: use "1.2.3.0/24""#,
      ])
    let slice = try defaulted(
      EndpointSlice.self, #"{\#(meta),"addressType":"FQDN","endpoints":[{"addresses":["a.b"]}]}"#)
    #expect(warnings(for: slice, old: nil) == ["addressType: FQDN endpoints are deprecated"])
  }

  @Test func others() throws {
    let volume = try defaulted(
      PersistentVolume.self,
      #"""
      {"metadata":{"name":"v","annotations":{"volume.beta.kubernetes.io/storage-class":"s"}},"spec":{
      "persistentVolumeReclaimPolicy":"Recycle","rbd":{}}}
      """#)
    #expect(
      warnings(for: volume, old: nil) == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "
          + #""storageClassName" attribute instead"#,
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
          + "approach is to use dynamic provisioning.",
        "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
      ])
    let ingress = try defaulted(
      Ingress.self, #"{"metadata":{"name":"i","annotations":{"kubernetes.io/ingress.class":"x"}}}"#)
    #expect(
      warnings(for: ingress, old: nil) == [
        #"annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead"#
      ])
    #expect(warnings(for: ingress, old: ingress).isEmpty)
    let account = try defaulted(
      ServiceAccount.self,
      #"{"metadata":{"name":"a","annotations":{"kubernetes.io/enforce-mountable-secrets":"true"}}}"#)
    #expect(warnings(for: account, old: nil).count == 1 && warnings(for: account, old: account).isEmpty)
    let storage = try defaulted(
      StorageClass.self,
      #"""
      {"metadata":{"name":"s"},"allowedTopologies":[{"matchLabelExpressions":[{"key":
      "failure-domain.beta.kubernetes.io/zone","values":["a"]}]}]}
      """#)
    #expect(
      warnings(for: storage, old: nil) == [
        "allowedTopologies[0].matchLabelExpressions[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since "
          + #"v1.17; use "topology.kubernetes.io/zone" instead"#
      ])
  }
}
