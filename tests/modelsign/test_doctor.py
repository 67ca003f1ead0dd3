import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attestations.trust_file import TrustFile
from modelsign import doctor, isolation, trusting
from modelsign.isolation import Layer, landlock
from modelsign.version import __version__


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_versions_name_the_tool_and_its_packages() -> None:
    found = doctor.examine()
    assert found.versions["modelsign"] == __version__
    assert all(found.packages.values())


@pytest.mark.skipif(not all(layer.available for layer in isolation.layers()), reason="this machine lacks a layer")
def test_the_sandbox_is_tried_and_holds() -> None:
    found = doctor.examine()
    assert set(found.trials) == {"open a file", "open a connection", "start a process", "signal another process"}
    assert set(found.trials.values()) == {doctor.REFUSED}
    assert found.required_sandbox


def test_a_sandbox_that_does_not_hold_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    # The layers claim to be there, and do nothing.
    monkeypatch.setattr("modelsign.isolation.confinement._put_on_landlock", lambda: None)
    monkeypatch.setattr("modelsign.isolation.confinement._put_on_seccomp", lambda: None)
    monkeypatch.setattr("modelsign.isolation.confinement._limit_resources", lambda *_: None)
    found = doctor.examine()
    assert found.trials["open a file"] == doctor.POSSIBLE
    assert found.trials["start a process"] == doctor.POSSIBLE
    assert not found.required_sandbox


def test_a_missing_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    found = doctor.examine()
    assert (
        Layer(name="landlock", available=False, detail="the kernel is older than 5.13, or boots without it")
        in found.layers
    )
    assert not found.required_sandbox


def test_without_workers_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert doctor.examine().trials == {}


def test_trust_comes_from_the_package_before_the_first_refresh(home: Path) -> None:
    public, staging = doctor.examine().trust
    assert (public.instance, staging.instance) == ("public-good", "staging")
    assert public.place.startswith("the package sigstore")
    assert public.refreshed is None
    assert public.authorities > 0
    assert not list(home.iterdir()), "looking changes nothing"


def test_roots_that_were_imported_come_first(home: Path) -> None:
    from sigstore._internal.tuf import DEFAULT_TUF_URL
    from sigstore._utils import read_embedded

    root = json.loads(read_embedded("trusted_root.json", DEFAULT_TUF_URL))
    for instance in ("public-good", "https://tuf.acme.example"):
        file = TrustFile(instance=instance, fetched=datetime(2026, 11, 1, tzinfo=UTC), trusted_root=root)
        (home / "roots.json").write_bytes(file.to_json())
        trusting.import_file(home / "roots.json")
    public, staging, private = doctor.examine().trust
    assert (public.place, public.refreshed) == (str(trusting.stored("public-good")), "2026-11-01T00:00:00+00:00")
    assert staging.refreshed is None
    assert (private.instance, private.logs) == ("https://tuf.acme.example", len(root["tlogs"]))


def test_trust_that_was_refreshed_says_when_and_for_how_long(home: Path) -> None:
    from sigstore._internal.tuf import DEFAULT_TUF_URL, _get_dirs
    from sigstore._utils import read_embedded

    repository, targets = _get_dirs(DEFAULT_TUF_URL)
    assert repository.is_relative_to(home)
    for directory in (repository, targets):
        directory.mkdir(parents=True)
    (targets / "trusted_root.json").write_bytes(read_embedded("trusted_root.json", DEFAULT_TUF_URL))
    (repository / "timestamp.json").write_text(json.dumps({"signed": {"expires": "2027-01-01T00:00:00Z"}}))
    public = doctor.examine().trust[0]
    assert public.place == str(targets / "trusted_root.json")
    assert public.refreshed is not None
    assert public.valid_until == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize("content", ["", "[]", "{}", "\xff"])
def test_broken_trust_is_told(home: Path, content: str) -> None:
    from sigstore._internal.tuf import DEFAULT_TUF_URL, _get_dirs

    _, targets = _get_dirs(DEFAULT_TUF_URL)
    targets.mkdir(parents=True)
    (targets / "trusted_root.json").write_text(content)
    found = doctor.examine()
    assert found.trust == ()
    assert found.trust_problem is not None


def test_settings_that_apply_are_named(home: Path) -> None:
    (home / "modelsign.toml").write_text("")
    assert doctor.examine().settings == (str(home / "modelsign.toml"),)
