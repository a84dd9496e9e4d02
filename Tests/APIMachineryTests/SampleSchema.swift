@testable import APIMachinery

/// A few types cut down from the real ones, enough for every rule.
enum Sample {
  static let deployment = GroupVersionKind(group: "apps", version: "v1", kind: "Deployment")
  // Force-unwrapped: the table below declares it.
  static let schema: Schema = table.schema(for: deployment)!
  static let table = SchemaTable(types: [
    Schema(
      name: "io.k8s.api.apps.v1.Deployment", gvks: [deployment],
      fields: [
        SchemaField(name: "apiVersion", type: .string), SchemaField(name: "kind", type: .string),
        SchemaField(name: "metadata", type: .object("meta.v1.ObjectMeta"), protoNumber: 1),
        SchemaField(name: "spec", type: .object("apps.v1.DeploymentSpec"), protoNumber: 2),
        SchemaField(name: "status", type: .object("apps.v1.DeploymentStatus"), protoNumber: 3),
      ]),
    Schema(
      name: "meta.v1.ObjectMeta",
      fields: [
        SchemaField(name: "name", type: .string), SchemaField(name: "namespace", type: .string),
        SchemaField(name: "uid", type: .string), SchemaField(name: "resourceVersion", type: .string),
        SchemaField(name: "generation", type: .int64), SchemaField(name: "creationTimestamp", type: .time),
        SchemaField(name: "labels", type: .map(.string)), SchemaField(name: "annotations", type: .map(.string)),
        SchemaField(
          name: "finalizers", type: .list(.string), listType: "set", patchStrategy: "merge"),
        SchemaField(name: "managedFields", type: .list(.any), listType: "atomic"),
      ]),
    Schema(
      name: "apps.v1.DeploymentSpec",
      fields: [
        SchemaField(name: "replicas", type: .int32, ptr: true), SchemaField(name: "paused", type: .boolean),
        SchemaField(name: "selector", type: .object("meta.v1.LabelSelector"), ptr: true, always: true),
        SchemaField(name: "template", type: .object("core.v1.PodTemplateSpec"), always: true),
        SchemaField(name: "strategy", type: .object("apps.v1.Strategy"), patchStrategy: "retainKeys"),
      ]),
    Schema(
      name: "apps.v1.Strategy",
      fields: [
        SchemaField(name: "type", type: .string),
        SchemaField(name: "rollingUpdate", type: .object("apps.v1.Rolling"), ptr: true),
      ]),
    Schema(name: "apps.v1.Rolling", fields: [SchemaField(name: "maxSurge", type: .intOrString, ptr: true)]),
    Schema(
      name: "apps.v1.DeploymentStatus", fields: [SchemaField(name: "replicas", type: .int32)]),
    Schema(
      name: "meta.v1.LabelSelector", mapType: "atomic", fields: [SchemaField(name: "matchLabels", type: .map(.string))]),
    Schema(
      name: "core.v1.PodTemplateSpec",
      fields: [
        SchemaField(name: "metadata", type: .object("meta.v1.ObjectMeta")),
        SchemaField(name: "spec", type: .object("core.v1.PodSpec")),
      ]),
    Schema(
      name: "core.v1.PodSpec",
      fields: [
        SchemaField(
          name: "containers", type: .list(.object("core.v1.Container")), always: true, listType: "map",
          listMapKeys: ["name"], patchStrategy: "merge", patchMergeKey: "name"),
        SchemaField(
          name: "volumes", type: .list(.object("core.v1.Volume")), listType: "map", listMapKeys: ["name"],
          patchStrategy: "merge,retainKeys", patchMergeKey: "name"),
        SchemaField(name: "nodeSelector", type: .map(.string), mapType: "atomic"),
      ]),
    Schema(
      name: "core.v1.Volume",
      fields: [
        SchemaField(name: "name", type: .string, always: true),
        SchemaField(name: "emptyDir", type: .object("core.v1.EmptyDir"), ptr: true),
        SchemaField(name: "hostPath", type: .object("core.v1.HostPath"), ptr: true),
      ]),
    Schema(name: "core.v1.EmptyDir", fields: [SchemaField(name: "medium", type: .string)]),
    Schema(name: "core.v1.HostPath", fields: [SchemaField(name: "path", type: .string, always: true)]),
    Schema(
      name: "core.v1.Container",
      fields: [
        SchemaField(name: "name", type: .string, always: true), SchemaField(name: "image", type: .string),
        SchemaField(name: "args", type: .list(.string), listType: "atomic"),
        SchemaField(
          name: "ports", type: .list(.object("core.v1.ContainerPort")), listType: "map",
          listMapKeys: ["containerPort", "protocol"], patchStrategy: "merge", patchMergeKey: "containerPort"),
        SchemaField(
          name: "env", type: .list(.object("core.v1.EnvVar")), listType: "map", listMapKeys: ["name"],
          patchStrategy: "merge", patchMergeKey: "name"),
        SchemaField(name: "resources", type: .object("core.v1.Resources")),
      ]),
    Schema(name: "core.v1.Resources", fields: [SchemaField(name: "limits", type: .map(.quantity))]),
    Schema(
      name: "core.v1.EnvVar",
      fields: [SchemaField(name: "name", type: .string, always: true), SchemaField(name: "value", type: .string)]),
    Schema(
      name: "core.v1.ContainerPort",
      fields: [
        SchemaField(name: "containerPort", type: .int32, always: true), SchemaField(name: "name", type: .string),
        SchemaField(name: "protocol", type: .string, defaultJSON: "\"TCP\""),
      ]),
  ])

  static func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }
  static func text(_ value: JSONValue) -> String { String(decoding: value.encoded(), as: UTF8.self) }
}
