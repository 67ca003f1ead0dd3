"""A payload that only one loader sees is found whichever loader that is: the table of readings, end to end."""

import pytest

from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.reader import BytesReader
from tests.builders.checkpoints import floats, pickled, tensor, torch_zip
from tests.builders.safetensors import safetensors
from tests.builders.tars import Entry, pax, tar
from tests.builders.zips import DEFLATED, Archive, Member, archive

HOSTILE = b"cos\nsystem\n(S'echo hello'\ntR."
HARMLESS = pickled({"a": 1})
ROOT = b"archive/"


def record(name: bytes, data: bytes, **fields: object) -> Member:
    return Member(name=ROOT + name, data=data, **fields)  # type: ignore[arg-type]  # fields by name


TWIN = record(b"data.pkl", b"S'" + b"x" * (len(HOSTILE) - 5) + b"'\n.")
"""a harmless pickle as long as the hostile one, so that two archives have one layout"""
GOOD = record(b"data.pkl", HARMLESS)
BAD = record(b"data.pkl", HOSTILE)
VERSION = record(b"version", b"3\n")


def built(*members: Member, **fields: object) -> bytes:
    return Archive(members=members, **fields).build()  # type: ignore[arg-type]  # fields by name


def scan(data: bytes, path: str = "model.pt") -> FileReport:
    return scan_blob(BytesReader(data), path).report


def place_of_payload(data: bytes, path: str = "model.pt") -> tuple[str, ...]:
    """Scan, expect the payload to be found, and return the member that would be loaded."""
    report = scan(data, path)
    assert report.verdict is Verdict.MALICIOUS
    finding = report.findings[0]
    assert finding.evidence.startswith("os.system('echo hello')")
    return finding.location.members


def test_first_of_two_entries_which_torch_loads() -> None:
    assert place_of_payload(built(BAD, GOOD, VERSION)) == ("archive/data.pkl",)


def test_second_of_two_entries_which_zipfile_reads() -> None:
    members = place_of_payload(built(GOOD, BAD, VERSION))

    assert members == (f"archive/data.pkl (at {len(GOOD.name) + 30 + len(HARMLESS)}, a second entry of this name)",)


def test_upper_case_twin_which_torch_loads() -> None:
    assert place_of_payload(built(record(b"DATA.PKL", HOSTILE), GOOD)) == ("archive/DATA.PKL",)


def test_upper_case_alone_is_data_pkl_to_torch() -> None:
    assert place_of_payload(built(record(b"DATA.PKL", HOSTILE), VERSION)) == ("archive/DATA.PKL",)


def test_local_header_with_another_name_which_torch_ignores() -> None:
    assert place_of_payload(built(record(b"data.pkl", HOSTILE, local_name=b"other"), VERSION)) == ("archive/data.pkl",)


def test_directory_entry_that_points_to_another_header() -> None:
    hidden = record(b"notes.txt", HOSTILE)

    assert place_of_payload(built(hidden, record(b"data.pkl", HARMLESS, header_offset=0))) == ("archive/notes.txt",)


@pytest.mark.parametrize("crc", [7, 0xFFFFFFFF])
def test_wrong_checksum_which_zipfile_refuses(crc: int) -> None:
    assert place_of_payload(built(record(b"data.pkl", HOSTILE, crc=crc), VERSION)) == ("archive/data.pkl",)


def test_no_checksum_which_torch_can_write() -> None:
    assert place_of_payload(built(record(b"data.pkl", HOSTILE, crc=0), VERSION)) == ("archive/data.pkl",)


def test_encryption_flag_in_the_local_header_only() -> None:
    assert place_of_payload(built(record(b"data.pkl", HOSTILE, local_flags=1), VERSION)) == ("archive/data.pkl",)


@pytest.mark.parametrize("flag", [0x1, 0x20, 0x40])
def test_flag_that_makes_strict_readers_give_up(flag: int) -> None:
    assert place_of_payload(built(record(b"data.pkl", HOSTILE, flags=flag), VERSION)) == ("archive/data.pkl",)


def test_first_of_two_archives_which_torch_opens() -> None:
    assert place_of_payload(built(BAD, VERSION) + built(TWIN, VERSION)) == ("archive/data.pkl",)


def test_second_of_two_archives_which_zipfile_opens() -> None:
    members = place_of_payload(built(TWIN, VERSION) + built(BAD, VERSION))

    assert members[0].endswith("as zipfile reads it)")


def test_archive_in_a_comment_which_zipfile_opens() -> None:
    assert place_of_payload(built(GOOD, VERSION, comment=built(BAD, VERSION)))


def test_archive_around_a_comment_which_torch_opens() -> None:
    assert place_of_payload(built(BAD, VERSION, comment=built(GOOD, VERSION)))


def test_archive_behind_a_prefix() -> None:
    assert place_of_payload(built(BAD, VERSION, prefix=b"j" * 64)) == ("archive/data.pkl",)


def test_pickle_before_an_archive_which_torch_runs_as_a_legacy_file() -> None:
    assert place_of_payload(HOSTILE + built(GOOD, VERSION)) == ()


def test_archive_with_so_long_a_trailer_that_only_streaming_readers_open_it() -> None:
    members = place_of_payload(built(BAD, VERSION, trailer=b"j" * 70_000))

    assert members == ("archive/data.pkl (at 0, only in the local headers)",)


def test_root_that_climbs_out() -> None:
    report = scan(built(Member(name=b"../data.pkl", data=HOSTILE)))

    assert {"MS101", "MS204"} <= {finding.rule.id for finding in report.findings}


def test_nul_in_the_name_where_zipfile_cuts_it() -> None:
    assert place_of_payload(built(record(b"data.pkl\x00.txt", HOSTILE), VERSION))


@pytest.mark.parametrize("roots", [(b"one/", b"two/"), (b"two/", b"one/")])
def test_two_roots_of_which_the_first_is_live(roots: tuple[bytes, bytes]) -> None:
    data = built(Member(name=roots[0] + b"data.pkl", data=HARMLESS), Member(name=roots[1] + b"data.pkl", data=HOSTILE))

    assert place_of_payload(data) == (f"{roots[1].decode()}data.pkl",)


def test_stored_in_the_local_header_deflated_in_the_directory() -> None:
    member = record(b"data.pkl", HOSTILE, method=DEFLATED, local_method=0)

    assert place_of_payload(built(member, VERSION)) == ("archive/data.pkl",)


def test_deflated_in_the_local_header_stored_in_the_directory() -> None:
    deflated = record(b"data.pkl", HOSTILE, method=DEFLATED).body
    member = record(b"data.pkl", deflated, method=0, local_method=DEFLATED)

    assert place_of_payload(built(member, VERSION))[0].endswith("only in the local headers)")


def test_payload_before_the_place_where_deflated_data_breaks_off() -> None:
    whole = record(b"data.pkl", HOSTILE + bytes(range(256)) * 40, method=DEFLATED)
    member = record(b"data.pkl", whole.data, method=DEFLATED, compressed=whole.body[:-20])

    assert place_of_payload(built(member, VERSION)) == ("archive/data.pkl",)
    assert not scan(built(member, VERSION)).coverage.complete


def test_payload_in_less_data_than_the_directory_promises() -> None:
    member = record(b"data.pkl", HOSTILE, method=DEFLATED, size=1000)

    assert place_of_payload(built(member, VERSION)) == ("archive/data.pkl",)


def test_member_only_in_the_local_headers() -> None:
    members = place_of_payload(built(GOOD, record(b"other.pkl", HOSTILE, in_directory=False), VERSION))

    assert members[0].endswith("only in the local headers)")


def test_member_beyond_the_promised_number_which_zipfile_lists() -> None:
    assert place_of_payload(built(GOOD, record(b"other.pkl", HOSTILE), promised=1)) == ("archive/other.pkl",)


def test_payload_that_one_entry_calls_weights_and_another_does_not() -> None:
    weights = record(b"data/0", HOSTILE)
    alias = record(b"x.pkl", HOSTILE, header_offset=0, in_local_headers=False)

    assert place_of_payload(built(weights, GOOD, alias)) == ("archive/data/0",)


def test_payload_that_only_the_directory_calls_weights() -> None:
    assert place_of_payload(built(record(b"data/0", HOSTILE, local_name=b"archive/x.pkl"), GOOD))


def test_python_that_calls_itself_torchscript_is_read_as_python_too() -> None:
    source = b"class M(Module):\n  __parameters__ = []\n  x = __import__('os').system('echo hello')\n"
    data = built(GOOD, record(b"constants.pkl", HARMLESS), record(b"code/__torch__.py", source))
    report = scan(data)

    assert report.verdict is Verdict.MALICIOUS
    assert report.findings[0].location.members[0] == "archive/code/__torch__.py"


def test_member_under_an_innocent_name() -> None:
    assert place_of_payload(built(GOOD, record(b"README.md", HOSTILE))) == ("archive/README.md",)


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_nested_archives(depth: int) -> None:
    data = built(BAD)
    for _ in range(depth):
        data = archive(("inner.zip", data))

    assert len(place_of_payload(data)) == depth + 1


# ---- polyglots


def test_archive_behind_safetensors() -> None:
    data = safetensors({"a": ("U8", [4], b"abcd")}) + built(BAD, VERSION)
    report = scan(data, "model.safetensors")

    assert report.verdict is Verdict.MALICIOUS
    assert {"MS101", "MS209", "MS303"} <= {finding.rule.id for finding in report.findings}
    assert report.formats == ("safetensors", "torch-zip")


def test_safetensors_inside_an_archive_is_read_as_safetensors() -> None:
    report = scan(archive(("model.safetensors", safetensors({"a": ("U8", [4], b"abcd")}))), "model.zip")

    assert report.verdict is Verdict.CLEAN
    assert report.coverage.inert == 4


def test_tar_with_an_archive_behind_its_end() -> None:
    assert place_of_payload(tar(Entry(name="a.txt", data=b"a")) + built(BAD), "model.tar")


def test_tar_that_ends_with_an_archive_as_its_last_member_is_no_polyglot() -> None:
    data = tar(Entry(name="model.yaml", data=b"a: 1"), Entry(name="one.ckpt", data=built(GOOD, VERSION)))
    data = tar(Entry(name="two.ckpt", data=built(GOOD, VERSION)), Entry(name="nemo", data=data))
    report = scan(data, "model.nemo")

    assert (report.verdict, report.formats, report.findings) == (Verdict.CLEAN, ("tar",), ())


def test_payload_in_the_last_member_of_a_tar_is_found_once() -> None:
    data = tar(Entry(name="model.yaml", data=b"a: 1"), Entry(name="one.ckpt", data=built(BAD, VERSION)))

    assert place_of_payload(data, "model.nemo") == ("one.ckpt", "archive/data.pkl")
    assert len(scan(data, "model.nemo").findings) == 1


def test_payload_elsewhere_in_a_tar_that_its_last_archive_lists_is_found() -> None:
    # Offsets in the directory are absolute to torch: it finds the payload in the middle of another member.
    hidden = record(b"data.pkl", HOSTILE)
    local = built(hidden)[: 30 + len(hidden.name) + len(HOSTILE)]
    first = Entry(name="a.txt", data=b"some text " + local).build()
    listed = record(b"data.pkl", HOSTILE, header_offset=512 + 10, in_local_headers=False)
    directory_at = len(first) + 512
    data = first + Entry(name="b.ckpt", data=built(listed, base=directory_at)).build()

    assert place_of_payload(data, "model.nemo")


def test_pickle_that_holds_an_archive_at_its_end_is_no_polyglot() -> None:
    inner = built(GOOD, VERSION)
    report = scan(b"\x80\x03B" + len(inner).to_bytes(4, "little") + inner + b".", "model.pkl")

    assert report.formats == ("pickle",)
    assert "MS209" not in {finding.rule.id for finding in report.findings}


def test_member_behind_the_end_mark_of_a_tar() -> None:
    members = place_of_payload(tar(Entry(name="a.txt")) + tar(Entry(name="b.pkl", data=HOSTILE)), "model.tar")

    assert members == ("b.pkl (at 1536, behind the end mark)",)


def test_tar_member_whose_pax_size_hides_its_content_from_some_readers() -> None:
    inner = tar(Entry(name="b.pkl", data=HOSTILE))
    data = tar(pax({"size": str(len(inner))}), Entry(name="a.txt", data=inner, size=0))

    assert place_of_payload(data, "model.tar")[-1] == "b.pkl"


# ---- the law


@pytest.mark.parametrize("method", [0, DEFLATED])
def test_what_is_found_in_a_file_is_found_in_an_archive_of_it(method: int) -> None:
    files = {
        "raw.pkl": HOSTILE,
        "torch.pt": torch_zip({"w": tensor("0", [4])}, {"0": floats(3)}),
        "config.json": b'{"auto_map": {"AutoModel": "m.M"}}',
    }
    for name, data in files.items():
        alone = {finding.rule.id for finding in scan(data, name).findings}
        packed = {finding.rule.id for finding in scan(archive((name, data), method=method), "all.zip").findings}
        assert alone
        assert alone <= packed
