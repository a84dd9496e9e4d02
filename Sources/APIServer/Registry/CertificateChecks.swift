import API
import APIMachinery
import APIMeta
import PKI
import Validation

/// What requests for certificates and bundles of them hold, found when they are written; what stands already is left
/// alone.
enum CertificateChecks {
  /// What is wrong with an object that has a type.
  static func errors(_ object: any APIObject, old: (any APIObject)?) -> [FieldError] {
    guard let request = object as? CertificateSigningRequest, old == nil, !request.spec.request.isEmpty else {
      return []
    }
    let path = FieldPath("spec").child("request")
    let shown = request.spec.request.base64
    let text = String(decoding: request.spec.request.bytes, as: UTF8.self)
    guard PEMBlocks.read(text).first?.type == "CERTIFICATE REQUEST" else {
      return [.invalid(path, shown, "PEM block type must be CERTIFICATE REQUEST")]
    }
    do { _ = try SigningRequest(pem: text) } catch { return [.invalid(path, shown, "\(error)")] }
    return []
  }

  /// What is wrong with an object of a kind without a type.
  static func errors(_ object: DynamicObject, old: DynamicObject?) -> [FieldError] {
    guard object.kind == "ClusterTrustBundle" else { return [] }
    let bundle = object.content["spec"]?["trustBundle"]?.stringValue ?? ""
    let before = old.map { $0.content["spec"]?["trustBundle"]?.stringValue ?? "" }
    return bundle == before || bundle.utf8.count > 1 << 20 ? [] : anchors(bundle)
  }

  private static func anchors(_ bundle: String) -> [FieldError] {
    let path = FieldPath("spec").child("trustBundle")
    func wrong(_ detail: String) -> FieldError { .invalid(path, "<value omitted>", detail) }
    var errors: [FieldError] = []
    var places: [(bytes: [UInt8], indices: [Int])] = []
    for (i, block) in PEMBlocks.read(bundle).enumerated() {
      if block.type != "CERTIFICATE" {
        errors.append(wrong("entry \(i) has bad block type: \(block.type)"))
      } else if block.hasHeaders {
        errors.append(wrong("entry \(i) has PEM block headers"))
      } else if let certificate = try? CertificateInfo(der: block.bytes) {
        if !certificate.isAuthority {
          errors.append(wrong("entry \(i) does not have the CA bit set"))
        } else if let at = places.firstIndex(where: { $0.bytes == block.bytes }) {
          places[at].indices.append(i)
        } else {
          places.append((block.bytes, [i]))
        }
      } else {
        errors.append(wrong("entry \(i) does not parse as X.509"))
      }
    }
    if !errors.isEmpty { return errors }
    if places.isEmpty { return [wrong("at least one trust anchor must be provided")] }
    return places.filter { $0.indices.count > 1 }.map { place in
      wrong("duplicate trust anchor (indices [\(place.indices.map(String.init).joined(separator: " "))])")
    }
  }
}
