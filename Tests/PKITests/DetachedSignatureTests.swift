import PKI
import Testing

@Suite struct DetachedSignatureTests {
  @Test func theSignatureIsWhatUpstreamWrites() {
    let content = "Hello from the other side. I must have called a thousand times."
    let made = DetachedSignature.make(content, tokenID: "joshua", tokenSecret: "my voice is my passcode")
    #expect(made == "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8")
  }

  @Test func onlyTheSameContentAndTokenAreAccepted() {
    let made = DetachedSignature.make("content", tokenID: "abcdef", tokenSecret: "0123456789abcdef")
    func valid(_ content: String, _ id: String, _ secret: String) -> Bool {
      DetachedSignature.isValid(made, of: content, tokenID: id, tokenSecret: secret)
    }
    #expect(valid("content", "abcdef", "0123456789abcdef"))
    #expect(!valid("other", "abcdef", "0123456789abcdef"))
    #expect(!valid("content", "fedcba", "0123456789abcdef"))
    #expect(!valid("content", "abcdef", "0123456789abcdee"))
    #expect(!DetachedSignature.isValid("a.b.c", of: "content", tokenID: "a", tokenSecret: "b"))
  }
}
