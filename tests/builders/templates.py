"""Chat templates in the styles of well-known model families, and hostile ones, each named by its trick."""

# ruff: noqa: E501, RUF001
# The templates keep their own lines and their own signs.

ORDINARY = {
    "llama-2": """{%- if messages[0]['role'] == 'system' -%}
{%- set loop_messages = messages[1:] -%}{%- set system_message = messages[0]['content'] -%}
{%- else -%}{%- set loop_messages = messages -%}{%- set system_message = false -%}{%- endif -%}
{%- for message in loop_messages -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('Roles must alternate user/assistant/user/assistant') }}
{%- endif -%}
{%- if loop.index0 == 0 and system_message != false -%}
{%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] -%}
{%- else -%}{%- set content = message['content'] -%}{%- endif -%}
{%- if message['role'] == 'user' -%}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' -%}{{ ' ' + content.strip() + ' ' + eos_token }}{%- endif -%}
{%- endfor -%}""",
    "llama-3-tools": """{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not date_string is defined %}
{%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{%- if builtin_tools is defined %}
{{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n" }}{%- endif %}
{%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}{{- "<|eot_id|>" }}
{%- for message in messages %}
{%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- elif 'tool_calls' in message %}
{%- set tool_call = message.tool_calls[0].function %}
{{- '{"name": "' + tool_call.name + '", "parameters": ' }}{{- tool_call.arguments | tojson }}{{- "}" }}
{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}""",
    "mistral": """{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}{%- set ns.index = 0 %}
{%- for message in messages %}
{%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
{%- if (message["role"] == "user") != (ns.index % 2 == 0) %}{{- raise_exception("roles must alternate") }}{%- endif %}
{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}
{{- bos_token }}
{%- for message in messages %}
{%- if message["role"] == "user" %}
{%- if tools is not none and (message == user_messages[-1]) %}{{- "[AVAILABLE_TOOLS] [" }}
{%- for tool in tools %}{%- set tool = tool.function %}
{{- '{"type": "function", "function": {' }}
{%- for key, val in tool.items() if key != "return" %}
{%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}{{- "}}" }}{%- endfor %}{{- "[/AVAILABLE_TOOLS]" }}{%- endif %}
{{- "[INST] " + message["content"] + "[/INST]" }}
{%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token}}
{%- endif %}{%- endfor %}""",
    "chatml-qwen-reasoning": """{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n<tools>' }}
{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}{{- "\\n</tools><|im_end|>\\n" }}{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
{%- set index = (messages|length - 1) - loop.index0 %}
{%- if ns.multi_step_tool and message.role == "user" and message.content is string
 and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}
{%- for message in messages %}
{%- if message.role == "assistant" %}
{%- set reasoning_content = '' %}
{%- if '</think>' in message.content %}
{%- set reasoning_content = message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}
{{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}""",
    "gemma": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}
{% else %}{% set role = message['role'] %}{% endif %}
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}
{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}""",
    "phi": """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}
{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}
{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% else %}{% generation %}
{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endgeneration %}{% endif %}{% endfor %}""",
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + eos_token }}
{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{% endfor %}""",
    "deepseek": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}
{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}
{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}
{%- for message in messages %}
{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}
{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}
{{'<｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n```json\\n'
 + tool['function']['arguments'] + '\\n```<｜tool▁call▁end｜>'}}{%- set ns.is_first = true -%}{%- endif %}{%- endfor %}
{%- endif %}{%- endfor -%}{% if add_generation_prompt %}{{'<｜Assistant｜>'}}{% endif %}""",
    "command-r": """{{ bos_token }}{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} %}
{%- if basic_type_map[json_spec.type] is defined %}{{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}{{- "List[" + json_to_python_type(json_spec['items']) + "]" }}
{%- elif json_spec.type is iterable %}{{- "Union[" }}
{%- for t in json_spec.type %}{{- json_to_python_type({"type": t}) }}{%- if not loop.last %}{{- "," }}{%- endif %}
{%- endfor %}{{- "]" }}{%- else %}{{- "Any" }}{%- endif %}{%- endmacro %}
{%- macro old_tool_parser(tools) %}{%- for tool in tools %}
{%- if loop.index0 != 0 %}{{- '\\n\\n' }}{%- endif %}
{{- '```python\\ndef ' + tool.name + '(' }}
{%- for param_name, param_fields in tool.parameter_definitions|items %}
{{- param_name + ': ' }}{%- if not param_fields.required %}{{-'Optional[' + param_fields.type + '] = None'}}
{%- else %}{{- param_fields.type }}{%- endif %}{%- endfor %}{{- ') -> List[Dict]:\\n    pass\\n```' }}
{%- endfor %}{%- endmacro %}
{%- for tool in tools %}{{ json_to_python_type(tool) }}{% endfor %}{{ old_tool_parser(tools) }}
{%- for message in messages %}{{ "<|START_OF_TURN_TOKEN|>" + message.role|upper ~ message.content }}{% endfor %}""",
    "vision-parts": """{% set image_count = namespace(value=0) %}{% for message in messages %}
{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}
{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}
{% set image_count.value = image_count.value + 1 %}
{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>
{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}""",
    "tool-results-format": """{%- for message in messages if message.role == 'tool' -%}
{%- set parts = [] -%}{%- for key, value in message.content|dictsort -%}
{%- do parts.append("%s: %s" | format(key, value)) -%}{%- endfor -%}{{ parts | join(', ') | replace('_', ' ') }}
{%- if loop.index > 50 %}{% break %}{% endif -%}{%- endfor -%}
{%- for i in range(messages | length) %}{{ messages[i - 1].get('name', '') }}{{ '-' * 40 }}{% endfor %}
{%- set spec = tool['parameters']['x-' + message.role] -%}{{ messages | map(attribute='content') | join('\\n') }}""",
    "typescript-tools": """{%- macro render_type(spec, required_params, is_nullable=false) -%}
{%- if spec.type == "array" -%}{%- if spec['items'] -%}{{- render_type(spec['items'], required_params) }}[]{%- endif %}
{%- elif spec.enum -%}{{- '"' + spec.enum|join('" | "') + '"' -}}
{%- elif spec.type is defined and spec.type is mapping -%}{%- for name, s in spec.properties.items() -%}
{{- name }}: {{ render_type(s, spec.required or []) }}{%- if not loop.last %}, {% endif -%}{%- endfor -%}
{%- else -%}any{%- endif -%}{%- endmacro -%}
{%- set now = strftime_now("%Y-%m-%d") -%}{{- render_type(tools[0].function.parameters, []) -}}
{%- set ns = namespace(last_user=-1) -%}{%- for m in messages -%}{%- if m.role == 'user' -%}
{%- set ns.last_user = loop.index0 -%}{%- endif -%}{%- endfor -%}""",
}

ORDINARY_KEYS = {
    "key-with-prefix": "{{ message['tool_' ~ message.role] }}",
    "key-of-two-parts": "{{ names[message.role ~ '_' ~ 'name'] }}",
    "key-in-namespace": "{% set ns = namespace(at=0) %}{% for m in messages %}{% set ns.at = ns.at + 1 %}{% endfor %}{{ messages[ns.at - 1] }}",
    "key-chosen": "{% set key = 'user' if messages else 'system' %}{{ names[key] }}",
    "key-from-loop": "{% for key in ['role', 'content'] %}{{ message[key] }}{% endfor %}",
    "text-that-grows": "{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ m.content %}{% endfor %}{{ ns.t }}",
    "list-of-parts": "{% set parts = [] %}{% set _ = parts.append(message.role ~ '_') %}{{ parts|join('_') }}",
    "macro-with-key": "{% macro show(m, key='content') %}{{ m[key] }}{% endmacro %}{{ show(messages[0], 'role') }}",
    "table-of-names": "{% set names = {'user': 'Human'} %}{{ names[message.role] }}{{ names.user }}{{ names['user'] }}",
    "filtered-block": "{% set text %}{% filter trim %}{{ message.content }}{% endfilter %}{% endset %}{{ text }}",
    "rule-of-dashes": "{{ '-' * 80 }}{{ 'x'.ljust(40) }}{{ '%08.3f'|format(messages|length) }}",
}

HOSTILE = {
    "values-joined": "{% set d = {'a': '__cl', 'b': 'ass__'} %}{{ ''[d.values()|join] }}",
    "varargs": "{% macro f() %}{{ ''[varargs|join] }}{% endmacro %}{{ f('__cl', 'ass__') }}",
    "kwargs": "{% macro f() %}{{ ''[kwargs|join] }}{% endmacro %}{{ f(__cl=1, ass__=2) }}",
    "filled": "{{ ''['{:_^9}'.format('class')] }}",
    "macro-environment": "{% macro m() %}{% endmacro %}{{ m._environment.from_string('x').render() }}",
    "undefined-method": "{{ nothing._fail_with_undefined_error }}",
    "second-attribute": "{{ messages|sort(attribute='role,__class__') }}",
    "letters-by-place": "{% set s = 'abcdefghijklmnopqrstuvwxyz_' %}{% set n = namespace(v='') %}{% for i in [26, 26, 2] %}{% set n.v = n.v ~ s[i] %}{% endfor %}{{ ''[n.v] }}",
    "batch-bomb": "{{ [1]|batch(10**9, 'x')|list }}",
    "slice-bomb": "{{ [1]|slice(10**9)|list }}",
    "growing-loop": "{% set xs = [1] %}{% for x in xs %}{% set _ = xs.append(x) %}{% endfor %}",
    "range-of-product": "{% for i in range(messages|length * 10**9) %}x{% endfor %}",
    "doubling-macro": "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(60) }}",
    "dunder-attribute": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "cycler-globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "joiner-globals": "{{ joiner.__init__.__globals__ }}",
    "namespace-globals": "{{ namespace.__init__.__globals__ }}",
    "lipsum-globals": "{{ lipsum.__globals__['os'].popen('id') }}",
    "attr-filter": "{{ ''|attr('__class__') }}",
    "attr-filter-computed": "{{ messages|attr(messages[0].content) }}",
    "attr-filter-format": "{{ ''|attr('format')('{0}', 1) }}",
    "map-attribute": "{{ messages|map(attribute='__class__.__mro__')|list }}",
    "hex-escapes": r"{{ x['\x5f\x5fclass\x5f\x5f'] }}",
    "joined-name": "{{ x[['__cl', 'ass__']|join] }}",
    "added-name": "{% set a = '__glo' + 'bals__' %}{{ x[a] }}",
    "tilde-name": "{% set u = '_' * 2 %}{{ x[u ~ 'class' ~ u] }}",
    "percent-c": "{{ x['%c%cclass%c%c'|format(95, 95, 95, 95)] }}",
    "reversed-name": "{{ x['__ssalc__'|reverse] }}",
    "sliced-name": "{{ x['__ssalc__'[::-1]] }}",
    "replaced-name": "{{ x['@@class@@'|replace('@', '_')] }}",
    "unknown-piece": "{{ x['__' ~ y ~ '__'] }}",
    "format-field": "{{ '{0.__class__.__init__.__globals__}'.format(x) }}",
    "generator-frame": "{{ (messages|map('upper')).gi_frame.f_globals }}",
    "python-open": "{{ open('/etc/passwd').read() }}",
    "flask-config": "{{ config.SECRET_KEY }}",
    "long-range": "{% for i in range(10 ** 9) %}x{% endfor %}",
    "nested-ranges": "{% for i in range(9999) %}{% for j in range(9999) %}{{ i }}{% endfor %}{% endfor %}",
    "text-repeated": "{{ 'x' * 1000000000 }}",
    "huge-power": "{{ 9 ** 99999999 }}",
    "name-in-block": "{% set x %}__class__{% endset %}{{ ''[x] }}",
    "name-in-two-blocks": "{% set x %}__cla{% endset %}{% set y %}ss__{% endset %}{{ ''[x+y] }}",
    "map-attribute-computed": "{{ [messages]|map(attribute=messages[0].x)|list }}",
    "underscore-from-macro": "{% macro u() %}_{% endmacro %}{{ ''[u()~u()~'class'~u()~u()] }}",
    "name-in-namespace": "{% set ns=namespace(a='__cla') %}{% set ns.a = ns.a ~ 'ss__' %}{{ ''[ns.a] }}",
    "name-built-in-loop": "{% set ns=namespace(a='') %}{% for c in ['__','class','__'] %}{% set ns.a = ns.a ~ c %}{% endfor %}{{ ''[ns.a] }}",
    "underscore-in-namespace": "{% set ns=namespace(a='_') %}{% set ns.b = ns.a*2 ~ 'class' ~ ns.a*2 %}{{ messages[ns.b] }}",
    "name-from-dict-keys": "{% set a=dict(cla=1,ss=2)|join %}{% set u='_' %}{{ ''[u~u~a~u~u] }}",
    "stripped-name": "{{ ''['x__class__x'.strip('x')] }}",
    "split-name": "{{ ''['a,__class__'.split(',')[1]] }}",
    "centred-name": "{{ ''['class'.center(9,'_')] }}",
    "padded-name": "{{ ''['__class'.ljust(9,'_')] }}",
    "swapped-case-name": "{{ ''['__CLASS__'.swapcase()] }}",
    "translated-name": "{{ ''['__dmbtt__'.translate({100:99})] }}",
    "decoded-name": "{{ ''['X19jbGFzc19f'.decode('base64')] }}",
    "name-of-keyword": "{% macro a() %}{{ ''[kwargs.keys()|first] }}{% endmacro %}{{ a(__class__=1) }}",
    "name-in-with": "{% with a='__cla', b='ss__' %}{{ ''[a~b] }}{% endwith %}",
    "name-from-loops": "{% for a in ['__cla'] %}{% for b in ['ss__'] %}{{ ''[a+b] }}{% endfor %}{% endfor %}",
    "name-from-tuple": "{% set a,b = '__cla','ss__' %}{{ ''[a~b] }}",
    "repeated-repetition": "{{ ('a' * 99999) * 99999 }}",
    "ljust-bomb": "{{ 'a'.ljust(9999999999) }}",
    "center-bomb": "{{ 'a'|center(9999999999) }}",
    "format-width-bomb": "{{ '%9999999999d'|format(1) }}",
    "braces-width-bomb": "{{ '{:>9999999999}'.format(1) }}",
    "lipsum-bomb": "{{ lipsum(n=999999) }}",
    "doubling-in-loop": "{% set ns=namespace(x='a'*1000) %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "growing-variable": "{% set a='aaaaaaaaaa' %}{% set a=a*10000 %}{% set a=a*10000 %}{{a}}",
    "attr-popen": "{{ x|attr('po'~'pen')('id') }}",
    "truncated-name": "{{ ''['__class__xxxx'|truncate(9,true,'')] }}",
    "trimmed-name": "{{ ''['!!__cl!!'|trim('!') ~ 'ass__'] }}",
    "attr-of-joined": "{{ ''|attr(['__','class','__']|join) }}",
    "attr-of-braces": "{{ ''|attr('{}class{}'.format('__','__')) }}",
    "attr-of-macro": "{% macro u() %}__{% endmacro %}{{ ''|attr(u()~'class'~u()) }}",
    "underscore-out-of-text": "{% set u = (lipsum|string)[18] %}{{ ''|attr(u*2~'class'~u*2) }}",
    "filter-block": "{% filter attr('__class__') %}x{% endfilter %}",
    "include-outside": "{% include '/etc/passwd' %}",
    "reversed-joined": "{{ ''|attr('__ssalc__'|reverse|join) }}",
    "from-dict-val": "{% set d={'a':'__cla','b':'ss__'} %}{{ ''[d.a+d.b] }}",
    "from-macro-kw": "{% macro m(a,b) %}{{ ''[a~b] }}{% endmacro %}{{ m('__cla','ss__') }}",
    "from-macro-default": "{% macro m(a='__cla',b='ss__') %}{{ ''[a~b] }}{% endmacro %}{{ m() }}",
    "from-call-block": "{% macro m() %}{{ ''[caller()] }}{% endmacro %}{% call m() %}__class__{% endcall %}",
    "from-call-block2": "{% macro m() %}{{ ''[caller()~'ss__'] }}{% endmacro %}{% call m() %}__cla{% endcall %}",
    "from-filter-set": "{% set x|lower %}__CLASS__{% endset %}{{ ''[x] }}",
    "from-filter-set2": "{% set x|replace('-','_') %}--class--{% endset %}{{ ''[x] }}",
    "from-filter-block-attr": (
        "{% set x %}{% filter replace('-','_') %}--class--{% endfilter %}{% endset %}{{ ''[x] }}"
    ),
    "from-lipsum-str": "{{ (lipsum|string|list)[18] }}",
    "from-xeval": "{{ x.eval('1') }}",
    "from-trans-tag": "{% trans %}{{ x }}{% endtrans %}{{ ''.__class__ }}",
    "from-unknown-tag": "{% foo %}{{ ''.__class__ }}",
    "from-syntax-err": "{{ ''.__class__ ",
    "from-handlebars": "{{#if x}}{{x.__class__}}{{/if}}",
    "from-do-append": "{% set l=[] %}{% do l.append('__cla') %}{% do l.append('ss__') %}{{ ''[l|join] }}",
    "from-set-it-append": (
        "{% set l=[] %}{% set _=l.append('__cla') %}{% set _=l.append('ss__') %}{{ ''[l|join('')] }}"
    ),
    "from-dict-update": "{% set d={} %}{% set _=d.update({'a':'__cla'}) %}{{ ''[d.a~'ss__'] }}",
    "from-ns-loop-char": (
        "{% set ns=namespace(s='') %}{% for c in '__class__' %}{% set ns.s=ns.s~c %}{% endfor %}{{ ''[ns.s] }}"
    ),
    "from-ns-codes": (
        "{% set ns=namespace(s='') %}"
        "{% for c in [95,95,99] %}{% set ns.s=ns.s~('%c'|format(c)) %}{% endfor %}{{ ''[ns.s] }}"
    ),
    "from-joiner": "{% set j=joiner('__') %}{{ ''[j()~j()~'class'~j()] }}",
    "from-cycler": "{% set c=cycler('__','class') %}{{ ''[c.next()~c.next()~'__'] }}",
    "from-urlencode": "{{ ''['%5f%5fclass%5f%5f'|urldecode] }}",
    "from-striptags": "{{ ''['<b>__cla</b>ss__'|striptags] }}",
    "from-reject": "{{ ''[('__xclass__'|list|reject('equalto','x'))|join] }}",
    "from-dictsort": "{{ ''[({'__class__':1}|dictsort)[0][0]] }}",
}
