import os
import threading
from pathlib import Path

import pytest

from attestations.errors import SigningError
from attestations.key_files import read_key_file, read_label
from attestations.named_files import read_named


def test_pipe_that_nobody_writes_to_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="nobody writes"):
        read_named(tmp_path / "pipe", 100)
    with pytest.raises(SigningError, match="nobody writes"):
        read_key_file(tmp_path / "pipe")


def test_pipe_that_somebody_writes_to_is_read_to_its_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for _ in range(3):
            os.write(writing, b"part")
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    assert read_named(Path(f"/dev/fd/{reading}"), 100) == b"partpartpart"
    thread.join()
    os.close(reading)


def test_pipe_is_no_place_for_a_key_that_is_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SigningError, match="only once"):
        read_label(tmp_path / "pipe")


def test_no_more_than_the_limit_is_read() -> None:
    assert read_named(Path("/dev/zero"), 100) == bytes(100)


def test_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_named(tmp_path, 100)
