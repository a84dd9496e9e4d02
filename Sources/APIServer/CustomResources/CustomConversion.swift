import API
import APIMachinery

/// Converts custom objects between versions by asking a webhook (ConversionReview v1).
final class CustomConversion: Sendable {
  private let endpoint: WebhookEndpoint
  private let reviewVersion: String
  private let kind: String
  private unowned let registry: Registry

  /// `registry` outlives what it serves.
  init(_ webhook: WebhookConversion, kind: String, registry: Registry) {
    endpoint = webhook.clientConfig.map { WebhookEndpoint($0) } ?? WebhookEndpoint()
    reviewVersion = webhook.conversionReviewVersions.first { $0 == "v1" || $0 == "v1beta1" } ?? "v1"
    self.kind = kind
    self.registry = registry
  }

  /// The objects in another version, in their order. Throws a Status that says what went wrong.
  func convert(_ objects: [JSONValue], to apiVersion: String) async throws -> [JSONValue] {
    let from = objects.first?["apiVersion"]?.stringValue ?? ""
    func failed(_ why: String) -> StatusError {
      .internalError("conversion webhook for \(from), Kind=\(kind) failed: \(why)")
    }
    let uid = Identifiers.uid()
    let review: JSONValue = .object([
      "apiVersion": .string("apiextensions.k8s.io/" + reviewVersion), "kind": .string("ConversionReview"),
      "request": .object([
        "uid": .string(uid), "desiredAPIVersion": .string(apiVersion), "objects": .array(objects),
      ]),
    ])
    let answer: JSONValue
    do {
      answer = try await registry.webhooks.call(endpoint, review, timeout: .seconds(30), in: registry)
    } catch { throw failed("\(error)") }
    guard let response = answer["response"], response.objectValue != nil else {
      throw failed("invalid response: no response provided")
    }
    guard response["uid"]?.stringValue == uid else {
      throw failed("expected response.uid=\"\(uid)\", got \"\(response["uid"]?.stringValue ?? "")\"")
    }
    guard response["result"]?["status"]?.stringValue == "Success" else {
      throw failed(response["result"]?["message"]?.stringValue ?? "response.result.status was not 'Success'")
    }
    let converted = response["convertedObjects"]?.arrayValue ?? []
    guard converted.count == objects.count else {
      throw failed("webhook returned \(converted.count) objects, expected \(objects.count)")
    }
    return try zip(objects, converted).enumerated().map { index, pair in
      let (old, new) = pair
      guard new["apiVersion"]?.stringValue == apiVersion else {
        throw failed(
          "invalid converted object at index \(index): invalid groupVersion (expected \(apiVersion), received "
            + "\(new["apiVersion"]?.stringValue ?? ""))")
      }
      guard new["kind"] == old["kind"] else {
        throw failed(
          "invalid converted object at index \(index): invalid kind (expected \(old["kind"]?.stringValue ?? ""), received "
            + "\(new["kind"]?.stringValue ?? ""))")
      }
      return restored(new, old)
    }
  }

  /// Of the metadata a webhook may change labels and annotations only.
  private func restored(_ new: JSONValue, _ old: JSONValue) -> JSONValue {
    var result = new
    var metadata = old["metadata"]?.objectValue ?? [:]
    for field in ["labels", "annotations"] { metadata[field] = new["metadata"]?[field] }
    result["metadata"] = .object(metadata)
    return result
  }
}
