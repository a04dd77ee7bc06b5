"""Over a folder of real spec files, named by RLKIT_LEGACY_CORPUS; they are no part of rlkit."""

import os
from pathlib import Path
from typing import Any

import pytest

from rlkit import compose, train
from rlkit.legacy.convert import Conversion
from tests.legacy.corpus import VARIABLE, Outcome, convert_all, lost_keys, table

ROOT = os.environ.get(VARIABLE, "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(ROOT).is_dir() or not ROOT, reason=f"{VARIABLE} names no folder of spec files"),
]
SHORT = [
    *("frames=2000", "seeds=1", "eval.episodes=1", "eval.periodic_episodes=1", "eval.every_frames=2000"),
    "env.atari.max_emulator_frames=2000",  # an untrained policy may never begin a game, and is scored for half an hour
]
GIVEN = {"env.id": "CartPole-v1", "frames": "2000"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    found = convert_all(Path(ROOT), tmp_path_factory.mktemp("conf"))
    print(table(found))
    return found


def overrides(conversion: Conversion) -> list[str]:
    given = dict(GIVEN)
    if "- override /env: atari" in conversion.yaml:
        given["env.id"] = "ALE/Pong-v5"
    return [f"+legacy={conversion.choice}", *(f"{key}={given[key]}" for key in conversion.missing)]


def configuration(conversion: Conversion, *more: str) -> Any:
    assert conversion.path is not None
    return compose([*overrides(conversion), *more], config_dir=conversion.path.parents[2])


def test_every_spec_is_converted_or_refused_in_one_line(outcomes: list[Outcome]) -> None:
    done = sum(1 for o in outcomes for c in o.conversions if c.path)
    refused = [reason for o in outcomes for reason in o.refusals]
    assert all(reason.startswith(f"{o.path.name}: ") for o in outcomes for reason in o.refusals)
    assert done / (done + len(refused)) >= 0.92


def test_no_key_disappears(outcomes: list[Outcome]) -> None:
    assert [key for outcome in outcomes for key in lost_keys(outcome)] == []


def test_every_configuration_composes(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        for conversion in outcome.conversions:
            if conversion.path:
                configuration(conversion)


def sample(outcomes: list[Outcome], size: int = 40) -> list[Conversion]:
    """Conversions of every algorithm and every version, the same ones each time."""
    by_pair: dict[tuple[str, str], list[Conversion]] = {}
    for outcome in outcomes:
        for conversion in outcome.conversions:
            if conversion.path:
                algo = conversion.yaml.split("override /algo: ")[1].split("\n")[0]
                by_pair.setdefault((algo, outcome.group), []).append(conversion)
    turns = [(i, pair) for pair, found in sorted(by_pair.items()) for i in range(len(found))]
    order = sorted(turns, key=lambda turn: (turn[0], turn[1][1], turn[1][0]))
    return [by_pair[pair][(7 * i) % len(by_pair[pair])] for i, pair in order[:size]]


@pytest.mark.parametrize("number", range(40))
def test_a_sample_trains(outcomes: list[Outcome], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path))
    conversion = sample(outcomes)[number]
    config = configuration(conversion, *SHORT)
    if config.env.atari_game and hasattr(config.algo, "batch_size"):  # or a quarter of an hour for one of them
        config = configuration(conversion, *SHORT, "algo.batch_size=32")
    assert train(config, quiet=True).status == "complete", conversion.choice
