from scanners.findings import FileReport, Verdict
from tests.builders.flatbuffers import Table, build
from tests.builders.protobufs import onnx_model, onnx_tensor
from tests.scanners.rules.examples import Files, scan_files

RAW = bytes(range(200, 256)) * 9


def report_of(files: Files, path: str) -> FileReport:
    return next(file for file in scan_files(files).files if file.path == path)


def onnx(location: str) -> bytes:
    return onnx_model(tensors=[onnx_tensor("w", {"location": location})])


def test_raw_weights_alone_are_incomplete() -> None:
    assert report_of({"m.onnx.data": RAW}, "m.onnx.data").verdict is Verdict.INCOMPLETE


def test_the_model_that_uses_them_explains_them() -> None:
    report = report_of({"m.onnx": onnx("m.onnx.data"), "m.onnx.data": RAW}, "m.onnx.data")
    assert (report.verdict, report.formats, report.coverage.inert) == (Verdict.CLEAN, ("raw-weights",), len(RAW))


def test_tensorflow_lite_uses_its_external_buffers() -> None:
    model = build(Table({0: ("I", 3), 4: [Table({0: b""})], 8: [Table({0: "w.bin"})]}))
    report = report_of({"m.tflite": model, "w.bin": RAW}, "w.bin")
    assert (report.verdict, report.formats) == (Verdict.CLEAN, ("raw-weights",))


def test_openvino_uses_the_bin_beside_it() -> None:
    files = {"a/m.xml": b'<net name="m" version="11"></net>', "a/m.bin": RAW, "b/m.bin": RAW}
    assert report_of(files, "a/m.bin").verdict is Verdict.CLEAN
    assert report_of(files, "b/m.bin").verdict is Verdict.INCOMPLETE


def test_a_pickle_stays_what_it_is_whoever_names_it() -> None:
    files = {"m.onnx": onnx("w.bin"), "w.bin": b"cos\nsystem\n(S'id'\ntR."}
    assert report_of(files, "w.bin").verdict is Verdict.MALICIOUS


def test_an_archive_nobody_reads_is_not_explained_away() -> None:
    files = {"m.onnx": onnx("w.bin"), "w.bin": b"Rar!\x1a\x07\x01\x00" + RAW}
    assert report_of(files, "w.bin").verdict is Verdict.INCOMPLETE
