import API
import APIMachinery
import CustomResources
import Storage
import Synchronization

/// One version of a custom kind: how its objects are read, written and shown.
///
/// Stored, an object carries its type at its end, so that what lies in the store tells which version it is of:
///
///     {"metadata":{…},"spec":{…},"apiVersion":"stable.example.com/v1","kind":"CronTab"}
///
/// On its way through a mutation it is *live*: in the version of the request, without type, pruned and with defaults.
final class CustomVersion: Sendable {
  /// Name of the CustomResourceDefinition.
  let definition: String
  let schema: StructuralSchema
  let rules: RuleValidator?
  let hasStatus: Bool
  let scale: CustomResourceSubresourceScale?
  let columns: [(column: TableColumn, path: JSONPath)]
  let selectable: [String: JSONPath]
  let deprecation: String?
  let conversion: CustomConversion?
  /// The definition is going away: nothing new may come.
  let isTerminating: Bool
  private let kind: String
  private let apiVersion: String
  private let storedVersion: String
  private let suffix: [UInt8]
  private let storedSuffix: [UInt8]
  private let kindSuffix: [UInt8]
  /// Objects stored after this revision have gone through the present schema.
  private let trustedSince: Revision
  private let converted = Mutex<[String: (revision: Revision, object: CachedObject)]>([:])

  init(
    _ definition: CustomResourceDefinition, _ version: CustomResourceDefinitionVersion, trustedSince: Revision,
    registry: Registry
  ) {
    self.definition = definition.metadata.name
    self.trustedSince = trustedSince
    let source = version.schema?.openAPIV3Schema.flatMap { try? JSONValue(parsing: $0.encoded()) }
    schema = StructuralSchema(source ?? .object([:]))
    rules = RuleValidator(schema)
    hasStatus = version.subresources?.status != nil
    scale = version.subresources?.scale
    kind = definition.status.acceptedNames.kind
    apiVersion = "\(definition.spec.group)/\(version.name)"
    storedVersion = "\(definition.spec.group)/\(definition.spec.versions.first { $0.storage }?.name ?? version.name)"
    kindSuffix = Array(",\"kind\":\"\(kind)\"}".utf8)
    suffix = Array(",\"apiVersion\":\"\(apiVersion)\"".utf8) + kindSuffix
    storedSuffix = Array(",\"apiVersion\":\"\(storedVersion)\"".utf8) + kindSuffix
    columns = CustomColumns.columns(version)
    var selectable: [String: JSONPath] = [:]
    for field in version.selectableFields {
      let name = field.jsonPath.hasPrefix(".") ? String(field.jsonPath.dropFirst()) : field.jsonPath
      selectable[name] = try? JSONPath(field.jsonPath)
    }
    self.selectable = selectable
    deprecation =
      version.deprecated ? version.deprecationWarning ?? "\(apiVersion) \(kind) is deprecated" : nil
    let webhook = definition.spec.conversion?.strategy == "Webhook" ? definition.spec.conversion?.webhook : nil
    let kind = definition.status.acceptedNames.kind
    conversion = webhook.map { CustomConversion($0, kind: kind, registry: registry) }
    isTerminating = definition.status.conditions.contains { $0.type == "Terminating" && $0.status == "True" }
  }

  // MARK: Stored and live

  private func isSealed(_ bytes: [UInt8]) -> Bool { bytes.count > kindSuffix.count && bytes.ends(with: kindSuffix) }

  /// Whether what is stored is what this version serves, byte for byte.
  func trusts(_ object: CachedObject) -> Bool { object.revision > trustedSince && object.bytes.ends(with: suffix) }

  /// Whether an object lies in the version that it would be stored in today.
  func isStoredAsWanted(_ bytes: [UInt8]) -> Bool { bytes.ends(with: storedSuffix) }

  /// The object in this version, without type. Throws `ConversionMissing` if only a webhook can tell it.
  func live(_ object: CachedObject) throws -> CachedObject {
    guard isSealed(object.bytes) else { return object }
    if trusts(object) { return CachedObject(object, bytes: Self.bare(object.bytes, suffix.count)) }
    if let known = converted.withLock({ $0[object.key] }), known.revision == object.revision { return known.object }
    if conversion != nil, !object.bytes.ends(with: suffix) { throw ConversionMissing() }
    let live = CachedObject(object, bytes: shaped(try JSONValue(parsing: object.bytes)))
    keep([live])
    return live
  }

  private func keep(_ objects: [CachedObject]) {
    converted.withLock { known in
      if known.count > 50_000 { known = [:] }
      for object in objects where object.revision != 0 { known[object.key] = (object.revision, object) }
    }
  }

  /// A tree of this version as live bytes.
  private func shaped(_ tree: JSONValue) -> [UInt8] {
    var tree = tree
    shape(&tree)
    return storedForm(tree)
  }

  func shape(_ tree: inout JSONValue) {
    schema.prune(&tree)
    schema.applyDefaults(&tree)
  }

  private static func bare(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
    var bare = Array(bytes.dropLast(count))
    bare.append(UInt8(ascii: "}"))
    return bare
  }

  /// Live bytes as they are shown: with type.
  func typed(_ bytes: [UInt8]) -> [UInt8] { bytes.dropLast() + suffix }

  /// Live bytes as they are stored, in the version for that.
  func sealed(_ bytes: [UInt8]) async throws -> [UInt8] {
    guard let conversion, apiVersion != storedVersion else { return bytes.dropLast() + storedSuffix }
    let tree = try JSONValue(parsing: typed(bytes))
    guard let stored = try await conversion.convert([tree], to: storedVersion).first else { throw ConversionMissing() }
    return storedForm(stored).dropLast() + storedSuffix
  }

  // MARK: Webhooks

  /// Has a webhook convert those of the objects that are in another version.
  func prepare(_ objects: [CachedObject]) async throws {
    guard let conversion else { return }
    let missing = converted.withLock { known in
      objects.filter { isSealed($0.bytes) && !$0.bytes.ends(with: suffix) && known[$0.key]?.revision != $0.revision }
    }
    if missing.isEmpty { return }
    let trees = try missing.map { object in
      var tree = try JSONValue(parsing: object.bytes)
      var metadata = tree["metadata"]?.objectValue ?? [:]
      metadata["resourceVersion"] = .string(String(object.revision))
      tree["metadata"] = .object(metadata)
      return tree
    }
    let results = try await conversion.convert(trees, to: apiVersion)
    keep(zip(missing, results).map { CachedObject($0, bytes: shaped($1)) })
  }
}

/// Only a webhook can tell how an object looks in a version.
struct ConversionMissing: Error {}

extension [UInt8] {
  func ends(with suffix: [UInt8]) -> Bool {
    count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix)
  }
}

extension ServedResource {
  /// The object in this resource's version and without type; built-in kinds lie in the store so.
  func live(_ object: CachedObject) throws -> CachedObject {
    guard let custom else { return object }
    return try custom.live(object)
  }

  /// Live bytes as they are stored.
  func sealed(_ bytes: [UInt8]) async throws -> [UInt8] {
    guard let custom else { return bytes }
    return try await custom.sealed(bytes)
  }

  /// Whether an object can be shown as it is stored.
  func servesAsStored(_ object: CachedObject) -> Bool {
    if let custom { return custom.trusts(object) }
    return conversion == nil
  }

  /// Makes ready what showing these objects needs.
  func prepare(_ objects: [CachedObject]) async throws { try await custom?.prepare(objects) }
}
