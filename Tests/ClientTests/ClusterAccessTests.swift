import Client
import Testing

@Suite struct ClusterAccessTests {
  private let yaml = """
    apiVersion: v1
    kind: Config
    current-context: main
    clusters:
    - name: one
      cluster:
        server: https://10.0.0.1:6443
        certificate-authority-data: Q0E=
        tls-server-name: kubernetes
    - name: two
      cluster:
        server: http://localhost:8080
        insecure-skip-tls-verify: true
    users:
    - name: admin
      user:
        client-certificate-data: Q0VSVA==
        client-key-data: S0VZ
    - name: robot
      user:
        token: abc
    contexts:
    - name: main
      context: {cluster: one, user: admin, namespace: work}
    - name: other
      context: {cluster: two, user: robot}
    """

  @Test func readsTheCurrentContext() throws {
    let access = try ClusterAccess.kubeconfig(yaml: yaml)
    #expect(access.server == "https://10.0.0.1:6443")
    #expect(access.certificateAuthority == Array("CA".utf8))
    #expect(access.serverName == "kubernetes")
    #expect(access.clientCertificate == Array("CERT".utf8))
    #expect(access.clientKey == Array("KEY".utf8))
    #expect(access.namespace == "work")
    #expect(!access.insecureSkipVerify)
  }

  @Test func readsANamedContext() throws {
    let access = try ClusterAccess.kubeconfig(yaml: yaml, context: "other")
    #expect(access.server == "http://localhost:8080")
    #expect(access.token == "abc")
    #expect(access.insecureSkipVerify)
  }

  @Test func refusesAContextThatIsNotThere() {
    #expect(throws: TransportError.self) { try ClusterAccess.kubeconfig(yaml: yaml, context: "none") }
  }

  @Test func isNowhereOutsideAPod() throws {
    #expect(try ClusterAccess.inCluster(environment: [:]) == nil)
  }

  @Test func percentCodingGoesBothWays() {
    let text = "a b/c=d&é%"
    #expect(PercentCoding.decode(PercentCoding.encode(text)) == text)
    #expect(PercentCoding.encode("x in (a,b)") == "x%20in%20%28a%2Cb%29")
  }
}
