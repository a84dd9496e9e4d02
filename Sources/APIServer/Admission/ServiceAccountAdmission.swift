import API
import APIMachinery

/// Gives pods a service account and a token to use it with.
struct ServiceAccountAdmission: AdmissionPlugin {
  static let mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
  static let tokenSeconds: Int64 = 3607

  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("pods", .create), var pod = object.as(Pod.self) else { return }
    if pod.isMirror {
      try checkMirror(pod, request)
      return
    }
    if pod.spec.serviceAccountName.isEmpty { pod.spec.serviceAccountName = "default" }
    pod.spec.serviceAccount = pod.spec.serviceAccountName
    let name = pod.spec.serviceAccountName
    guard let account = registry.object(ServiceAccount.self, namespace: request.namespace, name: name) else {
      throw request.forbidden(
        pod.metadata.name,
        "error looking up service account \(request.namespace)/\(name): serviceaccount \"\(name)\" not found")
    }
    if pod.spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true { mountToken(&pod) }
    if pod.spec.imagePullSecrets.isEmpty { pod.spec.imagePullSecrets = account.imagePullSecrets }
    object = .typed(pod)
  }

  private func checkMirror(_ pod: Pod, _ request: AdmissionRequest) throws {
    if !pod.spec.serviceAccountName.isEmpty {
      throw request.forbidden(pod.metadata.name, "a mirror pod may not reference service accounts")
    }
    for volume in pod.spec.volumes {
      let tokens = volume.projected?.sources.contains { $0.serviceAccountToken != nil } ?? false
      if tokens {
        throw request.forbidden(
          pod.metadata.name, "a mirror pod may not use ServiceAccountToken volume projections")
      }
      if volume.secret != nil {
        throw request.forbidden(pod.metadata.name, "a mirror pod may not reference secrets")
      }
    }
  }

  private func mountToken(_ pod: inout Pod) {
    var volumeName = ""
    let taken = Set(pod.spec.volumes.map(\.name))
    // A volume that a controller or an earlier pass has already added is used again.
    for volume in pod.spec.volumes where volume.name.hasPrefix("kube-api-access-") { volumeName = volume.name }
    let known = !volumeName.isEmpty
    if !known {
      repeat { volumeName = "kube-api-access-" + Identifiers.suffix() } while taken.contains(volumeName)
    }
    var used = false
    func mount(_ mounts: inout [VolumeMount]) {
      if mounts.contains(where: { $0.mountPath == Self.mountPath }) { return }
      var mount = VolumeMount()
      mount.name = volumeName
      mount.readOnly = true
      mount.mountPath = Self.mountPath
      mounts.append(mount)
      used = true
    }
    for index in pod.spec.initContainers.indices { mount(&pod.spec.initContainers[index].volumeMounts) }
    for index in pod.spec.containers.indices { mount(&pod.spec.containers[index].volumeMounts) }
    if used, !known { pod.spec.volumes.append(Self.volume(volumeName)) }
  }

  static func volume(_ name: String) -> Volume {
    var token = VolumeProjection()
    token.serviceAccountToken = ServiceAccountTokenProjection {
      $0.path = "token"
      $0.expirationSeconds = tokenSeconds
    }
    var authority = VolumeProjection()
    authority.configMap = ConfigMapProjection {
      $0.name = "kube-root-ca.crt"
      $0.items = [
        KeyToPath {
          $0.key = "ca.crt"
          $0.path = "ca.crt"
        }
      ]
    }
    var namespace = VolumeProjection()
    namespace.downwardAPI = DownwardAPIProjection {
      $0.items = [
        DownwardAPIVolumeFile {
          $0.path = "namespace"
          $0.fieldRef = ObjectFieldSelector {
            $0.apiVersion = "v1"
            $0.fieldPath = "metadata.namespace"
          }
        }
      ]
    }
    var volume = Volume()
    volume.name = name
    volume.projected = ProjectedVolumeSource {
      $0.defaultMode = 420
      $0.sources = [token, authority, namespace]
    }
    return volume
  }
}
