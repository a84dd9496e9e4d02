import APIMachinery
import Testing

@testable import Protobuf

/// Bodies that a stock client of version 1.37 sent, as independent witnesses: read and written again they must come out
/// byte for byte.
@Suite struct StockClientTests {
  static let bodies: [(resource: String, base64: String)] = [
    (
      "deployments",
      "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50Et0BCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEqsBCAISDAoKCgNh"
        + "cHASA3dlYhqQAQocCgASABoAIgAqADIAOABCAFoKCgNhcHASA3dlYhJwEi4KBW5naW54EgVuZ2lueCoAMgoKABAAGFAiACoAQgBq"
        + "AHIAgAEAiAEAkAEAogEAEiIKBXJlZGlzEgVyZWRpcyoAQgBqAHIAgAEAiAEAkAEAogEAGgAyAEIASgBSAFgAYABoAIIBAIoBAJoB"
        + "AMIBACICCgAoADgAGgwIABAAGAAgACgAOAAaACIA"
    ),
    (
      "jobs",
      "azhzAAoPCghiYXRjaC92MRIDSm9iEoMBChEKAWoSABoAIgAqADIAOABCABJkMmIKEAoAEgAaACIAKgAyADgAQgASThIrCgFqEgF4"
        + "GgJzaBoCLWMaB2VjaG8gaGkqAEIAagByAIABAIgBAJABAKIBABoFTmV2ZXIyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBABoIIAAo"
        + "ADAAOgAaACIA"
    ),
    (
      "cronjobs",
      "azhzAAoTCghiYXRjaC92MRIHQ3JvbkpvYhKSAQoSCgJjahIAGgAiACoAMgA4AEIAEnoKBkBkYWlseRoAKm4KEgoCY2oSABoAIgAq"
        + "ADIAOABCABJYMlYKEAoAEgAaACIAKgAyADgAQgASQhIbCgJjahIBeCoAQgBqAHIAgAEAiAEAkAEAogEAGglPbkZhaWx1cmUyAEIA"
        + "SgBSAFgAYABoAIIBAIoBAJoBAMIBABoAGgAiAA=="
    ),
    (
      "ingresses",
      "azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxKIAQoZCgFpEgAaACIAKgAyADgAQgBiBgoBYRIBYhJnEg4KB2Zv"
        + "by5jb20SA3NlYxosCgdmb28uY29tEiEKHwodCgQvYmFyEg0iCwoDc3ZjEgQKABBQGgZQcmVmaXgaJAoAEiAKHgocCgIveBIPIg0K"
        + "AXMSCAoEaHR0cBAAGgVFeGFjdCIBYxoCCgAaACIA"
    ),
    (
      "resourcequotas",
      "azhzAAoTCgJ2MRINUmVzb3VyY2VRdW90YRJNChEKAXESABoAIgAqADIAOABCABI2CgoKA2NwdRIDCgExCg8KBm1lbW9yeRIFCgMx"
        + "R2kKCwoEcG9kcxIDCgEyEgpCZXN0RWZmb3J0GgAaACIA"
    ),
    (
      "secrets",
      "azhzAAoMCgJ2MRIGU2VjcmV0EiUKEQoBcxIAGgAiACoAMgA4AEIAEgYKAWESAWISBgoBYxIBZBoAGgAiAA=="
    ),
    (
      "configmaps",
      "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiMKEQoBYxIAGgAiACoAMgA4AEIAEgYKAWESAWISBgoBehIBeRoAIgA="
    ),
    (
      "services",
      "azhzAAoNCgJ2MRIHU2VydmljZRJqCh0KAm5wEgAaACIAKgAyADgAQgBaCQoDYXBwEgJucBJFCiAKCTU2NzgtODA4MBIDVENQGK4s"
        + "IgcIABCQPxoAKLHqARIJCgNhcHASAm5wGgAiCE5vZGVQb3J0OgBCAFIAWgBgAGgAGgIKABoAIgA="
    ),
    (
      "services",
      "azhzAAoNCgJ2MRIHU2VydmljZRJTCh0KAmVuEgAaACIAKgAyADgAQgBaCQoDYXBwEgJlbhIuEgkKA2FwcBICZW4aACIMRXh0ZXJu"
        + "YWxOYW1lOgBCAFIHYmFyLmNvbVoAYABoABoCCgAaACIA"
    ),
    (
      "clusterroles",
      "azhzAAorChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEgtDbHVzdGVyUm9sZRIkChIKAmNyEgAaACIAKgAyADgAQgASDgoD"
        + "Z2V0KgcvbG9ncy8qGgAiAA=="
    ),
    (
      "rolebindings",
      "azhzAAorChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEgtSb2xlQmluZGluZxKyAQoSCgJyYhIAGgAiACoAMgA4AEIAEiYK"
        + "BFVzZXISGXJiYWMuYXV0aG9yaXphdGlvbi5rOHMuaW8aAXUiABInCgVHcm91cBIZcmJhYy5hdXRob3JpemF0aW9uLms4cy5pbxoB"
        + "ZyIAEhoKDlNlcnZpY2VBY2NvdW50EgAaAnNhIgJucxovChlyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvEgtDbHVzdGVyUm9sZRoF"
        + "YWRtaW4aACIA"
    ),
    (
      "poddisruptionbudgets",
      "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSOAoRCgFwEgAaACIAKgAyADgAQgASFwoJCAEQABoDNTAlEgoK"
        + "CAoDYXBwEgF4GgoIABgAIAAoADAAGgAiAA=="
    ),
    (
      "priorityclasses",
      "azhzAAolChRzY2hlZHVsaW5nLms4cy5pby92MRINUHJpb3JpdHlDbGFzcxIrChIKAnBjEgAaACIAKgAyADgAQgAQ+///////////"
        + "ARgBIgFkKgVOZXZlchoAIgA="
    ),
    (
      "serviceaccounts",
      "azhzAAoUCgJ2MRIOU2VydmljZUFjY291bnQSFAoSCgJzYRIAGgAiACoAMgA4AEIAGgAiAA=="
    ),
    (
      "namespaces",
      "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhkKEQoBbhIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA=="
    ),
    (
      "token",
      "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIxChAKABIAGgAiACoAMgA4AEIAEhcKAWEaDwoD"
        + "UG9kEgJ2MRoBcCIBdSDYBBoECgASABoAIgA="
    ),
    (
      "selfsubjectaccessreviews",
      "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSSAoQCgASABoAIgAqADIAOABC"
        + "ABIqCigKB2RlZmF1bHQSBmNyZWF0ZRoAIgAqCXBvZHMuYXBwczIDbG9nOgF4GggIABIAGgAgABoAIgA="
    ),
    (
      "selfsubjectreviews",
      "azhzAAotChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESEVNlbGZTdWJqZWN0UmV2aWV3EhoKEAoAEgAaACIAKgAyADgAQgASBgoE"
        + "CgASABoAIgA="
    ),
  ]

  @Test(arguments: bodies) func comesOutAsItWentIn(resource: String, base64: String) throws {
    let bytes = try #require(Base64Bytes(base64: base64)).bytes
    let json = try KubernetesProtobuf.json(bytes)
    let again = try #require(try KubernetesProtobuf.envelope(json))
    #expect(again == bytes, "\(resource): \(String(decoding: json, as: UTF8.self))")
  }

  @Test func isUnderstood() throws {
    let body = try #require(Self.bodies.first { $0.resource == "ingresses" })
    let tree = try JSONValue(parsing: KubernetesProtobuf.json(try #require(Base64Bytes(base64: body.base64)).bytes))
    let rule = tree["spec"]?["rules"]?.arrayValue?.first
    #expect(rule?["host"]?.stringValue == "foo.com")
    let path = rule?["http"]?["paths"]?.arrayValue?.first
    #expect(path?["path"]?.stringValue == "/bar" && path?["pathType"]?.stringValue == "Prefix")
    #expect(path?["backend"]?["service"]?["port"]?["number"]?.intValue == 80)
  }
}
