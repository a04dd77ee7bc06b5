import time
from pathlib import Path
from typing import Any

import pytest

from rlkit.errors import SpecError
from rlkit.legacy.convert import convert
from rlkit.legacy.read import read
from tests.legacy.specs import DQN, changed, one, write

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)
MERGES = "a: &a {k1: 1, k2: 2}\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)}\n  <<: [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


def test_trailing_commas_are_read_and_said(tmp_path: Path) -> None:
    file = write(tmp_path, '{"s": {"agent": {}, "env": {"name": "a,]", "list": [1, 2, ], }, }, }')
    source = read(file)
    assert source.specs["s"]["env"] == {"name": "a,]", "list": [1, 2]}
    assert "trailing commas" in source.notes[0]
    with pytest.raises(SpecError, match="strict"):
        read(file, strict=True)


def test_duplicate_keys_the_last_counts_and_is_said(tmp_path: Path) -> None:
    for name, text in (
        ("a.json", '{"s": {"agent": 1, "env": 1, "env": 2}}'),
        ("a.yaml", "s:\n  agent: 1\n  env: 1\n  env: 2\n"),
    ):
        source = read(write(tmp_path, text, name))
        assert source.specs["s"]["env"] == 2
        assert "twice" in source.notes[0]
        with pytest.raises(SpecError, match="twice"):
            read(tmp_path / name, strict=True)


def test_yaml_with_anchors_merges_helpers_and_comments(tmp_path: Path) -> None:
    helper = "# From a paper.\n\n_base: &base {lr: 1, name: x}\n\n"
    text = "# Second try.\ns:\n  agent: {<<: *base, lr: 2}\n  env: {}\n"
    source = read(write(tmp_path, helper + text, "a.yaml"))
    assert source.specs == {"s": {"agent": {"lr": 2, "name": "x"}, "env": {}}}
    assert source.comments == {"": ["From a paper."], "s": ["Second try."]}
    assert source.notes[0].startswith("_base")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("big.json", b'{"a": "' + b"x" * 10_000_000 + b'"}', "10,000,009 bytes"),
        ("deep.json", b'{"s": ' + b"[" * 200 + b"]" * 200 + b"}", "levels deep"),
        ("deep.yaml", "".join(" " * i + f"k{i}:\n" for i in range(200)), "levels deep"),
        ("flow.yaml", "s: " + "[" * 200 + "]" * 200, "levels deep"),
        ("dashes.yaml", "- " * 400_000, "levels deep"),
        ("text.json", b'{"a\xff": 1}', "UTF-8"),
        ("bomb.yaml", BOMB, "written out"),
        ("merges.yaml", MERGES, "written out"),
        ("self.yaml", "a: &a [*a]\n", "contains itself"),
        ("tag.yaml", "s: !!python/object/apply:os.system ['touch pwned']\n", "tag"),
        ("name.yaml", "s: !!python/name:os.system\n", "tag"),
        ("nan.json", '{"s": {"agent": NaN, "env": 1}}', "NaN"),
        ("digits.json", '{"s": {"agent": ' + "9" * 5000 + ', "env": 1}}', "digits"),
        ("empty.json", "", "not JSON"),
        ("null.yaml", "", "no specs"),
        ("list.json", "[1]", "no specs"),
        ("keys.yaml", "1: {agent: 1, env: 2}\n", "not a text"),
    ],
)
def test_hostile_files_are_refused_at_once(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    file = write(tmp_path, content, name)
    started = time.monotonic()
    with pytest.raises(SpecError, match=reason):
        convert(file, out=tmp_path / "out")
    assert time.monotonic() - started < 5
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "..", ".", "", "a/b", "a\nb: c", "${oc.env:HOME}", "x" * 500]
)
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    out = tmp_path / "in" / "out"
    conversion = convert(write(tmp_path, {name: DQN}), out=out)[0]
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "specs.json"]
    assert conversion.path in written
    assert all(p.parent == out / "conf/legacy/specs" for p in written)


@pytest.mark.parametrize(
    "changes",
    [
        {"agent____class__": {"x": 1}, "env____class__": "os.system"},
        {"env___target_": "os.system", "_target_": "os.system"},
        {"env__cmd": "${oc.env:HOME}", "meta__x": "${oc.env:HOME}"},
    ],
)
def test_hostile_keys_and_values_have_no_effect(tmp_path: Path, changes: dict[str, Any]) -> None:
    spec = changed(DQN)
    for path, value in changes.items():
        *parents, last = path.split("__", 1) if path[0] != "_" else [path]
        node = spec[parents[0]] if parents else spec
        node[last] = value
    body = one(tmp_path, spec).yaml.split("defaults:")[1]
    assert "os.system" not in body
    assert "${" not in body
    assert "__class__" not in body


@pytest.mark.parametrize("path", ["agent__algorithm__gamma", "env__name", "agent__net__hid_layers_activation"])
def test_interpolations_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SpecError, match=r"oc\.env"):
        one(tmp_path, changed(DQN, **{path: "${oc.env:HOME}"}))


@pytest.mark.parametrize("part", ["agent", "env", "meta", "search", "body", "spec_params"])
@pytest.mark.parametrize("value", [None, 3, "x", [], [1], {}, {"name": [1]}, {"a": {"b": [{}]}}])
def test_any_shape_is_converted_or_refused_in_one_line(tmp_path: Path, part: str, value: Any) -> None:
    # a good spec beside it, so that refusals are in the report
    odd, good = convert(write(tmp_path, {"odd": {**DQN, part: value}, "good": DQN}), out=tmp_path)
    assert good.path
    assert bool(odd.path) is not bool(odd.report.refusal)
    assert "\n" not in odd.report.refusal
