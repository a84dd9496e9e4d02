import API
import APIMachinery
import HTTP

extension Registry {
  /// Field tracking comes with server-side apply.
  func trackFields(_ object: inout LiveObject, old: [UInt8]?, _ context: WriteContext) throws {}

  func apply(_ context: WriteContext, _ request: ResourceRequest) async throws -> HTTPResponse {
    throw StatusError.unsupportedMediaType(accepted: PatchType.allCases.dropLast().map(\.rawValue))
  }
}
