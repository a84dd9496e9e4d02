public import APIMachinery
import APISchema
import Synchronization

/// A kind that has a protobuf form.
public final class ProtobufKind: Sendable {
  /// The kind, as the envelope names it.
  public let kind: GroupVersionKind
  let plan: MessagePlan
  let prefix: [UInt8]

  init(_ kind: GroupVersionKind, _ plan: MessagePlan) {
    self.kind = kind
    self.plan = plan
    prefix = Envelope.prefix(kind)
  }

  /// The built-in kind of that name; nil if it has no protobuf form.
  public static func of(_ kind: GroupVersionKind) -> ProtobufKind? { KindLibrary.builtIn.kind(kind) }

  // MARK: Objects

  /// An object in its envelope, from its JSON. `resourceVersion` is put into its metadata, for objects whose JSON does
  /// not contain it.
  public func envelope(_ json: ArraySlice<UInt8>, resourceVersion: String = "") throws -> [UInt8] {
    var encoder = ProtobufEncoder(capacity: json.count + 64)
    try append(json, resourceVersion: resourceVersion, to: &encoder)
    return envelope(message: encoder.bytes)
  }

  /// An envelope around a message that is ready.
  public func envelope(message: [UInt8]) -> [UInt8] {
    var out = envelopeHead(messageSize: message.count)
    out.reserveCapacity(Envelope.size(prefix, message.count))
    out.append(contentsOf: message)
    out.append(contentsOf: Envelope.suffix)
    return out
  }

  /// What an envelope begins with when its message has `messageSize` bytes.
  public func envelopeHead(messageSize: Int) -> [UInt8] {
    var out = prefix
    out.append(0x12)
    out.appendVarint(UInt64(messageSize))
    return out
  }

  /// What an envelope ends with.
  public static var envelopeTail: [UInt8] { Envelope.suffix }

  /// Appends the object's message without an envelope.
  public func append(_ json: ArraySlice<UInt8>, resourceVersion: String = "", to encoder: inout ProtobufEncoder) throws
  {
    try append(json, resourceVersion, tag: 0, &encoder)
  }

  /// Appends the object as an item of a list.
  public func appendItem(
    _ json: ArraySlice<UInt8>, resourceVersion: String = "", to encoder: inout ProtobufEncoder
  ) throws {
    // Items are field 2 of every list.
    try append(json, resourceVersion, tag: 2 << 3 | 2, &encoder)
  }

  private func append(
    _ json: ArraySlice<UInt8>, _ version: String, tag: UInt32, _ encoder: inout ProtobufEncoder
  ) throws {
    encoder.version = version
    try JSONReader.withReader(json) { reader in
      try encoder.message(plan, tag: tag, &reader)
      try reader.end()
    }
    encoder.version = ""
  }

  // MARK: Watches

  /// An event as a watch's stream carries it: its length in four bytes, its type, and the object in its envelope.
  public static func watchFrame(type: String, envelope: [UInt8]) -> [UInt8] {
    let object = 1 + varintSize(envelope.count) + envelope.count
    let size = 1 + varintSize(type.utf8.count) + type.utf8.count + 1 + varintSize(object) + object
    var out: [UInt8] = []
    out.reserveCapacity(size + 4)
    for shift in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: size >> shift)) }
    out.appendField(1, type.utf8)
    out.append(0x12)
    out.appendVarint(UInt64(object))
    out.appendField(1, envelope)
    return out
  }
}

/// The kinds known so far; plans are made when a kind is first asked for.
final class KindLibrary: Sendable {
  private struct State {
    var plans: [String: MessagePlan] = [:]
    var kinds: [GroupVersionKind: ProtobufKind] = [:]
  }

  static let builtIn = KindLibrary(builtInSchema)

  private let table: SchemaTable
  private let state = Mutex(State())

  init(_ table: SchemaTable) { self.table = table }

  func kind(_ kind: GroupVersionKind) -> ProtobufKind? {
    state.withLock { state in
      if let known = state.kinds[kind] { return known }
      guard let schema = schema(kind) else { return nil }
      var builder = PlanBuilder(known: state.plans) { [table] in table.type(named: $0) }
      let made = ProtobufKind(kind, builder.plan(schema))
      state.plans = builder.plans
      state.kinds[kind] = made
      return made
    }
  }

  private func schema(_ kind: GroupVersionKind) -> Schema? {
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
    // Options and events are registered in every group version.
    let everywhere = kind.kind.hasSuffix("Options") || kind.kind == "WatchEvent"
    let found = table.schema(for: kind) ?? (everywhere ? table.type(named: meta + kind.kind) : nil)
    // Tables and their like are JSON only: none of their fields has a number.
    guard let found, found.fields.contains(where: { $0.protoNumber > 0 }) else { return nil }
    return found
  }

  /// The kind that an envelope names, what it leaves open taken from `other`.
  func kind(of envelope: Envelope, default other: GroupVersionKind?) throws -> ProtobufKind {
    let version = GroupVersion(apiVersion: envelope.apiVersion.isEmpty ? other?.apiVersion ?? "" : envelope.apiVersion)
    let name = envelope.kind.isEmpty ? other?.kind ?? "" : envelope.kind
    let asked = GroupVersionKind(group: version.group, version: version.version, kind: name)
    if let known = kind(asked) { return known }
    var error = ProtobufError(
      "no kind \(goQuoted(name)) is registered for version \(goQuoted(asked.apiVersion)) in scheme")
    if name.isEmpty { error = ProtobufError("Object 'Kind' is missing") }
    throw error
  }
}
