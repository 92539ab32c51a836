"""A URL on a command line is checked before anything is done with it."""

import pytest

from proxy.cli import main

COMMANDS = {
    "check": ("check", "--origin"),
    "measure": ("measure",),
    "a proxy": ("measure", "http://a", "--through"),
    "plan": ("plan", "single", "--run", "--study", "1", "--series", "2", "--origin"),
    "warm": ("warm", "--admin"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("url", ["pacs:8042", "http://pacs:99999", "http://[:::]/x", "http://me:secret@", ""])
def test_a_command_refuses_what_is_no_url_with_a_sentence_without_a_secret(
    command: tuple[str, ...], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, url])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "must be the URL of a server, such as http://127.0.0.1:8042/dicom-web" in said
    assert "secret" not in said
