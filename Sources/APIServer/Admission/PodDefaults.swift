import API
import APIMachinery

/// Resolves priority classes.
struct PriorityAdmission: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create), var pod = object.as(Pod.self) else { return }
    var value: Int32 = 0
    var policy = "PreemptLowerPriority"
    if pod.spec.priorityClassName.isEmpty {
      let defaults = registry.list(PriorityClass.self).filter(\.globalDefault)
      if let chosen = defaults.min(by: { $0.value < $1.value }) {
        pod.spec.priorityClassName = chosen.metadata.name
        value = chosen.value
        policy = chosen.preemptionPolicy ?? policy
      }
    } else {
      guard let chosen = registry.object(PriorityClass.self, name: pod.spec.priorityClassName) else {
        throw request.forbidden(
          pod.metadata.name, "no PriorityClass with name \(pod.spec.priorityClassName) was found")
      }
      value = chosen.value
      policy = chosen.preemptionPolicy ?? policy
    }
    if let given = pod.spec.priority, given != value {
      throw request.forbidden(
        pod.metadata.name,
        "the integer value of priority (\(given)) must not be provided in pod spec; "
          + "priority admission controller computed \(value) from the given PriorityClass name")
    }
    if let given = pod.spec.preemptionPolicy, given != policy {
      throw request.forbidden(
        pod.metadata.name,
        "the string value of PreemptionPolicy (\(given)) must not be provided in pod spec; "
          + "priority admission controller computed \(policy) from the given PriorityClass name")
    }
    pod.spec.priority = value
    pod.spec.preemptionPolicy = policy
    object = .typed(pod)
  }

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, request.resource.info.resource == "priorityclasses",
      let new = object.as(PriorityClass.self), new.globalDefault
    else { return }
    if let other = registry.list(PriorityClass.self).first(where: {
      $0.globalDefault && $0.metadata.name != new.metadata.name
    }) {
      throw request.forbidden(
        new.metadata.name,
        "PriorityClass \(other.metadata.name) is already marked as default. Only one default can exist")
    }
  }
}

/// Pods stay five minutes on a node that stops answering, unless they say otherwise.
struct DefaultTolerationSeconds: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create), var pod = object.as(Pod.self) else { return }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
      let tolerated = pod.spec.tolerations.contains {
        ($0.key == key || $0.key.isEmpty) && ($0.effect == "NoExecute" || $0.effect.isEmpty)
      }
      if tolerated { continue }
      pod.spec.tolerations.append(
        Toleration {
          $0.key = key
          $0.operator = "Exists"
          $0.effect = "NoExecute"
          $0.tolerationSeconds = 300
        })
    }
    object = .typed(pod)
  }
}

/// Takes overhead and placement from a pod's runtime class.
struct RuntimeClassAdmission: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create), var pod = object.as(Pod.self) else { return }
    guard let name = pod.spec.runtimeClassName, !name.isEmpty else {
      if !pod.spec.overhead.isEmpty {
        throw request.forbidden(
          pod.metadata.name,
          "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
      }
      return
    }
    guard let runtime = registry.object(RuntimeClass.self, name: name) else {
      throw request.forbidden(pod.metadata.name, "pod rejected: RuntimeClass \"\(name)\" not found")
    }
    if let overhead = runtime.overhead {
      if !pod.spec.overhead.isEmpty, pod.spec.overhead != overhead.podFixed {
        throw request.forbidden(
          pod.metadata.name, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
      }
      pod.spec.overhead = overhead.podFixed
    }
    if let scheduling = runtime.scheduling {
      for (key, value) in scheduling.nodeSelector {
        if let own = pod.spec.nodeSelector[key], own != value {
          throw request.forbidden(
            pod.metadata.name,
            "conflict: runtimeClass.scheduling.nodeSelector[\(key)] = \(value); pod.spec.nodeSelector[\(key)] = \(own)")
        }
        pod.spec.nodeSelector[key] = value
      }
      for toleration in scheduling.tolerations where !pod.spec.tolerations.contains(toleration) {
        pod.spec.tolerations.append(toleration)
      }
    }
    object = .typed(pod)
  }
}

/// A new node takes no pods until the node controller has seen it ready.
struct TaintNodesByCondition: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("nodes", .create), var node = object.as(Node.self) else { return }
    let key = "node.kubernetes.io/not-ready"
    if node.spec.taints.contains(where: { $0.key == key && $0.effect == "NoSchedule" }) { return }
    node.spec.taints.append(
      Taint {
        $0.key = key
        $0.effect = "NoSchedule"
      })
    object = .typed(node)
  }
}
