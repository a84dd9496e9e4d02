import Testing

@testable import CEL

/// Facts of the language, in the order of cel-spec's conformance areas.
@Suite struct Conformance {
  @Test func basic() {
    check(
      #"""
      0 => 0
      0u => 0u
      42 => 42
      -42 => -42
      0x55555555 => 1431655765
      -0x55 => -85
      0xFFu => 255u
      9223372036854775807 => 9223372036854775807
      -9223372036854775808 => -9223372036854775808
      18446744073709551615u => 18446744073709551615u
      9223372036854775808 => !invalid int literal
      18446744073709551616u => !invalid uint literal
      0.0 => 0.0
      -2.3e+1 => -23.0
      1e-3 => 0.001
      .5 => 0.5
      '' => ''
      "" => ''
      'hello' => 'hello'
      "\"" => '"'
      '\x41\u0042\U00000043\104' => 'ABCD'
      r'\n' => '\n'
      r"\d+" => '\d+'
      '''a'b''' => 'a'b'
      """a"b""" => 'a"b'
      b'abc' => b'61 62 63'
      b'\xff\000' => b'ff 0'
      b'ÿ' => b'c3 bf'
      b'\303\277' => b'c3 bf'
      R'\x' => '\x'
      br'\x' => b'5c 78'
      true => true
      false => false
      null => null
      [] => []
      {} => {}
      [-1] => [-1]
      {'k': 'v'} => {'k': 'v'}
      {"k": 1, 2: true}[2] => true
      x => 123
      nope => !undeclared reference to 'nope' (in container '')
      f_unknown(17) => !undeclared reference to 'f_unknown' (in container '')
      [[1], [2, 3]][1][0] => 2
      type(1) == int => true
      type(type(1)) == type => true
      type(null) == null_type => true
      type([]) == list => true
      type({}) == map => true
      type(timestamp(0)) == google.protobuf.Timestamp => true
      int => int
      """#, ["x": .int(123)], types: ["x": .int])
  }

  @Test func comparisons() {
    check(
      #"""
      1 == 1 => true
      1 == 2 => false
      1u == 1u => true
      dyn(1) == 1u => true
      dyn(1) == 1.0 => true
      dyn(1u) == 1.5 => false
      dyn(1) == '1' => false
      0.0 == -0.0 => true
      0.0/0.0 == 0.0/0.0 => false
      0.0/0.0 != 0.0/0.0 => true
      'abc' == 'abc' => true
      'ABC' == 'abc' => false
      'ίσος' == 'ίσος' => true
      'e\u0301' == '\u00e9' => false
      null == null => true
      true == true => true
      false == true => false
      b'\303\277' == b'ÿ' => true
      [] == [] => true
      [1, 2, 3] == [1, 2, 3] => true
      [1, 2, 3] == [3, 2, 1] => false
      dyn([1.0, 2.0]) == [1, 2] => true
      ['case'] == ['cAse'] => false
      {'k': 1} == {'k': 1} => true
      {'k': 1, 'j': 2} == {'j': 2, 'k': 1} => true
      {'k': 1} == {'k': 2} => false
      dyn({1: 'a'}) == {1u: 'a'} => true
      dyn({'a': 1}) == [1] => false
      1 != 2 => true
      1 < 2 => true
      2 < 1 => false
      1 < 1u => false
      -1 < 1u => true
      1 < 1.1 => true
      9223372036854775807 < 9223372036854775808.0 => false
      9223372036854775807 <= 9223372036854775808.0 => true
      9223372036854775807 < 9223372036854777857.0 => true
      18446744073709551615u > 1 => true
      1u < 2u => true
      1.0 < 1.0000001 => true
      'a' < 'b' => true
      'a' < 'B' => false
      '' < 'a' => true
      'a' < 'aa' => true
      '\U0001F600' > '\uFF5A' => true
      b'a' < b'b' => true
      false < true => true
      true < false => false
      timestamp(0) < timestamp(1) => true
      duration('1s') < duration('2s') => true
      1 <= 1 => true
      2 >= 3 => false
      'a' >= 'a' => true
      dyn(1) < 'a' => !no such overload
      1 < 'a' => !found no matching overload for '_<_' applied to '(int, string)'
      0.0/0.0 < 1.0 => false
      0.0/0.0 >= 1.0 => false
      1 in [1, 2, 3] => true
      4 in [1, 2, 3] => false
      dyn(1) in [1.0, 2.0] => true
      'a' in {'a': 1} => true
      'b' in {'a': 1} => false
      dyn(1u) in {1: 'a'} => true
      dyn(1.0) in {1: 'a'} => true
      dyn('a') in [1, 'a'] => true
      timestamp('2009-02-13T23:31:30Z') == timestamp('2009-02-14T00:31:30+01:00') => true
      duration('60s') == duration('1m') => true
      """#)
  }

  @Test func arithmetic() {
    check(
      #"""
      40 + 2 => 42
      42 - 43 => -1
      6 * 7 => 42
      7 / 2 => 3
      -7 / 2 => -3
      7 % 2 => 1
      -7 % 2 => -1
      -(1) => -1
      -(-5) => 5
      --5 => 5
      1 / 0 => !division by zero
      1 % 0 => !modulus by zero
      1u / 0u => !division by zero
      1u % 0u => !modulus by zero
      9223372036854775807 + 1 => !integer overflow
      -9223372036854775808 - 1 => !integer overflow
      9223372036854775807 * 2 => !integer overflow
      -9223372036854775808 / -1 => !integer overflow
      -9223372036854775808 % -1 => !integer overflow
      -(-9223372036854775808) => !integer overflow
      5u - 6u => !unsigned integer overflow
      18446744073709551615u + 1u => !unsigned integer overflow
      9223372036854775808u * 2u => !unsigned integer overflow
      2u + 3u => 5u
      7u / 2u => 3u
      4.25 + 15.25 => 19.5
      -1.5 * 2.0 => -3.0
      1.0 / 0.0 => +Inf
      -1.0 / 0.0 => -Inf
      0.0 / 0.0 => NaN
      1.0 % 2.0 => !found no matching overload for '_%_'
      1 + 1u => !found no matching overload for '_+_' applied to '(int, uint)'
      1 + 1.0 => !found no matching overload for '_+_' applied to '(int, double)'
      dyn(1) + 1.0 => !no such overload
      -1u => !found no matching overload for '-_'
      1 + 2 * 3 => 7
      (1 + 2) * 3 => 9
      2 - 1 - 1 => 0
      8 / 4 / 2 => 1
      1-1 => 0
      1 - -1 => 2
      'a' + 'b' => 'ab'
      b'a' + b'b' => b'61 62'
      [1] + [2] => [1, 2]
      [] + [] => []
      1e308 * 10.0 => +Inf
      """#)
  }

  @Test func logic() {
    check(
      #"""
      true && true => true
      true && false => false
      false && true => false
      false && 1 / 0 > 0 => false
      1 / 0 > 0 && false => false
      true && 1 / 0 > 0 => !division by zero
      1 / 0 > 0 && true => !division by zero
      true || 1 / 0 > 0 => true
      1 / 0 > 0 || true => true
      false || 1 / 0 > 0 => !division by zero
      1 / 0 > 0 || false => !division by zero
      dyn('x') && false => false
      dyn('x') && true => !no such overload
      dyn(1) || true => true
      'x' || true => !found no matching overload for '_||_' applied to '(string, bool)'
      !true => false
      !!true => true
      !!!true => false
      !0 => !found no matching overload for '!_' applied to '(int)'
      true ? 1 : 2 => 1
      false ? 1 : 2 => 2
      true ? 1 : 1 / 0 => 1
      false ? 1 / 0 : 2 => 2
      1 / 0 > 0 ? 1 : 2 => !division by zero
      true ? 1 : 'x' => !found no matching overload for '_?_:_'
      dyn('x') ? 1 : 2 => !no such overload
      true ? (false ? 1 : 2) : 3 => 2
      true ? false ? 1 : 2 : 3 => !Syntax error
      false ? 1 : true ? 2 : 3 => 2
      true || false && false => true
      1 < 2 == true => true
      1 == 2 ? 1 : 3 => 3
      """#)
  }

  @Test func strings() {
    check(
      #"""
      size('') => 0
      size('four') => 4
      size('πέντε') => 5
      '\U0001F431'.size() => 1
      size(b'\303\277') => 2
      'foobar'.startsWith('foo') => true
      'foobar'.startsWith('') => true
      ''.startsWith('x') => false
      'foobar'.endsWith('bar') => true
      'foobar'.endsWith('') => true
      'forté'.endsWith('té') => true
      'foobar'.contains('oba') => true
      'foobar'.contains('') => true
      ''.contains('x') => false
      'hubba'.matches('ubb') => true
      matches('hubba', '^ubb') => false
      'abc'.matches('^[a-c]{3}$') => true
      'Ü'.matches('^\\p{L}$') => true
      'x'.matches('(?i)X') => true
      'cows'.matches('') => true
      'mañana'.matches('a+ñ+a+') => true
      'a'.matches('(') => !error parsing regexp: missing closing ): `(`
      'a'.matches('a**') => !invalid nested repetition operator: `**`
      'a'.matches('\\1') => !invalid escape sequence: `\1`
      'a'.matches('(?=a)') => !invalid or unsupported Perl syntax: `(?=`
      """#)
  }

  @Test func conversions() {
    check(
      #"""
      int(42) => 42
      int(42u) => 42
      int(1.9) => 1
      int(-7.9) => -7
      int('-123') => -123
      int('x') => !invalid syntax
      int(1e99) => !integer overflow
      int(18446744073709551615u) => !integer overflow
      int(9223372036854775807.0) => !integer overflow
      int(timestamp('2004-09-16T23:59:59Z')) => 1095379199
      uint(1) => 1u
      uint(-1) => !unsigned integer overflow
      uint(3.14) => 3u
      uint(-0.5) => !unsigned integer overflow
      uint('300') => 300u
      double(3) => 3.0
      double('6.02214e23') => 6.02214e+23
      double('x') => !invalid syntax
      double(1u) => 1.0
      string(1) => '1'
      string(1u) => '1'
      string(-4.5e-3) => '-0.0045'
      string(123.456) => '123.456'
      string(1e21) => '1e+21'
      string(123456.0) => '123456'
      string(1234567.0) => '1.234567e+06'
      string(true) => 'true'
      string('x') => 'x'
      string(b'\303\277') => 'ÿ'
      string(b'\377') => !invalid UTF-8
      string(timestamp('2009-02-13T23:31:30Z')) => '2009-02-13T23:31:30Z'
      string(duration('1h1m1.5s')) => '3661.5s'
      bytes('abc') => b'61 62 63'
      bytes(b'a') => b'61'
      bool('true') => true
      bool('T') => true
      bool('0') => false
      bool('tRuE') => !type conversion error
      bool(true) => true
      dyn(1) == 1 => true
      type(dyn(1)) == int => true
      timestamp('2009-02-13T23:31:30.5+01:00') => <2009-02-13T22:31:30.5Z>
      timestamp(1234567890) => <2009-02-13T23:31:30Z>
      timestamp('x') => !parsing time
      duration('1.5s') => <1.5s>
      duration('-1h30m') => <-5400s>
      duration('1d') => !invalid duration
      """#)
  }

  @Test func timestamps() {
    check(
      #"""
      timestamp('2009-02-13T23:31:20.123456789Z').getFullYear() => 2009
      timestamp('2009-02-13T23:31:20Z').getMonth() => 1
      timestamp('2009-02-13T23:31:20Z').getDate() => 13
      timestamp('2009-02-13T23:31:20Z').getDayOfMonth() => 12
      timestamp('2009-02-13T23:31:20Z').getDayOfWeek() => 5
      timestamp('2009-02-13T23:31:20Z').getDayOfYear() => 43
      timestamp('2009-02-13T23:31:20Z').getHours() => 23
      timestamp('2009-02-13T23:31:20Z').getMinutes() => 31
      timestamp('2009-02-13T23:31:20Z').getSeconds() => 20
      timestamp('2009-02-13T23:31:20.123456789Z').getMilliseconds() => 123
      timestamp('2009-02-13T23:31:20Z').getDate('Australia/Sydney') => 14
      timestamp('2009-02-13T23:31:20Z').getHours('02:00') => 1
      timestamp('2009-02-13T23:31:20Z').getHours('+11:00') => 10
      timestamp('2009-02-13T23:31:20Z').getMinutes('Asia/Kathmandu') => 16
      timestamp('2009-02-13T02:00:00Z').getDayOfMonth('-02:30') => 11
      timestamp('2040-07-01T12:00:00Z').getHours('Europe/Berlin') => 14
      timestamp('2040-12-01T12:00:00Z').getHours('Europe/Berlin') => 13
      timestamp('2009-02-13T23:31:20Z').getHours('No/Where') => !unknown time zone No/Where
      duration('3730s').getHours() => 1
      duration('3730s').getMinutes() => 62
      duration('3730s').getSeconds() => 3730
      duration('123.321456789s').getMilliseconds() => 321
      timestamp('2009-02-13T23:00:00Z') + duration('240s') => <2009-02-13T23:04:00Z>
      duration('120s') + timestamp('2009-02-13T23:00:00Z') => <2009-02-13T23:02:00Z>
      timestamp('2009-02-13T23:10:00Z') - duration('600s') => <2009-02-13T23:00:00Z>
      timestamp('2009-02-13T23:31:00Z') - timestamp('2009-02-13T23:29:00Z') => <120s>
      duration('600s') + duration('50s') => <650s>
      duration('600s') - duration('50s') => <550s>
      timestamp('9999-12-31T23:59:59Z') + duration('10s') => !timestamp overflow
      timestamp('0001-01-01T00:00:00Z') - duration('10s') => !timestamp overflow
      timestamp('0000-01-01T00:00:00Z') => !timestamp overflow
      duration('200000h') + duration('2500000h') => !duration overflow
      """#)
  }

  @Test func lists() {
    check(
      #"""
      [7, 8, 9][0] => 7
      [7, 8, 9][2] => 9
      [7, 8, 9][3] => !index out of bounds: 3
      [7, 8, 9][-1] => !index out of bounds: -1
      [7, 8, 9][dyn(0.0)] => 7
      [7, 8, 9][dyn(0.1)] => !unsupported index value
      [7, 8, 9][dyn(0u)] => 7
      [7, 8, 9]['x'] => !found no matching overload for '_[_]'
      size([1, 2]) => 2
      [1, 2].size() => 2
      [0, 1] + [2, 3] == [0, 1, 2, 3] => true
      [1, 'a', true] => [1, 'a', true]
      {'a': 1}.a => 1
      {'a': {'b': 2}}.a.b => 2
      {'a': 1}.b => !no such key: b
      {'a': 1}['b'] => !no such key: b
      {0: 'x'}[dyn(0u)] => 'x'
      {'a': 1, 'a': 2} => !Failed with repeated key a
      {true: 1, false: 2}[true] => 1
      {dyn(1.5): 'x'} => !unsupported key type
      has({'a': 1}.a) => true
      has({'a': 1}.b) => false
      has({'a': {'b': 1}}.a.b) => true
      has({'a': 1}.x.y) => !does not support field selection
      has(dyn({'a': 1}).x.y) => !no such key: x
      has(1) => !invalid argument to has() macro
      (1).x => !type 'int' does not support field selection
      [1, 2,] => [1, 2]
      {'a': 1,} => {'a': 1}
      size({'a': 1}) => 1
      """#)
  }

  @Test func macros() {
    check(
      #"""
      [1, 2, 3].all(x, x > 0) => true
      [1, 2, 3].all(x, x > 1) => false
      [].all(x, x > 0) => true
      [1, 'foo', 3].all(e, e % 2 == 1) => !no such overload
      [2, 'foo', 3].all(e, e % 2 == 1) => false
      ['foo', 2].all(e, e % 2 == 1) => false
      {'a': 1, 'b': 2}.all(k, k != 'c') => true
      [1, 2, 3].exists(x, x > 2) => true
      [1, 2, 3].exists(x, x > 3) => false
      [1, 'foo', 3].exists(e, e != '1') => true
      ['foo', 3].exists(e, e % 2 == 1) => true
      ['foo', 4].exists(e, e % 2 == 1) => !no such overload
      [].exists(e, true) => false
      [7].exists_one(a, a == 7) => true
      [7, 7].exists_one(a, a == 7) => false
      [8, 7].exists_one(a, a == 7) => true
      [].exists_one(a, a == 7) => false
      [7, 'x'].exists_one(a, a > 6) => !no such overload
      [1, 2, 3].map(n, n * 2) => [2, 4, 6]
      [1, 2, 3].map(n, n > 1, n * 2) => [4, 6]
      [2, 1].map(x, x / 0) => !division by zero
      {'x': 1}.map(k, k + '!') => ['x!']
      [1, 2, 3].filter(i, i > 1) => [2, 3]
      {'a': 1, 'b': 2}.filter(k, k == 'a') => ['a']
      [3, 2, 1, 0].filter(n, n / n > 0) => !division by zero
      ['signer'].filter(signer, ['artifact'].all(artifact, true)) => ['signer']
      [[1, 2], [3]].map(l, l.map(i, i + 1)) => [[2, 3], [4]]
      [1].map(x, [2].map(x, x)) => [[2]]
      [1, 2].map(x.y, 1) => !argument must be a simple name
      (1).all(x, true) => !expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)
      [1].all(x, 1) => !found no matching overload for '_&&_'
      cel.bind(x, 2, x * x) => 4
      cel.bind(a, 1, cel.bind(b, a + 1, a + b)) => 3
      cel.bind(x, [1, 2], x.exists(i, i == 2)) => true
      [1, 2, 3].all(i, v, i < v) => true
      {'a': 1}.all(k, v, k == 'a' && v == 1) => true
      [3, 4].exists(i, v, i == 1 && v == 4) => true
      {'a': 1, 'b': 2}.existsOne(k, v, v == 2) => true
      [1, 2].transformList(i, v, i + v) => [1, 3]
      [1, 2, 3].transformList(i, v, i > 0, v) => [2, 3]
      {'a': 1, 'b': 2}.transformMap(k, v, v * 2) => {'a': 2, 'b': 4}
      {'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) => {'b': 2}
      {'a': 'x', 'b': 'y'}.transformMapEntry(k, v, {v: k}) => {'x': 'a', 'y': 'b'}
      {'a': 'x', 'b': 'x'}.transformMapEntry(k, v, {v: k}) => !insert failed: key x already exists
      [1].all(i, i, true) => !duplicate variable name: i
      """#)
  }

  @Test func parsing() {
    check(
      #"""
      1 + => !Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
      1 2 => !Syntax error: extraneous input '2' expecting <EOF>
      (1 => !Syntax error: missing ')' at '<EOF>'
      1 @ 2 => !Syntax error: token recognition error at: '@'
      'abc => !Syntax error: token recognition error at: ''abc'
      if => !reserved identifier: if
      package => !reserved identifier: package
      a.b. => !no viable alternative at input '.'
      '\q' => !token recognition error
      1 // comment => 1
      (((1))) => 1
      {'if': 1}.if => 1
      {'a-b': 1}.`a-b` => 1
      .x => 5
      [x.y, 1] => !type 'int' does not support field selection
      Nope{a: 1} => !undeclared reference to 'Nope' (in container '')
      2 in [1] || true => true
      """#, ["x": .int(5)], types: ["x": .int])
    let deep = String(repeating: "(", count: 260) + "1" + String(repeating: ")", count: 260)
    #expect(outcome(deep, CELEnvironment()).contains("expression recursion limit exceeded: 250"))
    let wide = Array(repeating: "true", count: 5000).joined(separator: " && ")
    #expect(outcome(wide, CELEnvironment()) == "true")
    let chain = Array(repeating: "1", count: 5000).joined(separator: " + ")
    #expect(outcome(chain, CELEnvironment()).contains("recursion limit"))
    #expect(
      outcome("1 +\n  foo", CELEnvironment())
        == "!ERROR: <input>:2:3: undeclared reference to 'foo' (in container '')\n |   foo\n | ..^")
  }

  @Test func optionals() {
    check(
      #"""
      optional.of(1) => some(1)
      optional.none() => none
      optional.ofNonZeroValue(0) => none
      optional.ofNonZeroValue('a') => some('a')
      optional.of(1).value() => 1
      optional.none().value() => !optional.none() dereference
      optional.of(1).hasValue() => true
      optional.none().orValue(42) => 42
      optional.of(1).orValue(1 / 0) => 1
      optional.none().or(optional.of(2)) => some(2)
      {'a': 1}.?a => some(1)
      {'a': 1}.?b => none
      {'a': {'b': 1}}.?a.b => some(1)
      {'a': {}}.?a.b => none
      {'a': 1}[?'a'] => some(1)
      [1, 2][?1] => some(2)
      [1, 2][?5] => none
      {'a': 1}.?b.orValue(3) => 3
      has({'a': {'b': 1}}.?a.b) => true
      has({'a': {'b': 1}}.?a.c) => false
      [?optional.none(), 1] => [1]
      [?optional.of(0), 1] => [0, 1]
      {?'a': optional.none(), 'b': 1} => {'b': 1}
      optional.of(2).optMap(x, x * 2) => some(4)
      optional.none().optMap(x, x) => none
      optional.of({'a': 1}).optFlatMap(m, m.?a) => some(1)
      optional.of(1) == optional.of(1) => true
      optional.none() == optional.of(1) => false
      [optional.of(1), optional.none()].unwrapOpt() => [1]
      [?1] => !expected type 'optional_type(int)' but found 'int'
      [1, 2].first() => some(1)
      """#)
  }
}
