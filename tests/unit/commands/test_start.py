"""A command starts with what it needs and no more; its help says what it is for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli import COMMANDS, main

HEAVY = ("numpy", "httpx", "pyreqwest", "fastapi", "uvicorn", "pydicom", "imagecodecs", "jwt", "cryptography")


def imported(*arguments: str, names: tuple[str, ...] = HEAVY) -> str:
    """What a command imported of these modules."""
    program = (
        "import atexit, sys\nfrom proxy.cli import main\n"
        "names = sys.argv[1].split(',')\n"
        "atexit.register(lambda: print(*[n for n in names if n in sys.modules], file=sys.stderr))\n"
        "sys.exit(main(sys.argv[2:]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, ",".join(names), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert found.returncode == 0, found.stderr
    return found.stderr.strip()


def test_a_version_and_a_help_need_no_library() -> None:
    assert imported("--version", names=(*HEAVY, "pydantic", "yaml")) == ""
    assert imported("--help", names=(*HEAVY, "pydantic", "yaml")) == ""
    assert imported("check", "--help", names=(*HEAVY, "pydantic", "yaml")) == ""


def test_a_check_and_a_plan_need_no_server(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("origins: [{url: http://pacs}]\n")
    assert imported("check", str(tmp_path / "f.yaml")) == ""
    assert imported("check", "--schema") == ""
    assert imported("plan", "interleaved", "--images", "5") == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_description_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    printed = capsys.readouterr().out
    words, example = COMMANDS[name]
    assert " ".join(f"{words[0].upper()}{words[1:]}.".split()) in " ".join(printed.split())
    assert f"example:\n  {example}\n" in printed
    options = set(re.findall(r"(?<= )--[a-z-]+", example))
    assert {option for option in options if option not in printed.partition("example:")[0]} == set()


def test_help_says_what_the_program_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert "caching proxy for medical images" in printed
    assert all(f"\n    {name} " in printed for name in COMMANDS)
    assert max(map(len, printed.splitlines())) <= 110


def test_the_package_is_the_command() -> None:
    for arguments in (["--version"], ["check", "--profile", "single"]):
        both = [
            subprocess.run([*command, *arguments], capture_output=True, check=True, timeout=240).stdout
            for command in (
                [sys.executable, "-m", "proxy"],
                [Path(sys.executable).parent / "progressive-proxy"],
            )
        ]
        assert both[0] == both[1] != b""


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "coarseInterleaved" in script
    assert "no-files" in script


def test_bash_completes_commands_options_and_profiles(tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "proxy", "--print-completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout
    (tmp_path / "completion").write_text(script)

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        asked = (
            f"source {tmp_path}/completion; COMP_WORDS=(progressive-proxy {line}); COMP_CWORD={len(words)}; "
            "$(complete -p progressive-proxy | sed 's/.*-F \\([^ ]*\\).*/\\1/') progressive-proxy; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        found = subprocess.run(
            ["bash", "-c", asked], capture_output=True, text=True, check=False, timeout=240
        )
        return set(found.stdout.split())

    assert completed("ch") == {"check"}
    assert completed("plan", "coar") == {"coarseInterleaved"}
    assert "--no-files" in completed("check", "--no")
