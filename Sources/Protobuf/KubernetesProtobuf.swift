public import APIMachinery

/// `application/vnd.kubernetes.protobuf` of the built-in kinds, in both directions.
public enum KubernetesProtobuf {
  /// The media type.
  public static let mediaType = "application/vnd.kubernetes.protobuf"

  /// An enveloped object as JSON. What the envelope leaves open of its type is taken from `kind`.
  public static func json(_ body: [UInt8], default kind: GroupVersionKind? = nil) throws -> [UInt8] {
    try body.withUnsafeBufferPointer { bytes in
      let envelope = try Envelope(bytes)
      do {
        let found = try KindLibrary.builtIn.kind(of: envelope, default: kind)
        var decoder = ProtobufDecoder(bytes, kinds: .builtIn)
        try decoder.message(found.plan, envelope.start, envelope.end, type: found.kind)
        return decoder.out.bytes
      } catch var error as ProtobufError {
        error.kind = envelope.kind
        error.apiVersion = envelope.apiVersion
        throw error
      }
    }
  }

  /// An object with its type, as JSON, in an envelope; nil if its kind has no protobuf form.
  public static func envelope(_ json: [UInt8]) throws -> [UInt8]? {
    guard let kind = try kind(of: json).flatMap(ProtobufKind.of) else { return nil }
    return try kind.envelope(json[...])
  }

  /// The type that an object's JSON names.
  static func kind(of json: [UInt8]) throws -> GroupVersionKind? {
    var apiVersion = ""
    var kind = ""
    try JSONReader.withReader(json) { reader in
      guard try reader.peek() == .object else { return }
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("kind") {
          kind = try reader.string()
        } else if key.equals("apiVersion") {
          apiVersion = try reader.string()
        } else {
          try reader.skipValue()
        }
        if !kind.isEmpty, !apiVersion.isEmpty { return }
      }
    }
    if kind.isEmpty { return nil }
    // The core group's own discovery document names no version.
    let version = GroupVersion(apiVersion: apiVersion.isEmpty ? "v1" : apiVersion)
    return GroupVersionKind(group: version.group, version: version.version, kind: kind)
  }
}
