public import API

/// The API objects that volumes and environments are made of. A missing object is nil; other failures throw.
public protocol VolumeObjects: Sendable {
  func configMap(_ namespace: String, _ name: String) async throws -> ConfigMap?
  func secret(_ namespace: String, _ name: String) async throws -> Secret?
  func claim(_ namespace: String, _ name: String) async throws -> PersistentVolumeClaim?
  func persistentVolume(_ name: String) async throws -> PersistentVolume?
  /// A token of a service account for one pod, renewed in time.
  func token(_ pod: Pod, audience: String, expirationSeconds: Int64) async throws -> String
}
