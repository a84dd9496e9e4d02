import GRPC

/// Whether the runtime said that it has no such thing.
func isNotFound(_ error: any Error) -> Bool { (error as? GRPCStatus)?.code == .notFound }

/// The text of an error as it stands in events and conditions.
func describe(_ error: any Error) -> String {
  if let status = error as? GRPCStatus { return status.description }
  if error is CancellationError { return "context canceled" }
  return "\(error)"
}
