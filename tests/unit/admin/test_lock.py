"""The operator's token is read from a file."""

from pathlib import Path

import pytest

from proxy.admin.lock import lock_of
from proxy.errors import ConfigurationError


@pytest.mark.parametrize(
    "content", ["", "\n", "too-short", "with spaces in the middle", "not-ascii-\xe9-\xe9"]
)
def test_what_is_no_token_is_refused_at_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="at least 16 characters"):
        lock_of(path, is_open=False)


def test_a_file_that_is_missing_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        lock_of(tmp_path / "token", is_open=False)


def test_that_there_is_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert lock_of(None, is_open=False).is_off
    assert "off: no admin.token_file" in caplog.text
