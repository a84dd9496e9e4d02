// swift-tools-version: 6.2
import Foundation
import PackageDescription

// One target per room (ARCHITECTURE.md). Arrows go down only; components never import each other.
// `APUS_TARGETS=Scheduler swift test` builds and tests that room and what it rests on, nothing else.

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let libraries: [String: Target.Dependency] = [
  "NIOCore": .product(name: "NIOCore", package: "swift-nio"),
  "NIOPosix": .product(name: "NIOPosix", package: "swift-nio"),
  "NIOHTTP1": .product(name: "NIOHTTP1", package: "swift-nio"),
  "NIOWebSocket": .product(name: "NIOWebSocket", package: "swift-nio"),
  "NIOEmbedded": .product(name: "NIOEmbedded", package: "swift-nio"),
  "NIOTLS": .product(name: "NIOTLS", package: "swift-nio"),
  "NIOHTTP2": .product(name: "NIOHTTP2", package: "swift-nio-http2"),
  "NIOHPACK": .product(name: "NIOHPACK", package: "swift-nio-http2"),
  "NIOSSL": .product(name: "NIOSSL", package: "swift-nio-ssl"),
  "X509": .product(name: "X509", package: "swift-certificates"),
  "SwiftASN1": .product(name: "SwiftASN1", package: "swift-asn1"),
  "Crypto": .product(name: "Crypto", package: "swift-crypto"),
  "CryptoExtras": .product(name: "CryptoExtras", package: "swift-crypto"),
  "SwiftProtobuf": .product(name: "SwiftProtobuf", package: "swift-protobuf"),
  "Logging": .product(name: "Logging", package: "swift-log"),
  "Yams": .product(name: "Yams", package: "Yams"),
  "ArgumentParser": .product(name: "ArgumentParser", package: "swift-argument-parser"),
  "UnixSignals": .product(name: "UnixSignals", package: "swift-service-lifecycle"),
  "ServiceLifecycle": .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
  "DequeModule": .product(name: "DequeModule", package: "swift-collections"),
  "HeapModule": .product(name: "HeapModule", package: "swift-collections"),
  "OrderedCollections": .product(name: "OrderedCollections", package: "swift-collections"),
]

struct Room {
  let name: String
  let needs: [String]
  var kind: Kind = .library
  enum Kind { case library, c, executable, system(pkgConfig: String?, apt: String), tests }
}

let rooms: [Room] = [
  // Machinery
  Room(name: "APIMachinery", needs: []),
  Room(name: "Storage", needs: ["APIMachinery"]),
  Room(name: "CSQLite", needs: [], kind: .system(pkgConfig: "sqlite3", apt: "libsqlite3-dev")),
  Room(name: "StorageSQLite", needs: ["Storage", "CSQLite", "Logging"]),
  Room(
    name: "StorageEtcd",
    needs: ["Storage", "GRPC", "SwiftProtobuf", "Crypto", "NIOCore", "NIOPosix", "NIOSSL", "Logging"]),
  Room(name: "PKI", needs: ["APIMachinery", "X509", "SwiftASN1", "Crypto", "CryptoExtras"]),
  Room(name: "CLinux", needs: [], kind: .c),
  Room(name: "CNFTables", needs: [], kind: .system(pkgConfig: "libnftables", apt: "libnftables-dev")),
  Room(name: "CZlib", needs: [], kind: .system(pkgConfig: "zlib", apt: "zlib1g-dev")),
  Room(name: "Linux", needs: ["CLinux"]),
  Room(name: "NFTables", needs: ["CNFTables"]),
  // API
  Room(name: "APIMeta", needs: ["APIMachinery"]),
  Room(name: "APICore", needs: ["APIMeta", "APIMachinery"]),
  Room(name: "APIGroups", needs: ["APICore", "APIMeta", "APIMachinery"]),
  Room(name: "APISchema", needs: ["APIMachinery"]),
  Room(name: "CEL", needs: ["APIMachinery"]),
  Room(name: "Protobuf", needs: ["APISchema", "APIMachinery"]),
  Room(name: "API", needs: ["APIMeta", "APICore", "APIGroups", "APISchema", "APIMachinery"]),
  Room(name: "Validation", needs: ["API"]),
  Room(name: "CustomResources", needs: ["CEL", "APIMachinery"]),
  Room(name: "Quota", needs: ["API"]),
  // Clients
  Room(
    name: "HTTP",
    needs: [
      "NIOCore", "NIOPosix", "NIOHTTP1", "NIOHTTP2", "NIOHPACK", "NIOSSL", "NIOTLS", "NIOWebSocket",
      "Logging", "DequeModule",
    ]),
  Room(
    name: "Client",
    needs: ["API", "HTTP", "Yams", "Logging", "DequeModule", "HeapModule", "NIOCore"]),
  Room(name: "GRPC", needs: ["NIOCore", "NIOPosix", "NIOHTTP2", "NIOHPACK", "NIOSSL", "Logging"]),
  Room(name: "CRI", needs: ["GRPC", "SwiftProtobuf", "NIOCore"]),
  Room(name: "RemoteCommand", needs: ["HTTP", "CZlib", "NIOCore", "NIOWebSocket", "Logging"]),
  // Components
  Room(
    name: "APIServer",
    needs: [
      "API", "Validation", "CustomResources", "Quota", "Protobuf", "Storage", "HTTP", "Client", "PKI", "CZlib", "Yams",
      "Logging", "DequeModule",
      "OrderedCollections", "NIOCore", "Crypto", "CryptoExtras",
    ]),
  Room(name: "Scheduler", needs: ["API", "APIMachinery", "Client", "HTTP", "Logging", "HeapModule", "DequeModule"]),
  Room(name: "ControllerManager", needs: ["API", "Quota", "Client", "PKI", "Linux", "Crypto", "Logging"]),
  Room(
    name: "ContainerRuntime",
    needs: ["CRI", "GRPC", "Linux", "APIMachinery", "Logging", "SwiftProtobuf", "Crypto"]),
  Room(
    name: "Kubelet",
    needs: [
      "API", "Client", "CRI", "GRPC", "HTTP", "RemoteCommand", "Linux", "PKI", "X509", "SwiftASN1", "Yams", "Logging",
      "NIOCore", "NIOPosix",
    ]),
  Room(name: "PodNetwork", needs: ["API", "Client", "NFTables", "Linux", "Logging"]),
  Room(
    name: "CloudControllerManager", needs: ["API", "Client", "HTTP", "Linux", "Crypto", "Yams", "Logging", "NIOCore"]),
  Room(name: "KubeProxy", needs: ["API", "Client", "NFTables", "Linux", "HTTP", "Logging"]),
  Room(
    name: "ClusterDNS", needs: ["API", "Client", "NIOCore", "NIOPosix", "Logging"]),
  // Executable
  Room(
    name: "Commands",
    needs: [
      "APIServer", "Storage", "StorageSQLite", "StorageEtcd", "Scheduler", "CloudControllerManager", "PodNetwork",
      "ControllerManager", "ContainerRuntime", "Kubelet",
      "KubeProxy", "ClusterDNS", "PKI", "Client", "CRI", "GRPC", "API", "APIMachinery", "HTTP", "Linux",
      "ArgumentParser", "Logging",
      "Yams",
      "Crypto", "CryptoExtras", "ServiceLifecycle", "UnixSignals", "NIOCore", "NIOPosix", "NIOSSL",
    ]),
  Room(name: "apus", needs: ["Commands", "ArgumentParser"], kind: .executable),
  // Tests
  Room(name: "APIMachineryTests", needs: ["APIMachinery"], kind: .tests),
  Room(name: "CELTests", needs: ["CEL", "APIMachinery"], kind: .tests),
  Room(name: "ProtobufTests", needs: ["Protobuf", "API", "APISchema", "APIMachinery"], kind: .tests),
  Room(name: "APITests", needs: ["API"], kind: .tests),
  Room(name: "CustomResourcesTests", needs: ["CustomResources", "APIMachinery"], kind: .tests),
  Room(name: "QuotaTests", needs: ["Quota", "API"], kind: .tests),
  Room(name: "ValidationTests", needs: ["Validation", "API"], kind: .tests),
  Room(name: "StorageTests", needs: ["Storage", "StorageSQLite"], kind: .tests),
  Room(
    name: "StorageEtcdTests", needs: ["StorageEtcd", "Storage", "PKI", "APIMachinery", "NIOSSL", "Logging"],
    kind: .tests),
  Room(name: "PKITests", needs: ["PKI", "APIMachinery", "X509", "Crypto", "CryptoExtras"], kind: .tests),
  Room(name: "LinuxTests", needs: ["Linux"], kind: .tests),
  Room(name: "HTTPTests", needs: ["HTTP", "NIOCore", "NIOPosix", "NIOSSL", "PKI", "Logging"], kind: .tests),
  Room(name: "ClientTests", needs: ["Client", "API", "HTTP"], kind: .tests),
  Room(name: "GRPCTests", needs: ["GRPC", "NIOCore", "NIOPosix"], kind: .tests),
  Room(name: "RemoteCommandTests", needs: ["RemoteCommand", "HTTP", "NIOCore", "NIOEmbedded"], kind: .tests),
  Room(
    name: "APIServerTests",
    needs: ["APIServer", "Protobuf", "StorageSQLite", "Storage", "API", "HTTP", "PKI", "Client"], kind: .tests),
  Room(name: "SchedulerTests", needs: ["Scheduler", "API", "APIMachinery", "Client"], kind: .tests),
  Room(name: "ControllerManagerTests", needs: ["ControllerManager", "API", "Client", "PKI", "Crypto"], kind: .tests),
  Room(name: "ContainerRuntimeTests", needs: ["ContainerRuntime", "CRI", "APIMachinery", "Logging"], kind: .tests),
  Room(name: "KubeletTests", needs: ["Kubelet", "API", "CRI", "Client"], kind: .tests),
  Room(name: "KubeProxyTests", needs: ["KubeProxy", "NFTables", "Linux", "HTTP", "API", "Client"], kind: .tests),
  Room(name: "PodNetworkTests", needs: ["PodNetwork", "Linux", "NFTables", "API", "Client"], kind: .tests),
  Room(
    name: "CloudControllerManagerTests",
    needs: ["CloudControllerManager", "API", "Client", "HTTP", "Linux", "Crypto", "Logging", "NIOCore"], kind: .tests),
  Room(name: "ClusterDNSTests", needs: ["ClusterDNS", "API", "Client", "NIOCore"], kind: .tests),
  Room(
    name: "FuzzTests", needs: ["APIServer", "CEL", "Client", "Protobuf", "API", "APISchema", "APIMachinery"],
    kind: .tests),
  Room(name: "CommandsTests", needs: ["Commands", "ArgumentParser", "PKI", "Client", "API", "Logging"], kind: .tests),
]

let byName = Dictionary(uniqueKeysWithValues: rooms.map { ($0.name, $0) })

/// The rooms named in APUS_TARGETS, their tests, and everything below them; all rooms when it is unset.
func selectedRooms() -> [Room] {
  guard let wanted = ProcessInfo.processInfo.environment["APUS_TARGETS"], !wanted.isEmpty else { return rooms }
  var chosen: Set<String> = []
  var pending = wanted.split(separator: ",").flatMap { [String($0), "\($0)Tests"] }
  while let name = pending.popLast() {
    guard let room = byName[name], chosen.insert(name).inserted else { continue }
    pending += room.needs
  }
  return rooms.filter { chosen.contains($0.name) }
}

func target(_ room: Room) -> Target {
  let dependencies = room.needs.map { libraries[$0] ?? .target(name: $0) }
  switch room.kind {
  case .library: return .target(name: room.name, dependencies: dependencies, swiftSettings: settings)
  case .c: return .target(name: room.name, dependencies: dependencies)
  case .executable: return .executableTarget(name: room.name, dependencies: dependencies, swiftSettings: settings)
  case .system(let pkgConfig, let apt):
    return .systemLibrary(name: room.name, pkgConfig: pkgConfig, providers: [.apt([apt])])
  case .tests: return .testTarget(name: room.name, dependencies: dependencies, swiftSettings: settings)
  }
}

let package = Package(
  name: "apus",
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.46.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
  ],
  targets: selectedRooms().map(target)
)
