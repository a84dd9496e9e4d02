public import HTTP
public import NIOCore
internal import Synchronization

/// A connection after its upgrade: bytes both ways.
public protocol ByteStream: Sendable {
  /// The next bytes, nil at the end.
  func read() async throws -> ByteBuffer?
  func write(_ bytes: ByteBuffer) async throws
  /// Makes a pending `read` return nil.
  func close() async
}

extension UpgradedConnection: ByteStream {}

/// Moves bytes between two upgraded connections until one of them ends, then ends the other.
public enum StreamPump {
  /// Passes bytes unchanged: both sides speak the same protocol.
  public static func pass(_ a: any ByteStream, _ b: any ByteStream) async {
    await withTaskGroup(of: Void.self) { group in
      for (from, to) in [(a, b), (b, a)] {
        group.addTask {
          do {
            while let bytes = try await from.read() { try await to.write(bytes) }
          } catch {
            // A lost connection is an end like any other: nobody is left to be told.
          }
          await to.close()
          await from.close()
        }
      }
    }
  }

  /// Translates exec or attach for a WebSocket client.
  public static func exec(client: any ByteStream, runtime: any ByteStream, streams: ExecStreams, subprotocol: String)
    async
  {
    let machine = Machine(ExecTranslator(streams: streams, subprotocol: subprotocol))
    await run(machine.locked { $0.start() }, client, runtime)
    await both(
      client, runtime,
      up: { bytes in
        machine.locked { t in
          guard let bytes else { return t.clientEnded() }
          return t.received(fromClient: bytes)
        }
      },
      down: { bytes in
        machine.locked { t in
          guard let bytes else { return t.runtimeEnded() }
          return t.received(fromRuntime: bytes)
        }
      })
  }

  /// Unwraps a tunnelled SPDY connection for port forwarding.
  public static func tunnel(client: any ByteStream, runtime: any ByteStream) async {
    let machine = Machine(TunnelTranslator())
    await both(
      client, runtime,
      up: { bytes in
        machine.locked { t in
          guard let bytes else { return t.ended() }
          return t.received(fromClient: bytes)
        }
      },
      down: { bytes in
        machine.locked { t in
          guard let bytes else { return t.ended() }
          return t.received(fromRuntime: bytes)
        }
      })
  }

  /// Holds a translator whose codecs are not Sendable; every use is under the lock.
  private final class Machine<T>: Sendable {
    private let state: Mutex<T>
    init(_ value: sending T) { state = Mutex(value) }
    func locked(_ body: (inout T) -> [ExecTranslator.Action]) -> [ExecTranslator.Action] {
      state.withLock { body(&$0) }
    }
  }

  private static func both(
    _ client: any ByteStream, _ runtime: any ByteStream,
    up: @escaping @Sendable (ByteBuffer?) -> [ExecTranslator.Action],
    down: @escaping @Sendable (ByteBuffer?) -> [ExecTranslator.Action]
  ) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        while let bytes = try? await client.read() { await run(up(bytes), client, runtime) }
        await run(up(nil), client, runtime)
      }
      group.addTask {
        while let bytes = try? await runtime.read() { await run(down(bytes), client, runtime) }
        await run(down(nil), client, runtime)
        // The client answers our close frame; one that does not must not hold the connection for ever.
        try? await Task.sleep(for: .seconds(5))
        await client.close()
      }
      // The client's end is the end of the whole: the other task's patience is then in vain.
      _ = await group.next()
      group.cancelAll()
    }
    await runtime.close()
    await client.close()
  }

  private static func run(_ actions: [ExecTranslator.Action], _ client: any ByteStream, _ runtime: any ByteStream) async
  {
    for action in actions {
      switch action {
      case .toClient(let bytes): try? await client.write(bytes)
      case .toRuntime(let bytes): try? await runtime.write(bytes)
      case .closeRuntime: await runtime.close()
      case .closeClient: await client.close()
      }
    }
  }
}
