import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Operator, Reference
from scanners.formats import markup
from tests.builders.readings import anomalies, blob_of, read_with, survive_mutations, uncovered

PMML = b"""<?xml version="1.0" encoding="UTF-8"?>
<!-- exported -->
<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">
  <Header copyright="me"><Extension name="user" value="me" extender="R"/><Application name="pmml"/></Header>
  <DataDictionary><DataField name="x" optype="continuous"><![CDATA[ <x> ]]></DataField></DataDictionary>
  <Apply function="if"><FieldRef field="x"/></Apply>
</PMML>
"""
OPENVINO = b"""<?xml version="1.0"?>
<net name="m" version="11"><layers>
<layer id="0" name="c" type="Const" version="opset1"><data element_type="f32" shape="1" offset="0" size="4"/></layer>
</layers><rt_info><MO_version value="2024"/></rt_info></net>
"""


def kinds(content: bytes) -> list[str]:
    return [fact.format for fact in read_with(markup, content).facts if isinstance(fact, Identified)]


@pytest.mark.parametrize(("content", "kind"), [(PMML, "pmml"), (OPENVINO, "openvino")])
def test_ordinary_models_state_nothing_but_their_kind(content: bytes, kind: str) -> None:
    reading = read_with(markup, content)
    assert [fact for fact in reading.facts if not isinstance(fact, Identified)] == []
    assert kinds(content) == [kind]
    assert uncovered(reading) == 0


@pytest.mark.parametrize(
    ("prologue", "code"),
    [
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "xml-external-entity"),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'http://h/x'>]>", "xml-external-entity"),
        ('<!DOCTYPE x [<!ENTITY % p PUBLIC "a" "http://h/x.dtd"> %p;]>', "xml-external-entity"),
        ('<!DOCTYPE x SYSTEM "http://h/x.dtd">', "xml-external-dtd"),
        ('<!DOCTYPE x [<!ENTITY a "y"><!ENTITY b "&a;&a;&a;">]>', "xml-entity-bomb"),
        ('<!DOCTYPE x [<!ENTITY a "y">]>', "xml-entity"),
        ('<!DOCTYPE x [<!-- ] --><!ENTITY e SYSTEM "/etc/passwd">]>', "xml-external-entity"),
    ],
)
def test_declarations_are_stated(prologue: str, code: str) -> None:
    assert code in anomalies(read_with(markup, f"{prologue}<x/>".encode(), name="m.xml"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-le"])
def test_another_encoding_hides_nothing(encoding: str) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///x">]><x/>'
    assert anomalies(read_with(markup, text.encode(encoding), name="m.xml")) == ["xml-external-entity"]


def test_an_odd_encoding_is_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(markup, b'<?xml version="1.0" encoding="utf-7"?><x/>', name="m.xml")


def test_code_and_files_are_stated() -> None:
    content = b"<PMML><Extension value='java.lang.Runtime.getRuntime()'/><Apply function='com.x.Y'/></PMML>"
    assert [fact.name for fact in read_with(markup, content).facts if isinstance(fact, Operator)] == ["code", "apply"]
    kernel = b"<CustomLayer><Kernel><Source filename='../x.cl'/></Kernel></CustomLayer>"
    facts = read_with(markup, kernel, name="k.xml").facts
    assert [fact.target for fact in facts if isinstance(fact, Reference)] == ["../x.cl"]


@pytest.mark.parametrize("content", [b"<a><b></a>", b"<a", b"<a><!-- x", b"</a>", b"<!DOCTYPE a [<!ENTITY x 'y'"])
def test_broken_markup_is_malformed(content: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(markup, content, name="m.xml")


def test_elements_nested_without_end_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        read_with(markup, b"<a>" * 20_000, name="m.xml")


def test_pages_for_people_are_left_alone() -> None:
    assert not markup.matches(blob_of(b"<!DOCTYPE html><html>", "index.html"))
    assert markup.matches(blob_of(b"<?xml version='1.0'?><PMML>", "model"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    seeds = [PMML, OPENVINO, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///x"><!ENTITY b "&a;&a;">]><x/>']
    survive_mutations(markup, seeds, name="m.xml")
