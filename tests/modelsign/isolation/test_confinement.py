import pytest

from modelsign.errors import UsageError
from modelsign.isolation import confinement, landlock
from modelsign.isolation.confinement import Sandbox, active_layers, layers


def test_every_layer_says_what_or_why() -> None:
    found = layers()
    assert [layer.name for layer in found] == ["process", "rlimits", "landlock", "seccomp"]
    assert all(layer.detail for layer in found)


def test_off_has_no_layer() -> None:
    assert active_layers(Sandbox.OFF) == ()


def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    assert "landlock" not in active_layers(Sandbox.AUTO)
    assert active_layers(Sandbox.AUTO)[:2] == ("process", "rlimits")


def test_require_names_what_is_missing_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(UsageError, match=r"lacks landlock \(.*doctor.*--sandbox auto"):
        active_layers(Sandbox.REQUIRE)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_platforms_degrade_with_a_reason(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr("sys.platform", platform)
    found = {layer.name: layer for layer in layers()}
    assert not found["landlock"].available
    assert platform in found["landlock"].detail
    assert platform in found["seccomp"].detail


def test_without_processes_there_is_no_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert active_layers(Sandbox.AUTO) == ()


def test_address_space_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confinement._address_space() > 1 << 20
