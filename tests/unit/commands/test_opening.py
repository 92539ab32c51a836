"""The demo opens no browser when nobody sits at a screen."""

import pytest

from proxy.commands.compare import open_browser


def test_without_a_terminal_no_browser_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    open_browser("http://127.0.0.1:9/")  # output is captured, so it is no terminal
    assert capsys.readouterr() == ("", "")
