import CNFTables

/// What libnftables said when it refused a batch.
public struct NFTablesError: Error, CustomStringConvertible {
  /// libnftables' own lines.
  public let message: String
  public var description: String { "nftables: \(message)" }
}

/// A handle on libnftables. A batch is one kernel transaction: all of it takes effect or none.
///
/// Not thread-safe by itself; the owner calls it from one task at a time.
public final class NFTables {
  private let context: OpaquePointer

  /// Throws when the library cannot be initialised.
  public init() throws {
    guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else {
      throw NFTablesError(message: "libnftables could not be initialised")
    }
    self.context = context
    nft_ctx_buffer_error(context)
    nft_ctx_buffer_output(context)
  }

  deinit { nft_ctx_free(context) }

  /// Runs commands in nft's own syntax, one a line, as one transaction, and returns what `list` commands printed.
  @discardableResult
  public func run(_ batch: String) throws -> String {
    let status = nft_run_cmd_from_buffer(context, batch)
    // Reading a buffer empties it, so both are read whatever the status.
    let output = nft_ctx_get_output_buffer(context).map { String(cString: $0) } ?? ""
    let errors = nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? ""
    guard status == 0 else {
      throw NFTablesError(message: errors.split(separator: "\n").prefix(3).joined(separator: "; "))
    }
    return output
  }
}
