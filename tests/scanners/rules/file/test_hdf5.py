from scanners.findings import Verdict
from tests.builders import hdf5
from tests.scanners.rules.examples import Example, scan_files


def storage(name: str) -> bytes:
    file = hdf5.File()
    inner = hdf5.dataset(file, (4,), hdf5.contiguous(96, 0), hdf5.external_storage(file, name))
    return file.finish(file.add(hdf5.header([hdf5.hard_link("d", inner)])))


def virtual(name: str) -> bytes:
    file = hdf5.File()
    inner = hdf5.dataset(file, (4,), hdf5.virtual_layout(file, name))
    return file.finish(file.add(hdf5.header([hdf5.hard_link("d", inner)])))


def bomb() -> bytes:
    file = hdf5.File()
    inner = hdf5.dataset(file, (1 << 30, 1 << 20), hdf5.contiguous(96, 0))
    return file.finish(file.add(hdf5.header([hdf5.hard_link("d", inner)])))


def _twins(bad: bytes) -> Example:
    return Example(bad=lambda: {"w.h5": bad}, good=lambda: {"w.h5": hdf5.weights()})


EXAMPLES = {
    "MS510": _twins(hdf5.weights(None, hdf5.external_link("x", "other.h5"))),
    "MS511": _twins(storage("/etc/passwd")),
    "MS512": _twins(virtual("/other.h5")),
    "MS513": _twins(bomb()),
}


def test_cve_2026_1669_hdf5_external_storage_and_links() -> None:
    assert scan_files({"w.h5": storage("/etc/shadow")}).verdict is Verdict.MALICIOUS
    assert scan_files({"w.h5": hdf5.weights(None, hdf5.external_link("x", "/s.h5"))}).verdict is Verdict.MALICIOUS


def test_a_dataset_put_together_from_its_own_file_is_a_note() -> None:
    assert scan_files({"w.h5": virtual(".")}).verdict is Verdict.CLEAN
