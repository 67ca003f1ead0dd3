import struct
import subprocess
from pathlib import Path

import pytest

from scanners.errors import FormatError
from scanners.facts import Reference, Tensor
from scanners.formats import hdf5
from tests.builders import hdf5 as build
from tests.builders.readings import anomalies, blob_of, read_with, stated_by, survive_mutations, uncovered
from tests.peers import peer_python, run_peer

CONFIG = b'{"class_name": "Sequential"}'


def texts(data: bytes) -> dict[str, bytes]:
    children = read_with(hdf5, data, name="m.h5").children
    return {child.members[-1]: child.reader.read_at(0, 1 << 20) for child in children}


def references(data: bytes) -> list[tuple[str, str]]:
    facts = read_with(hdf5, data, name="m.h5").facts
    return [(fact.kind, fact.target) for fact in facts if isinstance(fact, Reference)]


@pytest.mark.parametrize("old", [False, True])
def test_datasets_and_text_attributes_are_found(old: bool) -> None:
    data = build.weights({"model_config": CONFIG, "backend": b"tensorflow"}, old=old)
    reading = read_with(hdf5, data, name="m.h5")
    assert [(fact.name, fact.shape) for fact in reading.facts if isinstance(fact, Tensor)] == [("/w", (4, 4))]
    assert texts(data) == {"@model_config": CONFIG}
    assert anomalies(reading) == []
    assert uncovered(reading) == 0


def test_variable_length_attributes_lie_in_the_global_heap() -> None:
    file = build.File()
    attribute = build.variable_attribute(file, "model_config", CONFIG)
    assert texts(file.finish(file.add(build.header([attribute])))) == {"@model_config": CONFIG}


def test_a_superblock_may_follow_a_user_block() -> None:
    assert hdf5.matches(blob_of(bytes(1024) + hdf5.MAGIC + bytes(8), "x"))
    assert not hdf5.matches(blob_of(bytes(1000) + hdf5.MAGIC, "x.h5"))


def test_external_links_are_references() -> None:
    assert references(build.weights(None, build.external_link("x", "/etc/passwd.h5"))) == [
        ("hdf5-external-link", "/etc/passwd.h5")
    ]


def test_external_storage_is_a_reference() -> None:
    file = build.File()
    inner = build.dataset(file, (4,), build.contiguous(96, 0), build.external_storage(file, "/etc/passwd"))
    root = file.add(build.header([build.hard_link("d", inner)]))
    assert references(file.finish(root)) == [("hdf5-external-storage", "/etc/passwd")]


def test_virtual_datasets_are_references() -> None:
    file = build.File()
    inner = build.dataset(file, (4,), build.virtual_layout(file, "/other.h5"))
    assert references(file.finish(file.add(build.header([build.hard_link("d", inner)])))) == [
        ("hdf5-virtual-dataset", "/other.h5")
    ]


def test_a_shape_larger_than_any_file_is_an_anomaly() -> None:
    file = build.File()
    inner = build.dataset(file, (1 << 30, 1 << 20), build.contiguous(96, 0))
    assert anomalies(read_with(hdf5, file.finish(file.add(build.header([build.hard_link("d", inner)]))))) == [
        "hdf5-shape-bomb"
    ]


@pytest.mark.parametrize(
    "pickle",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"cvery.long.module.name.that\nsystem\n(S'id'\ntR.",
        b"]q\0(X\x02\0\0\0idcos\nsystem\nq\x01e.",
        b"N0cos\nsystem\n(S'id'\ntR.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"cos\nsystem\n(S'id'\ntRb.",
        b"\x80\x04]\x94.",
        b"cos\nsystem\n(S'id'\ntR.\0\0\0",
    ],
)
def test_a_pickle_in_an_attribute_is_handed_on(pickle: bytes) -> None:
    assert texts(build.weights({"TITLE": pickle})) == {"@TITLE": pickle}


@pytest.mark.parametrize(
    "text", [b"A model.", b"(c) by us, 2026.", b"I am.\n", b"c.", b".", b"combined model\nof two.", b"lists."]
)
def test_a_sentence_in_an_attribute_is_no_pickle(text: bytes) -> None:
    assert texts(build.weights({"TITLE": text})) == {}


def test_rows_that_pytables_unpickles_are_not_read() -> None:
    reading = read_with(hdf5, build.weights({"PSEUDOATOM": b"object\0"}), name="m.h5")
    assert [reason for reason in reading.reasons if "pickle in each row" in str(reason)]
    assert not read_with(hdf5, build.weights({"PSEUDOATOM": b"vlunicode"}), name="m.h5").reasons


def test_groups_that_contain_themselves_end() -> None:
    file = build.File()
    place = (len(file.data) + 7) // 8 * 8
    file.add(build.header([build.hard_link("again", place)]))
    assert anomalies(read_with(hdf5, file.finish(place))) == []


def test_an_unknown_superblock_is_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(hdf5, hdf5.MAGIC + b"\x09" + bytes(100))


def test_one_broken_object_does_not_hide_the_others() -> None:
    data = build.weights({"model_config": CONFIG}, build.hard_link("broken", 1 << 40))
    assert [child.name for child in stated_by(hdf5, data).children] == ["model_config.json"]
    with pytest.raises(FormatError):
        read_with(hdf5, data)


MAKE = """
import h5py, numpy as np, sys
for library in ("earliest", "latest"):
    with h5py.File(f"{sys.argv[1]}/{library}.h5", "w", libver=library, track_order=library == "latest") as file:
        for number in range(400):
            file.create_group(f"g{number}").create_dataset("w", data=np.zeros(3))
        for number in range(120):
            file.attrs[f"a{number}"] = '{"x": %d}' % number
        file.attrs["model_config"] = '{"pad": "' + "x" * 100000 + '"}'
        file["link"] = h5py.ExternalLink("/etc/x.h5", "/x")
"""


@pytest.mark.interop
def test_what_h5py_writes_is_read_completely_dense_or_not(tmp_path: Path) -> None:
    subprocess.run([str(peer_python("ordinary-graphs")), "-c", MAKE, str(tmp_path)], check=True)
    for library in ("earliest", "latest"):
        data = (tmp_path / f"{library}.h5").read_bytes()
        reading = read_with(hdf5, data, name="m.h5")
        assert len([fact for fact in reading.facts if isinstance(fact, Tensor)]) == 400
        assert len(reading.children) == 121
        assert max(child.reader.size for child in reading.children) > 100000
        assert references(data) == [("hdf5-external-link", "/etc/x.h5")]
        assert not reading.reasons


@pytest.fixture(name="written", scope="module")
def written_by_h5py(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scanned")
    script = Path(__file__).parents[2] / "modelsign" / "conversion" / "hdf5_peer.py"
    run_peer("ordinary-exports", "-P", script, "scanned", folder)
    return folder


@pytest.mark.interop
@pytest.mark.parametrize(
    ("name", "configurations", "all_texts"),
    [
        ("dense", 4, 4 * 62),  # objects with attributes in heaps, in trees by name and by age, and large ones
        ("shared", 2, 62 + 4),  # attributes, their types and shapes in heaps that all objects share
        ("committed", 2, 2),  # attributes of a type that is an object of its own
        ("base", 1, 2),  # a base address that the library does not believe
        ("count", 1, 2),  # fewer messages counted than there are
    ],
)
def test_text_is_read_wherever_h5py_reads_it(written: Path, name: str, configurations: int, all_texts: int) -> None:
    reading = read_with(hdf5, (written / f"{name}.h5").read_bytes(), name="m.h5")
    names = [child.name for child in reading.children]
    assert names.count("model_config.json") == configurations
    assert len(names) == all_texts
    assert all(child.reader.read_at(0, 1 << 20).endswith(b"}") for child in reading.children)
    assert not reading.reasons


def collection(*objects: tuple[int, bytes, int]) -> bytes:
    items = b"".join(struct.pack("<HH4xQ", number, 1, size) + data for number, data, size in objects)
    return b"GCOL\x01\0\0\0" + struct.pack("<Q", 16 + len(items)) + items


def with_heap(heap: bytes) -> bytes:
    """An attribute whose text is object 1 of a global heap."""
    file = build.File()
    kind, attribute = build.variable_attribute(file, "model_config", b"never")
    value = struct.pack("<IQI", len(CONFIG), file.add(heap), 1)
    return file.finish(file.add(build.header([(kind, attribute[: -len(value)] + value)])))


def test_an_object_behind_a_free_one_of_a_global_heap_is_found() -> None:
    padded = CONFIG + bytes(-len(CONFIG) % 8)
    heap = collection((0, bytes(8), 24), (1, padded, len(CONFIG)))
    assert texts(with_heap(heap)) == {"@model_config": CONFIG}


def test_two_objects_of_one_number_in_a_global_heap_are_malformed() -> None:
    heap = collection((1, b"harmless", 8), (1, b"evil    ", 8))
    with pytest.raises(FormatError, match="two objects 1"):
        read_with(hdf5, with_heap(heap))


def test_a_superblock_behind_a_very_large_user_block_is_found() -> None:
    class Sparse:
        size = (1 << 28) + 8

        def read_at(self, offset: int, length: int) -> bytes:
            return hdf5.MAGIC if offset == 1 << 28 else bytes(length)

    assert hdf5.superblock(Sparse()) == 1 << 28


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    file = build.File()
    inner = build.dataset(file, (4,), build.contiguous(96, 0), build.external_storage(file, "/etc/passwd"))
    other = build.dataset(file, (4,), build.virtual_layout(file, "/other.h5"))
    root = [build.hard_link("d", inner), build.hard_link("v", other), build.variable_attribute(file, "c", CONFIG)]
    seeds = [file.finish(file.add(build.header(root))), build.weights({"model_config": CONFIG}, old=True)]
    survive_mutations(hdf5, seeds, name="m.h5", rounds=1500)


_SIZES = """
import sys
import h5py

for address in (2, 4, 8):
    for length in (2, 4, 8):
        made = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        made.set_sizes(address, length)
        name = f"{sys.argv[1]}/{address}{length}.h5".encode()
        with h5py.File(h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, made)) as file:
            file.attrs["model_config"] = '{"class_name": "Sequential"}'
            file.attrs["other"] = "x"
            file.create_dataset("a/b", data=[1.0])
"""


@pytest.mark.interop
def test_addresses_and_lengths_may_take_any_number_of_bytes(tmp_path: Path) -> None:
    run_peer("ordinary-exports", "-c", _SIZES, tmp_path)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 9
    for file in made:
        reading = read_with(hdf5, file.read_bytes(), name=file.name)
        assert CONFIG in texts(file.read_bytes()).values(), file.name
        assert reading.reasons == [], file.name
