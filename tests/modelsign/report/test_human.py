from modelsign.gate import Acceptance, Gate
from modelsign.report import Result, write
from scanners.findings import Report
from tests.builders.reports import NOTE, UNKNOWN, file_report, finding, mixed, report


def human(*reports: Report, gate: Gate | None = None, **flags: bool) -> str:
    return write(Result(reports=reports, gate=gate or Gate()), "human", **flags)


def test_a_clean_target_is_one_line() -> None:
    text = human(report(file_report(), file_report("config.json", formats=("json",))))
    assert text == "model: clean - no known danger in 2 files (json 1, torch-zip 1; 200 bytes)\n"


def test_a_clean_target_is_silent_when_quiet() -> None:
    assert human(report(file_report()), quiet=True) == ""


def test_a_target_without_loader_files_is_not_called_clean() -> None:
    assert "clean" not in human(report(file_report("README.md", formats=())))


def test_a_hostile_target_shows_what_where_why_and_the_way_out() -> None:
    text = human(mixed())
    assert "model: MALICIOUS - do not load it; and not everything could be analysed" in text
    assert "does   os.system('echo pwned')" in text
    assert "where  model.bin -> archive/data.pkl, byte 83" in text
    assert "why    the callable os.system is called while the file is loaded (high confidence)" in text
    assert "fix    Do not load it." in text
    assert "modelsign rules show MS001" in text


def test_what_was_not_analysed_is_named() -> None:
    text = human(mixed())
    assert "not analysed: a.bin: encrypted" in text
    assert "40 of 100 bytes were not read" in text


def test_nothing_an_attacker_wrote_reaches_the_terminal_raw() -> None:
    text = human(mixed(), verbose=True)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m" in text


def test_many_findings_of_one_rule_are_cut_short() -> None:
    many = [finding(UNKNOWN, evidence=f"f{number}()", offset=number) for number in range(10)]
    text = human(report(file_report("model.bin", *many)))
    assert "f3()" in text
    assert "f4()" not in text
    assert "and 6 more like these" in text


def test_notes_are_counted_and_shown_on_demand() -> None:
    one = report(file_report("a.bin", finding(NOTE, file="a.bin", evidence="", message="a link to b")))
    assert human(one).endswith("1 note (-v shows them)\n")
    assert "a link to b" in human(one, verbose=True)


def test_an_accepted_finding_says_who_accepted_it() -> None:
    one = finding(UNKNOWN)
    gate = Gate(accepted={one.fingerprint: Acceptance(by="waiver", reason="known", owner="ml", expires="2027-01-01")})
    assert "accepted by waiver of ml, until 2027-01-01: known" in human(report(file_report("m", one)), gate=gate)


def test_colours_only_where_asked() -> None:
    assert "\x1b[31m" in human(report(file_report("m", finding())), color=True)
    assert "\x1b" not in human(report(file_report("m", finding())))


def test_many_files_that_failed_alike_are_cut_short() -> None:
    files = [file_report(f"{number}.bin", unread=1, reasons=("interrupted",)) for number in range(10)]
    text = human(report(*files, file_report("z.bin", unread=1, reasons=("something else",))))
    assert text.count("not analysed: interrupted") == 3
    assert "and 7 more files like these" in text
    assert "not analysed: something else" in text
    assert human(report(*files), verbose=True).count("not analysed: interrupted") == 10


def test_the_worst_file_comes_first() -> None:
    text = human(report(file_report("a.bin", unread=1, reasons=("x",)), file_report("b.bin", finding(file="b.bin"))))
    assert text.index("b.bin: malicious") < text.index("a.bin: incomplete")
