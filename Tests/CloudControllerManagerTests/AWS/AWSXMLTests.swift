import Testing

@testable import CloudControllerManager

@Suite struct AWSXMLTests {
  private func parse(_ text: String) throws -> XMLElement { try XMLReader.parse(Array(text.utf8)) }

  @Test func readsAnAnswer() throws {
    let root = try parse(
      """
      \u{FEFF}<?xml version="1.0" encoding="UTF-8"?>
      <!-- a comment -->
      <ec2:Response xmlns:ec2="http://ec2.amazonaws.com/doc/2016-11-15/" kind='a "b"'>
        <requestId>59dbff89</requestId>
        <set><item><name>a &amp; b &lt;c&gt; &#65;&#x1F600;</name></item><item><name/></item><other/></set>
        <cdata>x<![CDATA[ <raw> & ]]]]><![CDATA[>]]>y</cdata><flag>true</flag><n>12</n>
      </ec2:Response >
      <!-- the end -->
      """)
    #expect(root.name == "Response")
    #expect(root.attributes == ["kind": "a \"b\""])
    #expect(root.string("requestId") == "59dbff89")
    #expect(root.list("set").map { $0.string("name") } == ["a & b <c> A\u{1F600}", ""])
    #expect(root.string("cdata") == "x <raw> & ]]>y")
    #expect(root.bool("flag"))
    #expect(root.int("n") == 12)
    #expect(root.find("set", "item", "name")?.text.hasPrefix("a &") == true)
    #expect(root.find("set", "nothing") == nil)
  }

  @Test func lineEnds() throws {
    #expect(try parse("<a>1\r\n2\r3\n4</a>").text == "1\n2\n3\n4")
  }

  @Test(arguments: [
    "", "text", "<a>", "<a></b>", "<a/><b/>", "<a b></a>", "<a b=c/>", "<a b='1' b='2'/>", "<a>&nbsp;</a>",
    "<a>&amp</a>",
    "<a b='<'/>", "<a><![CDATA[x</a>", "<a><!-- </a>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<a>&#0;</a>",
    "<a", "< a/>",
  ])
  func refuses(_ text: String) {
    #expect(throws: XMLError.self) { try parse(text) }
  }

  @Test func depthIsBounded() {
    #expect(throws: XMLError.self) { try parse(String(repeating: "<a>", count: 100_000)) }
  }
}
