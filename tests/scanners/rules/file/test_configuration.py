"""Rules about configuration that names code."""

from tests.scanners.rules.examples import Example

EXAMPLES = {
    "MS401": Example(
        bad=lambda: {"config.json": b'{"auto_map": {"AutoModel": "modeling.Model"}}'},
        good=lambda: {"config.json": b'{"architectures": ["LlamaForCausalLM"]}'},
    ),
}
