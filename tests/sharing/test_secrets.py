"""Tokens of twelve shapes, given in every way that there is, appear nowhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rlkit import compose, train
from rlkit.cli.app import dispatch
from rlkit.errors import ConfigError, SharingError
from rlkit.redaction import hidden_keys, redact, redact_values
from rlkit.settings import read_dotenv
from rlkit.sharing.hub import push
from rlkit.sharing.publication import prepare
from tests.sharing.conftest import TINY, contents
from tests.sharing.fake_hub import FakeHub

BODY = "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX"
TOKENS = {  # written in two parts, so that no scanner of repositories takes these for real ones
    "hugging_face": "hf" + f"_{BODY}",
    "hugging_face_organisation": "api" + f"_org_{BODY}",
    "github": "gh" + f"p_{BODY}",
    "github_fine": "github" + f"_pat_{BODY}",
    "gitlab": "glpat" + f"-{BODY[:20]}",
    "openai": "sk" + f"-proj-{BODY}",
    "amazon": "AKIA" + BODY[:16].upper(),
    "google": "AIza" + f"Sy{BODY}"[:35],
    "slack": "xoxb" + f"-123456789012-{BODY}",
    "web_token": "eyJ" + f"hbGciOiJIUzI1.eyJ{BODY}.{BODY}",
    "wandb": "wandb" + f"_v1_{BODY}",
    "address": "https" + "://me:" + f"{BODY}@example.org",
}
HEX = "0123456789abcdef0123456789abcdef01234567"
"""A key without a shape of its own: only its name tells."""


def found_in(data: bytes) -> list[str]:
    parts = {**TOKENS, "hex": HEX, "address": BODY, **{f"{n} of .env": t[::-1] for n, t in TOKENS.items()}}
    return [name for name, token in parts.items() if token.encode() in data]


def test_a_real_run_keeps_them_to_itself(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """By the environment, `.env` (reversed: without a known shape), the configuration, the command and the log."""
    assert len(TOKENS) == 12
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"{name.upper()}_TOKEN", token)
    monkeypatch.setenv("WANDB_API_KEY", HEX)
    hub.tokens[TOKENS["hugging_face"]] = "write"
    monkeypatch.setenv("HF_TOKEN", TOKENS["hugging_face"])
    Path(".env").write_text("".join(f"{name.upper()}_SECRET={token[::-1]}\n" for name, token in TOKENS.items()))
    monkeypatch.setattr(sys, "argv", ["train.py", *(f"--{n}={t}" for n, t in TOKENS.items())])
    given = [f"env.kwargs.{name}='{token}'" for name, token in TOKENS.items()]
    given += [f"env.kwargs.{name}_env='{token[::-1]}'" for name, token in TOKENS.items()]

    result = train(compose(["env=gym", "env.id=tests.sharing.tattling:Tattling-v0", "upload=auto", *TINY, *given]))

    console = capfd.readouterr()
    assert "uploaded " in console.out
    assert found_in(console.out.encode() + console.err.encode()) == []
    files = contents(result.folder)
    assert "[hidden]" in console.err, "what is logged before there is a folder"
    assert files["run.log"].count(b"[hidden]") > 50
    assert b"[hidden]" in files["config.yaml"]
    assert b"--github=[hidden]" in files["run.json"]
    assert {path: hits for path, data in files.items() if (hits := found_in(data))} == {}
    tree = hub.tree("me/runs")
    assert {path: hits for path, data in tree.items() if (hits := found_in(data))} == {}
    push([prepare(result.folder / "session_0")], "me/agent")
    assert found_in(hub.tree("me/agent", "models")["README.md"]) == []


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.parametrize("form", ["env.kwargs.x={}", "+env.kwargs.x='{}'", "name={}", "--hf-token={}", "{}"])
def test_one_on_the_command_line_is_refused_and_not_repeated(token: str, form: str, tmp_path: Path):
    for words in ([form.format(token)], ["-m", form.format(token)], ["push", "somewhere", form.format(token)]):
        with pytest.raises(ConfigError, match="must not be given on a command line") as caught:
            dispatch(words)
        assert found_in(str(caught.value).encode()) == []
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["HF_TOKEN=abc"],
        ["env.kwargs.api_key=abc"],
        ["+tracker.password=abc"],
        ["push", "x", "--token", "abc"],
        ["--token=abc"],
        ["env.kwargs={api_key: abc}"],
        ["env.kwargs={'a': 1, 'password': 'abc'}"],
        ["env.kwargs.url='https://host/x?token=abc'"],
        ["env.kwargs.pwd=abc"],
        ["env.kwargs.db_pass=abc"],
        ["env.kwargs.hfToken=abc"],
        ["env.kwargs.map_token=x7k2m9q4"],
        ["env.kwargs.wandb-token=abc"],
        ["env.kwargs.client_secret=abc"],
        ["env.kwargs.aws_secret_access_key=abc"],
    ],
)
def test_what_is_called_a_token_is_one(words: list[str]):
    with pytest.raises(ConfigError) as caught:
        dispatch(words)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["PGPASSWORD", "MYSQL_PWD", "SSHPASS", "AUTH_KEY", "SECRET_KEY_BASE", "HF_TOKEN_WRITE"]
)
def test_values_of_variables_that_are_called_so_are_hidden(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, HEX)
    assert redact(f"using {HEX} here") == "using [hidden] here"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"kwargs:\n  api_key: {HEX}\n  size: 3", "kwargs:\n  api_key: [hidden]\n  size: 3"),
        (f'{{"password": "{HEX}", "n": 12345678}}', '{"password": "[hidden]", "n": 12345678}'),
        (f"https://host/?token={HEX}&x=1", "https://host/?token=[hidden]&x=1"),
        (f"https://{BODY}@host/x", "https://[hidden]@host/x"),
        ("sk" + f"_live_{BODY}", "[hidden]"),
        ("npm" + f"_{BODY}", "[hidden]"),
        ("nvapi" + f"-{BODY}", "[hidden]"),
    ],
)
def test_a_name_or_a_shape_gives_a_value_away(text: str, hidden: str):
    assert redact(text) == hidden
    assert redact(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "algo.token=null",
        "env.kwargs={mode: fast, size: 3}",
        "HF_TOKEN is missing: set it in the environment",
        "  password: ${oc.env:PASSWORD}",
        "token_limit_for_tests: 123456789",
        "pass: 1, passed: everything-went-well",
        "env.kwargs.password=${oc.env:PASSWORD}",
        "net.hidden=[64,64]",
        "env.id=token_env:TokenWorld-v0",
        "env.kwargs.map_token=grasslands",
        "env.kwargs={secret_room: kitchenette, token_kind: wooden}",
        "env.id=password_game:PasswordGame-v0",
        "env.kwargs.start_token=beginning-of-sequence",
        "env.id=ALE/Pong-v5",
        "git_sha: 1bf876028a35638d7afc77a0b5f9c60af3e87b83",
        "https://huggingface.co/datasets/me/runs",
        "task-something-that-is-long-enough-to-count",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str, monkeypatch: pytest.MonkeyPatch):
    from rlkit.redaction import refuse_secrets

    monkeypatch.setenv("SHORT_TOKEN", "Pong")
    assert redact(text) == text
    refuse_secrets([text])


LONG = "correct horse battery staple and so on for more than one line of a file, 'quoted' and \"twice\" \\ so"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("secret", [LONG, KEY, BODY], ids=["words", "key", "token"])
@pytest.mark.parametrize(
    "lay_out",
    [
        lambda doc: yaml.safe_dump(doc, width=40),
        lambda doc: yaml.safe_dump(doc, width=40, default_style='"'),
        lambda doc: yaml.safe_dump(doc, width=40, default_style="|"),
        lambda doc: yaml.safe_dump(doc, width=40, default_flow_style=True),
        lambda doc: json.dumps(doc, indent=1),
        str,
    ],
    ids=["yaml", "double quotes", "literal", "flow", "json", "python"],
)
def test_a_secret_is_hidden_however_it_is_laid_out(
    secret: str, lay_out: Callable[[object], str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MY_PASSPHRASE", secret)
    document = {"a": {"b": [f"before {secret} after", secret]}, "size": 3}
    for text in (redact(lay_out(document)), lay_out(redact_values(document))):
        assert text.count("[hidden]") == 2
        for piece in ("horse", "MIIEvQ", "AQEFAA", "twice", BODY[:12]):
            assert piece not in text
        assert "before" in text
        assert "size" in text


def test_values_are_hidden_by_key_and_named(monkeypatch: pytest.MonkeyPatch):
    document = {"env": {"kwargs": {"api_key": HEX, "map_token": "grasslands", "password": 12345678, "n": [1, None]}}}
    assert redact_values(document)["env"]["kwargs"] == {**document["env"]["kwargs"], "api_key": "[hidden]"}
    assert hidden_keys(document) == {"env.kwargs.api_key": HEX}


def test_a_run_with_a_hidden_value_says_so_and_its_workers_have_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    given = ["env=gym", "env.id=tests.sharing.tattling:Demanding-v0", f"env.kwargs.api_key={HEX}"]
    for seeds in (1, 2):
        result = train(compose([*TINY, *given, f"seeds={seeds}"]))
        assert result.status == "complete"
        assert "[hidden] in place of env.kwargs.api_key: this run cannot be resumed" in capfd.readouterr().err
        assert HEX.encode() not in b"".join(contents(result.folder).values())


def test_what_hydra_shows_has_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("MY_PASSPHRASE", LONG)
    Path("conf/env").mkdir(parents=True)
    Path("conf/env/mine.yaml").write_text(
        yaml.safe_dump({"defaults": ["cartpole", "_self_"], "kwargs": {"words": LONG, "key": KEY}})
    )
    assert dispatch(["--cfg", "job", "env=mine"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("[hidden]") == 2
    assert "horse" not in shown
    assert "MIIEvQ" not in shown
    with pytest.raises(ConfigError, match=r"unknown key algo\.newkey"):
        dispatch(["+algo.newkey=1", "--cfg", "job"])


def test_an_old_run_with_a_secret_in_it_is_not_uploaded(hub: FakeHub, run: Path):
    (run / "run.log").write_text(f"one\nlogged in with {TOKENS['github']}\n")
    with pytest.raises(SharingError, match=r"line 2 of run.log looks like a token") as caught:
        push([prepare(run)], "me/runs")
    assert found_in(str(caught.value).encode()) == []
    assert not hub.repos


def test_a_byte_order_mark_costs_no_line():
    Path(".env").write_bytes(b"\xef\xbb\xbfHF_TOKEN=abc\n")
    assert read_dotenv() == {"HF_TOKEN": "abc"}


def test_dotenv_lines():
    Path(".env").write_text(
        "# comment\n\nA=1\nexport B = two \nC='#3 # no'\nD=\"4\" # yes\nE=5 # yes\nF=\nno line\nG=a=b\nH=x#y\n"
    )
    assert read_dotenv() == {
        "A": "1", "B": "two", "C": "#3 # no", "D": "4", "E": "5", "F": "", "G": "a=b", "H": "x#y"
    }  # fmt: skip
    Path(".env").write_bytes(b"\xff\xfe")
    assert read_dotenv() == {}
