import API
import APIMachinery

/// What a resource does differently from the plain case, as data.
struct Traits: Sendable {
  enum Generation: Sendable {
    /// The kind has no generation.
    case none
    /// Starts at 1 and grows with each change of `spec`.
    case spec
    /// The same, and annotations count too.
    case specAndAnnotations
    /// Grows with each change outside of metadata.
    case content
    /// Grows with each change outside of metadata, status included.
    case everything
    /// Starts at 1; content is immutable or changes do not count.
    case one
  }

  enum CreateStatus: Sendable {
    case keep
    case clear
    case set(JSONValue)
  }

  /// What an update of the status changes in the metadata.
  enum StatusMetadata: Sendable {
    /// Whatever was sent.
    case sent
    /// All but the labels.
    case allButLabels
    /// Nothing that people set: labels, annotations, finalizers and owners stay.
    case kept
  }

  var generation = Generation.none
  var createStatus = CreateStatus.clear
  var statusMetadata = StatusMetadata.sent
  var createOnUpdate = false
  var unconditionalUpdate = true
  /// A finished delete answers with the object, not with a Status.
  var returnsDeleted = false
  /// Fields beside metadata.name and metadata.namespace that a field selector may name.
  var fields: [String: FieldPathValue] = [:]
  var index: [StaticString]?
  var secondsToLive: Int?

  /// How a selectable field is read from stored bytes.
  struct FieldPathValue: Sendable {
    var path: [StaticString]
    /// What an absent field compares as.
    var absent = ""
    /// Read where `path` holds nothing.
    var fallback: [StaticString] = []
    init(_ path: StaticString..., absent: String = "", fallback: [StaticString] = []) {
      self.path = path
      self.absent = absent
      self.fallback = fallback
    }
  }

  static func of(_ resource: GroupResource) -> Traits {
    var traits: Traits
    switch resource.group {
    case "": traits = core(resource.resource)
    case "apps": traits = apps(resource.resource)
    default: traits = others(resource)
    }
    if keepingMetadata.contains(resource.resource) { traits.statusMetadata = .kept }
    return traits
  }

  private static let keepingMetadata: Set<String> = [
    "validatingadmissionpolicies", "apiservices", "flowschemas", "prioritylevelconfigurations", "volumeattachments",
    "podcertificaterequests", "devicetaintrules", "resourceclaims", "storageversionmigrations",
  ]

  private static func core(_ resource: String) -> Traits {
    var traits = Traits()
    switch resource {
    case "pods":
      traits.generation = .spec
      traits.returnsDeleted = true
      traits.index = ["spec", "nodeName"]
      traits.fields = [
        "spec.nodeName": .init("spec", "nodeName"), "spec.restartPolicy": .init("spec", "restartPolicy"),
        "spec.schedulerName": .init("spec", "schedulerName"),
        "spec.serviceAccountName": .init("spec", "serviceAccountName"),
        "spec.hostNetwork": .init("spec", "hostNetwork", absent: "false"),
        "status.phase": .init("status", "phase"), "status.podIP": .init("status", "podIP"),
        "status.podIPs": .init("status", "podIP"),
        "status.nominatedNodeName": .init("status", "nominatedNodeName"),
      ]
    case "nodes":
      traits.createStatus = .keep
      traits.fields = ["spec.unschedulable": .init("spec", "unschedulable", absent: "false")]
    case "namespaces":
      traits.createStatus = .set(.object(["phase": .string("Active")]))
      traits.fields = ["status.phase": .init("status", "phase")]
    case "services":
      traits.createOnUpdate = true
      traits.returnsDeleted = true
      traits.fields = ["spec.clusterIP": .init("spec", "clusterIP"), "spec.type": .init("spec", "type")]
    case "endpoints": traits.createOnUpdate = true
    case "events":
      traits.createOnUpdate = true
      traits.secondsToLive = 3600
      traits.fields = [
        "involvedObject.kind": .init("involvedObject", "kind"),
        "involvedObject.namespace": .init("involvedObject", "namespace"),
        "involvedObject.name": .init("involvedObject", "name"),
        "involvedObject.uid": .init("involvedObject", "uid"),
        "involvedObject.apiVersion": .init("involvedObject", "apiVersion"),
        "involvedObject.resourceVersion": .init("involvedObject", "resourceVersion"),
        "involvedObject.fieldPath": .init("involvedObject", "fieldPath"),
        "reason": .init("reason"),
        "reportingComponent": .init("reportingComponent", fallback: ["source", "component"]),
        "source": .init("source", "component", fallback: ["reportingComponent"]), "type": .init("type"),
      ]
    case "limitranges": traits.createOnUpdate = true
    case "secrets": traits.fields = ["type": .init("type")]
    case "serviceaccounts": traits.returnsDeleted = true
    case "podtemplates":
      traits.generation = .one
      traits.returnsDeleted = true
    case "replicationcontrollers":
      traits.generation = .spec
      traits.fields = ["status.replicas": .init("status", "replicas", absent: "0")]
    case "resourcequotas": traits.returnsDeleted = true
    case "persistentvolumes":
      traits.createStatus = .set(.object(["phase": .string("Pending")]))
      traits.returnsDeleted = true
    case "persistentvolumeclaims":
      traits.createStatus = .set(.object(["phase": .string("Pending")]))
      traits.returnsDeleted = true
    default: break
    }
    return traits
  }

  private static func apps(_ resource: String) -> Traits {
    var traits = Traits()
    traits.generation = resource == "controllerrevisions" ? .none : .spec
    if resource == "deployments" {
      traits.generation = .specAndAnnotations
      traits.statusMetadata = .allButLabels
    }
    if resource == "replicasets" {
      traits.fields = ["status.replicas": .init("status", "replicas", absent: "0")]
    }
    return traits
  }

  private static func others(_ resource: GroupResource) -> Traits {
    var traits = Traits()
    switch resource.group {
    case "batch":
      traits.generation = .spec
      if resource.resource == "jobs" {
        traits.fields = ["status.successful": .init("status", "succeeded", absent: "0")]
      }
    case "networking.k8s.io":
      traits.generation = resource.resource == "ipaddresses" ? .none : .spec
    case "policy":
      traits.generation = .spec
      traits.unconditionalUpdate = false
    case "admissionregistration.k8s.io":
      traits.generation = resource.resource.hasSuffix("webhookconfigurations") ? .content : .spec
      traits.unconditionalUpdate = false
    case "apiextensions.k8s.io":
      traits.generation = .spec
      traits.unconditionalUpdate = false
    case "apiregistration.k8s.io": traits.unconditionalUpdate = false
    case "flowcontrol.apiserver.k8s.io": traits.generation = .spec
    case "discovery.k8s.io": traits.generation = .content
    case "coordination.k8s.io":
      traits.createOnUpdate = true
      traits.unconditionalUpdate = false
    case "rbac.authorization.k8s.io": traits.createOnUpdate = true
    case "events.k8s.io":
      traits = core("events")
      traits.fields = [
        "metadata.name": .init("metadata", "name"), "regarding.kind": .init("involvedObject", "kind"),
        "regarding.namespace": .init("involvedObject", "namespace"),
        "regarding.name": .init("involvedObject", "name"), "regarding.uid": .init("involvedObject", "uid"),
        "regarding.apiVersion": .init("involvedObject", "apiVersion"),
        "regarding.resourceVersion": .init("involvedObject", "resourceVersion"),
        "regarding.fieldPath": .init("involvedObject", "fieldPath"), "reason": .init("reason"),
        "reportingController": .init("reportingComponent", fallback: ["source", "component"]),
        "type": .init("type"),
      ]
    case "certificates.k8s.io":
      if resource.resource == "certificatesigningrequests" {
        traits.fields = ["spec.signerName": .init("spec", "signerName")]
      } else if resource.resource == "clustertrustbundles" {
        traits.fields = ["spec.signerName": .init("spec", "signerName")]
        traits.unconditionalUpdate = false
      } else {
        traits.fields = [
          "spec.signerName": .init("spec", "signerName"), "spec.podName": .init("spec", "podName"),
          "spec.nodeName": .init("spec", "nodeName"),
        ]
      }
    case "scheduling.k8s.io": traits.generation = .one
    case "node.k8s.io": traits.unconditionalUpdate = false
    case "storage.k8s.io":
      traits.returnsDeleted = resource.resource != "csistoragecapacities"
      switch resource.resource {
      case "csidrivers":
        traits.generation = .spec
        traits.unconditionalUpdate = false
      case "csinodes", "volumeattachments": traits.unconditionalUpdate = false
      default: break
      }
    case "resource.k8s.io":
      if resource.resource == "resourceslices" {
        traits.generation = .spec
        traits.fields = [
          "spec.nodeName": .init("spec", "nodeName"), "spec.driver": .init("spec", "driver"),
        ]
      } else if resource.resource != "resourceclaims" && resource.resource != "resourceclaimtemplates" {
        traits.generation = .spec
      }
    default: break
    }
    return traits
  }
}
