"""Misspelt variables are refused as misspelt keys are; those of Kubernetes and of the settings are not."""

from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.settings.model import Settings, load

ORIGIN = "origins: [{url: http://pacs}]\n"
SERVICES = {
    "SERVICE_HOST": "10.0.0.1",
    "SERVICE_PORT": "80",
    "SERVICE_PORT_HTTP": "80",
    "PORT": "tcp://10.0.0.1:80",
    "PORT_80_TCP": "tcp://10.0.0.1:80",
    "PORT_80_TCP_ADDR": "10.0.0.1",
    "VIEWERS_SERVICE_HOST": "10.0.0.1",
    "VIEWERS_PORT": "tcp://10.0.0.1:80",
    "VIEWERS_PORT_8080_TCP_PROTO": "tcp",
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PROGRESSIVE_PROXY_{name.upper()}", raising=False)


def loaded(tmp_path: Path, text: str = ORIGIN) -> Settings:
    (tmp_path / "f.yaml").write_text(text)
    return load(tmp_path / "f.yaml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CAHCE__BYTES", "; did you mean PROGRESSIVE_PROXY_CACHE__BYTES?"),
        ("CACHE_BYTES", "; did you mean PROGRESSIVE_PROXY_CACHE__BYTES?"),
        ("LISTEN_PORT", "; did you mean PROGRESSIVE_PROXY_LISTEN?"),
        ("ORIGIN", "; did you mean PROGRESSIVE_PROXY_ORIGINS?"),
        ("", ""),
    ],
)
def test_a_misspelt_variable_is_refused(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PROGRESSIVE_PROXY_{name}", "8080")
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path)
    message = str(refused.value)
    assert message.startswith(f"environment variable PROGRESSIVE_PROXY_{name}: no such setting")
    assert said in message
    assert "8080" not in message  # a value may be a secret


def test_each_misspelt_variable_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("progressive_proxy_lgo__level", "PROGRESSIVE_PROXY_CHOSE"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path)
    assert len(str(refused.value).splitlines()) == 2


def test_a_misspelt_key_below_a_section_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESSIVE_PROXY_CACHE__BYTEZ", "2GiB")
    with pytest.raises(ConfigurationError, match=r"cache.bytez: unknown key; did you mean bytes\? The keys"):
        loaded(tmp_path)


def test_variables_of_kubernetes_services_are_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SERVICES.items():
        monkeypatch.setenv(f"PROGRESSIVE_PROXY_{name}", value)
    assert loaded(tmp_path).origins


def test_a_variable_that_holds_a_password_is_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGRESSIVE_PROXY_PASSWORD", "x")
    own = "credentials: {user: a, password_env: PROGRESSIVE_PROXY_PASSWORD}"
    assert loaded(tmp_path, f"origins: [{{url: http://pacs, {own}}}]").origins


def test_a_setting_in_small_letters_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("progressive_proxy_cache__ttl", "12h")
    assert loaded(tmp_path).cache.ttl == 12 * 3600
