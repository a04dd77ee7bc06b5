"""Rows that are appended, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loguru import logger

from rlkit.errors import RunFolderError
from rlkit.reading import MAX_YAML_NODES, misfit, read_json, read_result, read_yaml
from rlkit.runs.lines import JsonLines, read_evals, read_rows

GOOD = [json.dumps({"frames": frames}) for frames in (10, 20, 30)]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "bad", ["{", "null", "[1]", '{"frames": "10"}', '{"frames": true}', '{"frames": 5}', "\0\0\0", "[" * 10_000]
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_damaged_line_costs_no_other_and_is_told(bad: str, place: int, tmp_path: Path):
    if bad == '{"frames": 5}' and place == 0:
        return  # the first row may be of any frames
    lines = [*GOOD[:place], bad, *GOOD[place:]]
    path = written(tmp_path / "metrics.jsonl", *lines)
    assert [row["frames"] for row in read_rows(path)] == [10, 20, 30]
    before, said = path.read_bytes(), []
    sink = logger.add(lambda message: said.append(str(message)), format="{message}")
    JsonLines(path, keep_until=20).close()
    logger.remove(sink)
    assert [row["frames"] for row in read_rows(path)] == [10, 20]
    assert "1 damaged line left out, 2 rows kept" in said[0]
    assert path.with_name("metrics.jsonl.damaged").read_bytes() == before


def test_a_torn_last_line_is_cut_without_a_word(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(GOOD) + '\n{"frames": 40')
    said: list[str] = []
    sink = logger.add(said.append)
    JsonLines(path, keep_until=30).close()
    logger.remove(sink)
    assert said == []
    assert path.read_text() == "\n".join(GOOD) + "\n"


def test_evaluations_without_a_mean_are_left_out(tmp_path: Path):
    whole = {"frames": 5, "updates": 1, "mean": 2.0, "returns": [2.0]}
    rows = [whole, {**whole, "frames": 6, "mean": None}, {**whole, "frames": 7, "updates": "x"}, {"frames": 8}]
    assert read_evals(written(tmp_path / "eval.jsonl", *map(json.dumps, rows))) == [whole]


def test_a_form_is_compared_down_to_its_parts():
    form = {"a": int, "b": {"c": (int, float, type(None))}}
    assert misfit({"a": 1, "b": {"c": None}, "more": 1}, form) is None
    assert misfit({"a": True, "b": {"c": 1}}, form) == "a is a bool"
    assert misfit({"a": 1, "b": {"c": "x"}}, form) == "b.c is a str"
    assert misfit({"a": 1, "b": []}, form) == "b is a list"
    assert misfit({"a": 1, "b": {}}, form) == "b.c is missing"


def test_a_result_of_another_form_is_refused_by_name(tmp_path: Path):
    (tmp_path / "result.json").write_text('{"status": "complete", "frames": "many"}')
    with pytest.raises(RunFolderError, match=r"result.json is no result of rlkit: algo is missing"):
        read_result(tmp_path / "result.json")
    (tmp_path / "result.json").write_text("[" * 100_000)
    with pytest.raises(RunFolderError, match="is not JSON"):
        read_json(tmp_path / "result.json")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [1", "config.yaml:1 is not valid YAML"),
        ("a: &a [*a]", "nested too deeply"),
        ("a: 2026-13-45", "is not valid YAML"),
        ("? [1]\n: 2", "is not valid YAML"),
        ("!!python/name:os.system", "is not valid YAML"),
        (f"[{'1,' * MAX_YAML_NODES}]", "more than 20,000 values"),
    ],
)
def test_yaml_is_refused_by_its_file_and_line(text: str, why: str, tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(RunFolderError, match=why) as told:
        read_yaml(path)
    assert str(path) in str(told.value)
