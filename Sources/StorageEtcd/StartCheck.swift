internal import GRPC
internal import NIOCore
internal import Storage

/// What is looked at before a store is used: that a member answers, and that all that do are of one cluster.
struct StartCheck {
  let client: EtcdClient

  func run(until deadline: ContinuousClock.Instant) async throws {
    while true {
      let answers = await ask()
      let clusters = Set(answers.compactMap { try? $0.result.get() })
      guard clusters.count < 2 else {
        let list = answers.compactMap { answer in
          (try? answer.result.get()).map { "\(answer.address) of \(String($0, radix: 16))" }
        }
        throw StorageError.engine(
          "the etcd endpoints are members of different clusters: \(list.joined(separator: ", "))")
      }
      if !clusters.isEmpty { return }
      let problems = answers.map { "\($0.address): \($0.problem)" }
      // Waiting does not mend certificates.
      if answers.allSatisfy(\.isHopeless) || .now >= deadline {
        throw StorageError.unavailable("etcd at \(problems.joined(separator: "; "))")
      }
      try await Task.sleep(for: .milliseconds(200))
    }
  }

  private struct Answer {
    var address: GRPCAddress
    var result: Result<UInt64, GRPCStatus>

    private var text: String {
      if case .failure(let status) = result { return status.message }
      return ""
    }

    var isHopeless: Bool { text.contains("CERTIFICATE") || text.contains("ALERT") || text.contains("unableToValidate") }

    /// The reason in words.
    var problem: String {
      if text.contains("CERTIFICATE_VERIFY_FAILED") {
        return "its certificate is not signed by the given authority, or not for this name"
      }
      if text.contains("unableToValidateCertificate") || text.contains("noCertificateToValidate") {
        return "its certificate is not for this name"
      }
      if text.contains("ALERT") || text.contains("CERTIFICATE_REQUIRED") {
        return "it refuses this server's certificate"
      }
      if text.contains("WRONG_VERSION_NUMBER") { return "it does not speak TLS" }
      if text.contains("refused") { return "connection refused" }
      return text
    }
  }

  private func ask() async -> [Answer] {
    await withTaskGroup(of: (Int, Answer).self) { group in
      for (index, address) in client.channel.addresses.enumerated() {
        group.addTask {
          let channel = client.single(address)
          defer { Task { await channel.shutdown() } }
          do {
            let reply = try await channel.unary(
              EtcdMethod.status, [], options: GRPCCallOptions(timeout: .seconds(3)))
            return (index, Answer(address: address, result: .success(try HeaderOnly(reply.message).header.cluster)))
          } catch {
            let status = error as? GRPCStatus ?? GRPCStatus(.unknown, "\(error)")
            return (index, Answer(address: address, result: .failure(status)))
          }
        }
      }
      var answers: [(Int, Answer)] = []
      for await answer in group { answers.append(answer) }
      return answers.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }
}
