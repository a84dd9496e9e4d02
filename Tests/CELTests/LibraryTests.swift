import APIMachinery
import Testing

@testable import CEL

@Suite struct Libraries {
  @Test func stringExtension() {
    check(
      #"""
      'tacocat'.charAt(3) => 'o'
      'tacocat'.charAt(7) => ''
      'tacocat'.charAt(30) => !index out of range: 30
      '©αT'.charAt(1) => 'α'
      'tacocat'.indexOf('') => 0
      'tacocat'.indexOf('ac') => 1
      'tacocat'.indexOf('none') => -1
      'tacocat'.indexOf('a', 3) => 5
      'tacocat'.indexOf('a', 30) => !index out of range: 30
      'ta©o©αT'.indexOf('©', 3) => 4
      'tacocat'.lastIndexOf('at') => 5
      'tacocat'.lastIndexOf('') => 7
      'tacocat'.lastIndexOf('a', 4) => 1
      ['x', 'y'].join() => 'xy'
      ['x', 'y'].join('-') => 'x-y'
      [].join('-') => ''
      'TacoCÆt'.lowerAscii() => 'tacocÆt'
      'tacoCét'.upperAscii() => 'TACOCéT'
      '12 days 12 hours'.replace('{0}', '2') => '12 days 12 hours'
      'hello hello'.replace('he', 'we') => 'wello wello'
      'hello hello'.replace('he', 'we', 1) => 'wello hello'
      'hello hello'.replace('he', 'we', 0) => 'hello hello'
      'hello hello'.replace('', '_') => '_h_e_l_l_o_ _h_e_l_l_o_'
      'hello world'.split(' ') => ['hello', 'world']
      'a b c'.split(' ', 2) => ['a', 'b c']
      'a b'.split(' ', 0) => []
      'abc'.split('') => ['a', 'b', 'c']
      'tacocat'.substring(4) => 'cat'
      'tacocat'.substring(0, 4) => 'taco'
      'tacocat'.substring(7) => ''
      'ta©o©αT'.substring(2, 6) => '©o©α'
      'tacocat'.substring(40) => !index out of range: 40
      'tacocat'.substring(3, 1) => !invalid substring range. start: 3, end: 1
      ' \f\n\r\t\vtext  '.trim() => 'text'
      '\u0085\u00a0\u1680text'.trim() => 'text'
      'gums'.reverse() => 'smug'
      strings.quote('a\n"b"') => '"a\n\"b\""'
      'no substitution'.format([]) => 'no substitution'
      '%s'.format(['x']) => 'x'
      '%d'.format([42]) => '42'
      '%.3f'.format([1.2345]) => '1.234'
      '%e'.format([1052.032911275]) => '1.052033e+03'
      '%x is %X'.format([30, 'Hello']) => '1e is 48656C6C6F'
      '%b'.format([5]) => '101'
      '%b'.format([true]) => '1'
      '%o'.format([11]) => '13'
      '%x'.format([b'\xff']) => 'ff'
      '100%%'.format([]) => '100%'
      '%s'.format([[1, 'a', null, 2.5]]) => '[1, a, null, 2.5]'
      '%s'.format([{'b': 1, 'a': true}]) => '{a: true, b: 1}'
      '%s %s'.format([type(1), duration('1m')]) => 'int 60s'
      '%s'.format([]) => !index 0 out of range
      '%q'.format([1]) => !unrecognized formatting clause "q"
      '%d'.format(['x']) => !decimal clause can only be used on integers
      """#)
  }

  @Test func mathListsSetsEncoders() {
    check(
      #"""
      math.greatest(1) => 1
      math.greatest(1, 2u) => 2u
      math.greatest(5.4, 10, 3u) => 10
      math.greatest([1, 5, 3]) => 5
      math.least(1, -2) => -2
      math.least(1, 2, 0) => 0
      math.greatest('a') => !found no matching overload
      math.ceil(1.2) => 2.0
      math.floor(-1.2) => -2.0
      math.round(-1.5) => -2.0
      math.round(2.5) => 3.0
      math.trunc(-1.3) => -1.0
      math.abs(-5) => 5
      math.abs(-9223372036854775808) => !integer overflow
      math.sign(-42) => -1
      math.sign(0u) => 0u
      math.isNaN(0.0/0.0) => true
      math.isInf(1.0/0.0) => true
      math.isFinite(1.5) => true
      math.bitAnd(3, 5) => 1
      math.bitOr(1u, 2u) => 3u
      math.bitXor(3, 5) => 6
      math.bitNot(1) => -2
      math.bitShiftLeft(1, 3) => 8
      math.bitShiftLeft(1, 200) => 0
      math.bitShiftRight(-1024, 3) => 2305843009213693824
      math.bitShiftLeft(1, -1) => !negative offset
      math.sqrt(81) => 9.0
      [1, 2, 3, 4].slice(1, 3) => [2, 3]
      [1, 2].slice(0, 5) => !cannot slice(0, 5), list is length 2
      [1, 2].slice(2, 1) => !start index must be less than or equal to end index
      [[1], [2, 3]].flatten() => [1, 2, 3]
      [1, [2, [3, [4]]]].flatten(2) => [1, 2, 3, [4]]
      lists.range(3) => [0, 1, 2]
      [1, 2, 2, 1].distinct() => [1, 2]
      [3, 1, 2].sort() => [1, 2, 3]
      ['b', 'a'].sort() => ['a', 'b']
      [1, 2, 3].reverse() => [3, 2, 1]
      [{'n': 2}, {'n': 1}].sortBy(e, e.n) => [{'n': 1}, {'n': 2}]
      sets.contains([1, 2, 3], [3, 1]) => true
      sets.contains([1], [2]) => false
      sets.contains([], []) => true
      sets.equivalent([1, 2, 1], [2, 1]) => true
      sets.equivalent([1], [1, 2]) => false
      sets.intersects([1, 2], [2, 3]) => true
      sets.intersects([], [1]) => false
      sets.intersects([[1], [2]], [[2]]) => true
      base64.encode(b'hello') => 'aGVsbG8='
      base64.decode('aGVsbG8=') => b'68 65 6c 6c 6f'
      base64.decode('aGVsbG8') => b'68 65 6c 6c 6f'
      base64.decode('*') => !illegal base64 data
      """#)
  }

  @Test func kubernetesListsRegexURLs() {
    check(
      #"""
      [1, 2, 2].isSorted() => true
      ['b', 'a'].isSorted() => false
      [].isSorted() => true
      [1, 2, 3].sum() => 6
      [duration('1m'), duration('1s')].sum() => <61s>
      [1.0, 2.0].sum() => 3.0
      ds.sum() => 0.0
      [3, 1].min() => 1
      ['a', 'c', 'b'].max() => 'c'
      ds.min() => !min called on empty list
      ['a', 'b', 'a'].indexOf('a') => 0
      ['a', 'b', 'a'].lastIndexOf('a') => 2
      [1].indexOf(2) => -1
      'abc 123'.find('[0-9]+') => '123'
      'abc'.find('[0-9]+') => ''
      '123 abc 456'.findAll('[0-9]+') => ['123', '456']
      '1 2 3'.findAll('[0-9]', 2) => ['1', '2']
      'abc'.findAll('x') => []
      'aaa'.findAll('a*?') => ['', '', '', '']
      url('https://example.com:80/a b?k=v&k=w#x').getHost() => 'example.com:80'
      url('https://user:pass@example.com:80/p').getHostname() => 'example.com'
      url('https://[::1]:80/').getHostname() => '::1'
      url('https://[::1]:80/').getHost() => '[::1]:80'
      url('https://example.com/').getPort() => ''
      url('https://example.com:80/').getPort() => '80'
      url('https://example.com/a b/').getEscapedPath() => '/a%20b/'
      url('https://example.com/p?k=a&l=b&k=c').getQuery() => {'k': ['a', 'c'], 'l': ['b']}
      url('/path').getScheme() => ''
      url('https://h').getScheme() => 'https'
      isURL('https://a') => true
      isURL('/abs') => true
      isURL('../rel') => false
      isURL('http://a:b:c/') => false
      url('x') => !URL parse error
      url('/a') == url('/a') => true
      """#, ["ds": .list([])], types: ["ds": .list(.double)])
  }

  @Test func kubernetesValues() {
    check(
      #"""
      quantity('1.3Gi').isGreaterThan(quantity('1G')) => true
      quantity('50M') == quantity('50000k') => true
      quantity('50k').add(quantity('20k')) == quantity('70k') => true
      quantity('50k').add(20) == quantity('50020') => true
      quantity('50k').sub(quantity('20k')).sub(-50).compareTo(quantity('30050')) => 0
      quantity('50k').asInteger() => 50000
      quantity('0.5').asInteger() => !cannot convert value to integer
      quantity('0.5').isInteger() => false
      quantity('500m').asApproximateFloat() => 0.5
      quantity('-3').sign() => -1
      isQuantity('1Mi') => true
      isQuantity('Three') => false
      quantity('10 Mo') => !quantities must match the regular expression
      ip('127.0.0.1').family() => 4
      ip('::1').family() => 6
      ip('127.0.0.1').isLoopback() => true
      ip('2001:db8::abcd') == ip('2001:DB8:0:0::ABCD') => true
      ip.isCanonical('2001:db8::abcd') => true
      ip.isCanonical('2001:DB8::ABCD') => false
      string(ip('2001:db8:0:0:1:0:0:1')) => '2001:db8::1:0:0:1'
      isIP('192.168.0.1.0') => false
      isIP('010.0.0.1') => false
      isIP('::ffff:1.2.3.4') => false
      ip('fe80::1').isLinkLocalUnicast() => true
      ip('224.0.0.1').isLinkLocalMulticast() => true
      ip('0.0.0.0').isUnspecified() => true
      ip('8.8.8.8').isGlobalUnicast() => true
      ip('a') => !parse error during conversion from string
      cidr('192.168.0.0/24').containsIP('192.168.0.1') => true
      cidr('192.168.0.0/24').containsIP(ip('192.168.1.1')) => false
      cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24') => true
      cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23') => false
      cidr('192.168.0.1/24').ip() == ip('192.168.0.1') => true
      cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') => true
      cidr('192.168.0.0/24').prefixLength() => 24
      string(cidr('::1/128')) => '::1/128'
      isCIDR('192.168.0.0/33') => false
      semver('1.2.3').major() => 1
      semver('1.0.0').isGreaterThan(semver('1.0.0-rc.1')) => true
      semver('1.0.0-alpha.1').isLessThan(semver('1.0.0-alpha.beta')) => true
      semver('1.2.3').compareTo(semver('1.2.3+x')) => 0
      semver('v1.2', true) == semver('1.2.0') => true
      isSemver('v1.0.0') => false
      isSemver('1.01.0') => false
      isSemver('01.01.01', true) => true
      !format.dns1123Label().validate('contains-dash').hasValue() => true
      format.dns1123Label().validate('-x').hasValue() => true
      format.named('uuid').value().validate('123e4567-e89b-12d3-a456-426614174000').hasValue() => false
      format.named('nope').hasValue() => false
      format.date().validate('2021-02-30').hasValue() => true
      jsonpatch.escapeKey('k8s.io/a~b') => 'k8s.io~1a~0b'
      """#)
  }

  private struct Rules: CELAuthorizing {
    func authorize(_ request: CELAuthorizationRequest) -> CELAuthorizationDecision {
      if request.path == "/healthz" { return .init(isAllowed: request.verb == "get", reason: "path") }
      if request.name == "broken" { return .init(isAllowed: false, error: "no answer") }
      return .init(
        isAllowed: request.group == "apps" && request.resource == "deployments" && request.namespace == "a"
          && request.verb == "create" && request.serviceAccount?.name != "other")
    }
  }

  @Test func authorization() {
    check(
      #"""
      authorizer.path('/healthz').check('get').allowed() => true
      authorizer.path('/healthz').check('post').allowed() => false
      authorizer.path('') => !path must not be empty
      authorizer.group('apps').resource('deployments').namespace('a').check('create').allowed() => true
      authorizer.group('apps').resource('deployments').subresource('status').namespace('b').check('create').allowed() => false
      authorizer.serviceAccount('a', 'other').group('apps').resource('deployments').namespace('a').check('create').allowed() => false
      authorizer.group('').resource('pods').name('broken').check('get').error() => 'no answer'
      authorizer.group('').resource('pods').name('broken').check('get').errored() => true
      authorizer.path('/healthz').check('get').reason() => 'path'
      """#, ["authorizer": CELAuthorizer.value(Rules())], types: ["authorizer": CELAuthorizer.type])
  }

  @Test func jsonPatchObjects() throws {
    var environment = CELEnvironment()
    environment.addJSONPatch()
    let program = try environment.compile("[JSONPatch{op: 'add', path: '/a', value: {'x': 1}}]")
    let json = try program.evaluate(CELActivation()).json()
    #expect(json == [["op": "add", "path": "/a", "value": ["x": 1]]])
    #expect(
      outcome("JSONPatch{op: 1}", environment).contains(
        "expected type of field 'op' is 'string' but provided type is 'int'"))
    #expect(outcome("JSONPatch{nope: 1}", environment).contains("undefined field 'nope'"))
  }

  @Test func mutatingObjects() throws {
    var environment = CELEnvironment()
    environment.addMutationObjects()
    let source = "Object{metadata: Object.metadata{labels: {'a': 'b'}}, spec: Object.spec{replicas: 3}}"
    #expect(
      try environment.compile(source).evaluate(CELActivation()).json()
        == ["metadata": ["labels": ["a": "b"]], "spec": ["replicas": 3]])
    #expect(
      outcome("Object{spec: Object.metadata{}}", environment).contains(
        "unexpected type name \"Object.metadata\", expected \"Object.spec\", which matches field name path from root Object type"
      ))
  }
}
