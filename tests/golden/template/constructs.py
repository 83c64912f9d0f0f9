"""Small templates, one construct each; every one is rendered in both profiles.

Not here, because merganser refuses on purpose what Jinja takes: attributes with underscores and
methods that change a list or map (also in the task profile), blocks, the attr filter, x[]."""

VARIABLES = {
    "n": 7, "m": -3, "zero": 0, "f": 2.5, "big": 1e16, "tiny": 1e-05, "yes": True, "no": False,
    "nothing": None,
    "s": "hello world", "u": "日本語　テスト é", "empty": "", "padded": "  x y \n",
    "quote": "it's \"q\"", "digits": "12", "lines": "a\n\nb\r\nc",
    "xs": [3, 1, 2], "names": ["bob", "Alice", "carol"], "none_list": [], "nested": [[1, 2], [3]],
    "mixed": [1, "a", None, True, 2.0, [1], {"k": "v"}, "x\ty", "\u3000", "\u00e9"],
    "d": {"a": 1, "b": {"c": [10, 20]}, "items": "own", "z y": 5}, "empty_map": {},
    "people": [{"name": "Bob", "age": 30, "tags": ["x"]}, {"name": "alice", "age": 25, "tags": []},
               {"name": "Carl", "age": 30}],
    "choices": ["yes", "no", "maybe"], "answer": 1, "question": "What is 2+2?",
    "html": "<a href=\"x\">&'</a>",
}

CONSTRUCTS = r'''
{{ n }} {{ f }} {{ big }} {{ tiny }} {{ yes }} {{ nothing }}
{{ mixed }}
{{ d }}|{{ empty_map }}|{{ none_list }}|{{ nested }}
{{ (1,) }} {{ () }} {{ (1, 'a') }} {{ 1, 2 }}
{{ quote }} {{ [quote] }} {{ ["it's"] }} {{ ['"'] }} {{ ['\\ \n \x00 \u200b \U0001F600'] }}
{{ [u] }} {{ ['\ue000', '\ufeff', '\xad', '\x7f', '\x85'] }}
{{ 7 / 2 }} {{ 8 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}
{{ 2**3**2 }} {{ -2**2 }} {{ 2**-1 }} {{ 2**0.5 }} {{ 2 ** 10 }}
{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 1.5 + 1 }} {{ True + 1 }} {{ 3 * 'ab' }} {{ 'ab' * 2 }} {{ [1] * 3 }} {{ -1 * 'x' }}
{{ 'a' ~ 1 ~ None ~ True ~ 1.0 ~ [1] }}
{{ 'a' + 'b' }} {{ [1] + [2] }} {{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 1 == 1.0 }} {{ 1 == True }} {{ 'a' == 'a' }} {{ [1] == [1] }} {{ [1] == (1,) }} {{ d == d }} {{ None == False }} {{ 1 != 2 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 <= 1.0 }}
{{ 1 < 'a' }}
{{ None < 1 }}
{{ 2 in xs }} {{ 9 in xs }} {{ 'ell' in s }} {{ 'a' in d }} {{ 'q' not in d }} {{ not 2 in xs }} {{ 1 in {1: 2} }}
{{ 1 in 'abc' }}
{{ 1 in 5 }}
{{ yes and no }} {{ yes or no }} {{ not yes }} {{ '' or 'x' }} {{ 0 and 1 }} {{ 1 and 2 }} {{ none or none }}
{{ 'a' if yes else 'b' }} {{ 'a' if no else 'b' }} [{{ 'a' if no }}] {{ 'x' if no else 'y' if yes else 'z' }}
{{ true }} {{ True }} {{ false }} {{ none }} {{ None }}
{{ 1_000 }} {{ 0x1F }} {{ 0o17 }} {{ 0b101 }} {{ 1.5e3 }} {{ 1e-3 }} {{ 1_0.5 }} {{ 1E5 }}
{{ 'a\tb\n\\\'\"\x41\u3042\101\q' }}
{{ "it's" 'joined' }}
{{ -1|abs }} {{ -(1)|abs }} {{ 5 - 3|int }} {{ '5'|int - 1 }}
{{ not n is defined }} {{ n is not defined }} {{ n is defined and yes }} {{ (n is defined) == yes }}
{{ x is defined }} {{ x is undefined }} {{ n is undefined }} {{ d.q is defined }} {{ d.a is defined }}
{{ x }}
[{{ x|default('dv') }}] [{{ n|default('dv') }}] [{{ ''|default('dv') }}] [{{ ''|default('dv', true) }}] [{{ nothing|d('e', boolean=True) }}] [{{ x|d }}]
{{ x.y }}
{{ x['y'] }}
{{ d.q }}
{{ d.q.r }}
{{ nothing.q }}
{{ x + 1 }}
{{ x ~ 'a' }}
{% if x %}a{% else %}b{% endif %}
{% for i in x %}{{ i }}{% else %}none{% endfor %}
{{ x|length }}
{{ x == y }}
{{ x == 1 }}
{{ 1 in x }}
{{ x() }}
{{ x|upper }}|{{ x|trim }}|{{ x|list }}|{{ x|join(',') }}
{{ x|int }}
{{ x|tojson }}
{{ n() }}
{{ s.nope }}
{{ s.nope() }}
{{ d.a }} {{ d['a'] }} {{ d.b.c[0] }} {{ d['b']['c'][-1] }} {{ d.items() }} {{ d['items'] }} {{ d['z y'] }} {{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 5) }}
{{ d.keys() }} {{ d.values()|list }} {{ d.keys()|list }} {{ d|length }} {{ d|list }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }};{% endfor %}
{{ xs[0] }} {{ xs[-1] }} {{ xs[0:2] }} {{ xs[:-1] }} {{ xs[::-1] }} {{ xs[::2] }} {{ xs[5:] }} {{ xs[-2:] }} {{ xs[1:][0] }} {{ xs[10:20] }} {{ xs[None:2] }}
{{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ u[1] }} {{ u[:3] }} {{ u[::-2] }} {{ s[100:] }} {{ s[3:1] }} {{ s[-3:] }} {{ s[-100:3] }}
{{ xs[9] }}
{{ xs[9] is defined }} {{ xs['a'] is defined }} {{ s[99] is defined }} {{ xs.0 }} {{ nested.0.1 }}
{{ xs[::0] }}
{{ range(5) }} {{ range(5)|list }} {{ range(2, 8, 3)|list }} {{ range(5, 0, -2)|list }} {{ range(3)[1] }} {{ range(3)|length }} {{ range(10)[2:4] }} {{ range(1, 10, 2) }}
{{ range(0, 5, 0) }}
{% for i in range(3) %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.previtem }}/{{ loop.nextitem }} {% endfor %}
{% for i in xs if i > 1 %}{{ i }}{{ loop.index }}{{ loop.last }} {% else %}e{% endfor %}
{% for i in xs if i > 100 %}{{ i }}{% else %}e{% endfor %}
{% for a, b in [(1, 2), (3, 4)] %}{{ a }}-{{ b }} {% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for c in 'abあ' %}{{ c }}.{% endfor %}
{% for i in 5 %}{{ i }}{% endfor %}
{% for x in [1,2,3] recursive %}{{ x }}{% if x == 1 %}({{ loop([7, 8]) }}){% endif %}{{ loop.depth }}{% endfor %}
{% for x in [1] %}{{ loop([2]) }}{% endfor %}
{% for i in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 2) }} {% endfor %}
{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% set a = 1 %}{% for i in [1,2] %}{{ a }}{% set a = 5 %}{{ a }}{% endfor %}{{ a }}
{% set a = 1 %}{% if yes %}{% set a = 2 %}{% endif %}{{ a }}
{% set ns = namespace(x=1) %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}
{% set ns = namespace() %}{% set ns.a = [] %}{% for i in xs %}{% set ns.a = ns.a + [i] %}{% endfor %}{{ ns.a }}{{ ns.b is defined }}
{% set ns = namespace({'p': 3}, q=4) %}{{ ns.p }}{{ ns.q }}
{% set d.a = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e) = [3, 4] %}{{ c }}{{ e }}
{% set t = 1, 2 %}{{ t }}
{% set block %}a{{ n }}b{% endset %}[{{ block }}]
{% set block | upper | trim %} a{{ s }}b {% endset %}[{{ block }}]
{% for i in [1,2] %}{% set b %}{{ i }}{% endset %}{{ b }}{% endfor %}{{ b is defined }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}
{% filter upper %}a{{ s }}{% endfilter %}
{% filter replace('a', 'b')|upper %}banana{% endfilter %}
{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=5) }} {{ m(a='x', b='y') }}
{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(q=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}
{% macro m(a) %}[{{ caller() }}{{ a }}]{% endmacro %}{% call m(1) %}body{{ n }}{% endcall %}
{% macro m() %}{{ caller('p', q=2) }}{% endmacro %}{% call(x, q) m() %}{{ x }}{{ q }}{% endcall %}
{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * (fact(k - 1)|int) }}{% endif %}{% endmacro %}{{ fact(5) }}
{% macro m() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ m() }}
{% macro m() %}{{ i is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %}
{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% macro inf(k) %}{{ inf(k) }}{% endmacro %}{{ inf(1) }}
{{ s|upper }} {{ s|capitalize }} {{ s|title }} {{ 'HELLO wORLD-foo (bar) <baz'|title }} {{ 'ÉCOLE ß'|lower }} {{ 'straße'|upper }} {{ 'éa b'|capitalize }}
[{{ padded|trim }}] [{{ 'xxaxx'|trim('x') }}] [{{ '　a\u00a0'|trim }}]
{{ s|replace('o', '0') }} {{ s|replace('o', '0', 1) }} {{ 'aaa'|replace('a', 'b', count=2) }} {{ 123|replace(2, 'x') }} {{ 'ab'|replace('', '-') }}
{{ xs|join }} {{ xs|join(', ') }} {{ people|join(',', attribute='name') }} {{ mixed|join('|') }} {{ 'abc'|join('-') }} {{ d|join('+') }}
{{ s|length }} {{ u|length }} {{ xs|count }} {{ d|length }} {{ (1, 2)|length }}
{{ 5|length }}
{{ nothing|length }}
{{ xs|first }} {{ xs|last }} {{ 'abc'|first }} {{ 'abc'|last }} [{{ none_list|first is defined }}]
{{ none_list|first }}
{{ xs|sort }} {{ xs|sort(reverse=true) }} {{ names|sort }} {{ names|sort(case_sensitive=true) }} {{ people|sort(attribute='age')|map(attribute='name')|list }} {{ people|sort(attribute='age,name')|map(attribute='name')|list }}
{{ [1, 'a']|sort }}
{{ xs|reverse|list }} {{ s|reverse }} {{ xs|max }} {{ xs|min }} {{ xs|sum }} {{ people|sum(attribute='age') }} {{ people|map(attribute='age')|max }} {{ (people|max(attribute='age')).name }} {{ names|min }}
{{ none_list|max is defined }} {{ none_list|sum }} {{ [1, 2]|sum(start=10) }}
{{ [1, 1, 2, 'a', 'A']|unique|list }} {{ ['a', 'A']|unique(true)|list }} {{ people|unique(attribute='age')|map(attribute='name')|list }}
{{ people|map(attribute='name')|list }} {{ people|selectattr('tags')|map(attribute='tags.0')|list }} {{ people|map(attribute='q', default='-')|join(',') }} {{ names|map('upper')|list }} {{ names|map('replace', 'o', '0')|list }} {{ ['1', '2']|map('int')|sum }}
{{ people|selectattr('age', 'equalto', 30)|map(attribute='name')|list }} {{ people|selectattr('age', '>', 26)|list|length }} {{ people|rejectattr('age', 'eq', 30)|list|length }} {{ people|selectattr('tags')|list|length }} {{ people|selectattr('tags', 'defined')|list|length }} {{ people|rejectattr('tags')|list|length }} {{ people|selectattr('age', 'in', [25])|list|length }}
{{ xs|select('odd')|list }} {{ xs|reject('odd')|list }} {{ [0, 1, '', 'a']|select|list }} {{ xs|select('>', 1)|list }} {{ xs|select('divisibleby', 3)|list }} {{ [1, 'a']|select('string')|list }}
{{ xs|select('nope')|list }}
{{ xs|map('nope')|list }}
{{ xs|nope }}
{{ xs is nope }}
{% if people|selectattr('age', 'equalto', 99) %}always{% endif %}
{{ people|selectattr('age', 'equalto', 99)|length }}
{{ people|selectattr('age', 'equalto', 30)|first }}
{{ people|selectattr('age', 'equalto', 30)|last }}
{{ people|groupby('age')|map('first')|list }} {% for age, g in people|groupby('age') %}{{ age }}:{{ g|map(attribute='name')|join('+') }} {% endfor %}{% for g in people|groupby('age') %}{{ g.grouper }}{{ g.list|length }} {% endfor %}
{{ d|dictsort }} {{ {'b': 1, 'A': 2}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'A': 2}|dictsort(by='value') }} {{ {'b': 1, 'a': 2}|dictsort(reverse=true) }}
{% for k, v in d|items %}{{ k }},{% endfor %} {{ d|items|list|length }} {{ x|items|list }}
{{ 5|items|list }}
{{ range(7)|batch(3)|list }} {{ range(7)|batch(3, 'x')|list }} {{ range(7)|slice(3)|list }} {{ range(7)|slice(3, 'f')|list }}
{{ '12'|int }} {{ '1.9'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ '0x1f'|int(base=16) }} {{ 2.9|int }} {{ -2.9|int }} {{ true|int }} {{ none|int(3) }} {{ ' 7 '|int }} {{ '1_000'|int }} {{ '1e3'|int }} {{ '１２'|int }} {{ []|int }}
{{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(2) }} {{ 3|float }} {{ '1e3'|float }} {{ 'inf'|float }} {{ none|float }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(method='ceil') }} {{ 2.9|round(0, 'floor') }} {{ 5|round }} {{ 2.675|round(2) }} {{ 1234.5|round(-2) }} {{ 42|round(1) }}
{{ -5|abs }} {{ (-5)|abs }} {{ m|abs }} {{ (-2.5)|abs }}
{{ n|string }} {{ n|string|length }} {{ [1]|string }} {{ s|safe }} {{ html|e }} {{ html|escape }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}|{{ 'a\nb'|indent('> ') }}|{{ 'a\n'|indent(1) }}|{{ ''|indent(2, true) }}|{{ lines|indent(3) }}
{{ s|center(21) }}|{{ 'ab'|center(5) }}|{{ 'abc'|center(6) }}|{{ 'abcdef'|center(3) }}
{{ 'foo bar baz qux'|truncate(9) }}|{{ 'foo bar baz qux'|truncate(9, true) }}|{{ 'foo bar baz qux'|truncate(11) }}|{{ 'foo bar baz qux'|truncate(11, False, '...', 0) }}
{{ 'a b c'|wordcount }} {{ 'foo'|format }} {{ '%s-%s'|format(1, 'b') }} {{ '%(a)s'|format(a=3) }}
{{ '%s %d %05.2f %x %r %%' % ('a', 5, 3.14159, 255, 'q') }} {{ '%s' % 5 }} {{ '%5s|%-5s|' % ('a', 'b') }} {{ '%+d % d' % (3, 4) }} {{ '%e' % 12345.678 }} {{ '%g' % 0.0001 }} {{ '%03d' % 7 }} {{ '%.3s' % 'abcdef' }} {{ '%(k)s' % {'k': 1} }} {{ '%i' % 3.9 }} {{ '%c' % 'x' }} {{ '%s' % [1, 2] }} {{ '%*d' % (5, 3) }}
{{ '%d' % 'a' }}
{{ '%s %s' % ('a',) }}
{{ '%s' % ('a', 'b') }}
{{ '{} {}'.format(1, 'a') }} {{ '{0}{1}{0}'.format('x', 'y') }} {{ '{a}'.format(a=3) }} {{ '{:.2f}|{:>5}|{:<5}|{:^5}|{:05d}|{:,}|{:x}|{:%}|{:+}'.format(3.14159, 'a', 'b', 'c', 42, 1234567, 255, 0.5, 3) }} {{ '{{}}'.format() }} {{ '{0[0]}'.format([9]) }} {{ '{!r}'.format('a') }} {{ '{:*^7}'.format('mid') }}
{{ '{}'.format() }}
{{ s.upper() }} {{ s.title() }} {{ "they're bill's"|title }} {{ "they're bill's".title() }} {{ s.capitalize() }} {{ 'A'.lower() }} {{ 'aB'.swapcase() }}
[{{ padded.strip() }}] [{{ padded.lstrip() }}] [{{ padded.rstrip() }}] [{{ 'xyxaxy'.strip('xy') }}] [{{ 'aab'.lstrip('a') }}] [{{ '\x1c a \x85'.strip() }}]
{{ s.split() }} {{ s.split('o') }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ ' a  b c '.split(None, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(None, 1) }} {{ 'a b c'.rsplit() }} {{ ''.split() }} {{ ''.split(',') }} {{ 'abc'.split(sep='b') }} {{ '  '.rsplit() }} {{ 'a b'.rsplit(maxsplit=0) }}
{{ 'a'.split('') }}
{{ 'a</think>b'.split('</think>')[-1].lstrip('\n') }} {{ lines.splitlines() }} {{ 'a\n'.splitlines(true) }} {{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }}
{{ s.startswith('he') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'he')) }} {{ s.startswith('lo', 3) }} {{ s.endswith('lo', 0, 5) }} {{ ''.startswith('') }} {{ s.startswith('', 100) }}
{{ s.find('o') }} {{ s.rfind('o') }} {{ s.index('w') }} {{ s.find('zz') }} {{ s.count('o') }} {{ 'aaa'.count('') }} {{ u.find('テ') }} {{ s.find('o', 5) }} {{ s.find('o', -3) }} {{ 'a'.find('', 5) }}
{{ s.index('zz') }}
{{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ ', '.join(['a', 'b']) }} {{ '-'.join('abc') }}
{{ ','.join([1, 2]) }}
{{ '12'.isdigit() }} {{ '²'.isdigit() }} {{ '1a'.isdigit() }} {{ ''.isdigit() }} {{ 'ab'.isalpha() }} {{ 'あ1'.isalnum() }} {{ ' \t'.isspace() }} {{ 'AB'.isupper() }} {{ 'a1'.islower() }} {{ '½'.isnumeric() }} {{ '１'.isdecimal() }}
{{ 'ab'.ljust(4) }}| {{ 'ab'.rjust(4, '*') }} {{ '-5'.zfill(4) }} {{ '42'.zfill(5) }} {{ 'prefix_a'.removeprefix('prefix_') }} {{ 'a.txt'.removesuffix('.txt') }}
{{ xs.index(2) }} {{ xs.count(3) }} {{ choices.index('no') }} {{ choices[answer] }}
{{ xs.index(99) }}
{{ n is integer }} {{ f is float }} {{ yes is integer }} {{ yes is number }} {{ s is string }} {{ d is mapping }} {{ xs is sequence }} {{ d is sequence }} {{ 5 is sequence }} {{ xs is iterable }} {{ s is iterable }} {{ 5 is iterable }} {{ nothing is none }} {{ yes is true }} {{ no is false }} {{ 1 is true }} {{ yes is boolean }} {{ range is callable }} {{ d.items() is sequence }} {{ d.items() is iterable }}
{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 3 is eq 3 }} {{ 3 is ne(3) }} {{ 3 is gt 2 }} {{ 3 is lessthan 2 }} {{ 3 is in [1, 3] }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 'a' is upper }} {{ xs is sameas xs }} {{ 1 is sameas true }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'zz' is filter }}
{{ 3 is == 3 }}
{{ xs is not none and xs|length > 0 }} {{ nothing is not none }}
{{ d|tojson }}
{{ mixed|tojson }} {{ s|tojson }} {{ html|tojson }} {{ u|tojson }} {{ none|tojson }} {{ 1.0|tojson }} {{ (1, 2)|tojson }} {{ '\x7f\x1f\u2028\\'|tojson }} {{ yes|tojson }} {{ big|tojson }}
{{ d|tojson(indent=2) }}|{{ xs|tojson(indent=4) }}|{{ {}|tojson(indent=2) }}|{{ {'a': []}|tojson(indent=1) }}
{{ u|tojson(ensure_ascii=true) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ d|tojson(separators=(',', ':')) }} {{ '😀'|tojson(ensure_ascii=true) }}
{{ d|tojson(indent='\t') }} {{ d|tojson(indent=0) }}
{{ {1: 2, 1.5: 5}|tojson }} {{ {none: 3}|tojson }} {{ {true: 3}|tojson }}
{{ range(3)|tojson }}
{{ people|map(attribute='name')|tojson }}
{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict(d, a=9)['a'] }} {{ {'a': 1, 'a': 2} }} {{ {1: 'a', 'b': [2]}[1] }}
{{ {[1]: 2} }}
{{ strftime_now('%Y-%m-%d %H:%M') }} {{ strftime_now('%d %b %Y') }} [{{ strftime_now('') }}] {{ strftime_now('%A %B %-d, %j %%') }}
{{ raise_exception('boom') }}
a{# comment #}b{#- trimmed -#} c
a {%- if yes %} b {%- endif %} c {{- 'd' -}} e
  {% if yes %}  
  x
  {% endif %}  
y
  {%+ if yes %} x {% endif %}
{% if yes +%}
x{% endif %}
a {{- ' b' }} c
{%- set q = 1 -%}   z
{% raw %}{{ not }} {% if %}{# c #}{% endraw %}|{%- raw -%}  x  {%- endraw -%}  y
{{ '{{' }} {{ '%}' }} {{ "}}" }} {{ {'a': {'b': 1}} }} {{ {'a': {'b': 1}}['a']['b'] }}
{{ 'a' }}{# multi
line #}
  {# at line start #}
z
{% for i in xs %}
  {{ i }}
{% endfor %}
end
{% if no %}a{% elif yes %}b{% else %}c{% endif %}{% if no %}a{% elif no %}b{% else %}c{% endif %}
{% if xs and d %}t{% endif %}{% if none_list or empty_map or '' or 0 or 0.0 %}f{% else %}e{% endif %}
{% if 1 %}
{% if
{{ 1
{{ }}
{% endif %}
{% unknown %}
{{ 'abc }}
{{ (1 }}
{{ 1) }}
{{ a b }}
{# no end
{% for %}{% endfor %}
{% set 5 = 1 %}
{% set none = 1 %}
{% break %}
{{ 1 is }}
{{ xs| }}
{{ . }}
{{ ! }}
{% macro %}{% endmacro %}
{% include 'x' %}
{{ m(a=1, 2) }}
{{ xs[1:2:3:4] }}
{{ (xs)[0] }} {{ [1, 2, 3][1] }} {{ 'abc'[1] }} {{ {'a': 1}.a }} {{ 'x'.upper().lower() }} {{ (1 + 2)|string }} {{ [1, 2,] }} {{ (1, 2,) }} {{ {'a': 1,} }}
{{ xs|first|string ~ 'a' }} {{ (xs|length > 2) and (s|length) }} {{ xs|length + 1 }} {{ 'a' ~ 'b' * 2 }}
{{ 1 ~ 2 + 3 }}
{{ not no and yes }} {{ not (no or yes) }} {{ 1 + 1 == 2 }} {{ 'a' in 'abc' and 'd' not in 'abc' }}
{{ loop is defined }} {{ namespace is defined }} {{ caller is defined }}
{% for i in xs %}{% for j in [1] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% generation %}g{{ n }}{% endgeneration %}
{% for i in [1,2] %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}
{{ question }}

{{ question }}
Answer:{{ choices[answer] }}{{"\n"}}
Q: {{question.strip()}}\nA:
{{ [choices[0], choices[1]] }} {{ choices[:2] }} {{ choices|length - 1 }} {{ ["A", "B"].index("B") }}
{{ s|regex_replace('o', '0') }} {{ s|regex_replace('(l+)', '<\\1>', 1) }} {{ 'a1b22'|regex_replace('\\d+', '#') }} {{ 'x'|regex_replace('(?P<n>x)', '\\g<n>\\g<1>') }}
{{ s|regex_replace('(', 'a') }}
{{ 'a\\nb' }} {{ "tab\there" }}
{{ '\N' }}
{{ 9223372036854775807 }} {{ -9223372036854775807 }}
{{ 1e400 }} {{ -1e400 }} {{ 0.1 + 0.2 }} {{ 100.0 }} {{ 1e15 }} {{ 123456789012345680.0 }} {{ 1.0e-4 }} {{ -0.0 }}
{{ xs is sequence and xs is not string }} {{ people[0].name }} {{ people[-1]['age'] }} {{ people.0.tags|length }}
{{ s.split(' ')|map('capitalize')|join(' ') }} {{ s.split(' ')|last }} {{ (s.split('w')[0]).strip() }}
{% set x = {'a': [1, 2]} %}{{ x.a[1] }} {{ x['a']|sum }}
{% set items = d.items() %}{% for k, v in items %}{{ loop.last }}{% endfor %}{{ items|length }}
{% set g = people|map(attribute='age') %}{{ g|sum }}{{ g|sum }}
{{ g is defined }}{% if false %}{% set g = 1 %}{% endif %}{{ g is defined }}
{{ [1, [2, (3, {'a': none})]] }} {{ ['a"b', "a'b", 'a"\'b'] }}
{{ d.items is defined }} {{ d.items is callable }} {{ s.upper is callable }}
{{ 'abc' is string and 'abc'|length == 3 }} {{ 'a,b'|replace(',', '\n') }}
{{ ' a ' ~ ' b '|trim ~ 'c' }} {{ (' a ' ~ ' b ')|trim }}
{{ xs|tojson|length }} {{ xs|string|tojson }} {{ '"'|tojson }}
{{ x|default(none) is none }} {{ x|default({})|length }} {{ (x|default([])) + [1] }}
{{ d['a'] if 'a' in d else 'none' }} {{ d.nope if d.nope is defined else 'none' }}
{{ '%.1f' % 0.25 }} {{ '%.0f' % 0.5 }} {{ '%.2f'|format(1.005) }} {{ '%s' % none }} {{ '%s' % (d,) }}
'''.strip("\n").split("\n")

# What needs several lines.
CONSTRUCTS += [
    "{% if yes %}\n\n  a\n{% else %}\n b\n{% endif %}\n\n\n",
    "\n\n{{ n }}\n\n",
    "a\r\nb\r{{ n }}\r\n",
    "   {{ n }}   \n   {% set x = 1 %}   \n  {# c #}  \nx",
    "{%- for i in xs -%}\n  {{ i }}\n{%- endfor -%}\n",
    "{% for i in xs %}\n{{- i }}\n{% endfor %}",
    "{% for i in xs -%}\n   {{ i }},\n{%- endfor %}",
    "{% raw %}\n a {{ b }}\n{% endraw %}\nc",
    "  {% raw -%}\n a \n  {%- endraw %}\nc\n",
    "{# a #}\n{# b #}x\n  {#- c -#}  y",
    "x\n  {%- if yes %}\n  y\n  {%- endif %}\nz",
    "{% macro m() %}\n  a\n{% endmacro %}\n[{{ m() }}]\n",
    "{% set x %}\n  multi\n  line\n{% endset %}\n[{{ x }}]",
    "{{ n -}}\n\n  {{- n }}\n{{+ n }}\n{%+ if yes %}a{% endif %}",
    "\t {% if yes %}tab{% endif %}\t\n",
    "a\n\u3000{% if yes %}wide{% endif %}\u3000\nb",
    "{{\n  n\n  +\n  1\n}}\n{%\n  if\n  yes\n%}\nx\n{% endif %}",
    "{{ 'a\nb' }}",
    "{{ {\n 'a': 1,\n 'b': [\n 1,\n 2]\n}|tojson }}",
    "{% call(x) m() %}{% endcall %}",
    "{% set x = 1 %}{% macro m(x) %}{{ x }}{% endmacro %}{{ m(2) }}{{ x }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro a() %}{% set z = 1 %}{{ z }}{% endmacro %}{{ a() }}{{ z is defined }}",
    "{% set z = 1 %}{% macro a() %}{% set z = 2 %}{{ z }}{% endmacro %}{{ a() }}{{ z }}",
    "{% for x in xs %}{% set y = x %}{% endfor %}{{ y is defined }}{{ x is defined }}",
    "{% for x in xs %}{% if loop.first %}{% set y = x %}{% endif %}{{ y is defined }}{% endfor %}",
    "{% filter indent(2) %}a\nb{% endfilter %}",
    "{% set ns = namespace(found=false) %}{% for p in people %}{% if p.age == 25 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}",
    "{% for p in people if p.tags %}{{ p.name }}{% endfor %}",
    "{% for m in [{'role': 'a', 'content': [{'type': 'text', 'text': 'x'}]}] %}{% if m.content is string %}s{% elif m['content'] is iterable %}{% for c in m.content %}{{ c.text if c.type == 'text' }}{% endfor %}{% endif %}{% endfor %}",
    "{{ xs[1:]\n }}{{ xs [0] }}{{ s . upper () }}{{ s | upper | lower }}",
    "{% if yes %}{% endif %}{% for i in [] %}{% endfor %}{% macro q() %}{% endmacro %}",
]
