from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from rlkit import compose, load, train
from rlkit.errors import EnvError, RunFolderError
from rlkit.training.play import Film, play


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_opens_and_moves(suffix: str, tiny: list[str], tmp_path: Path):
    agent = load(train(compose(tiny), quiet=True).folder)
    path = tmp_path / f"play{suffix}"
    returns = play(agent, video=path, episodes=2, deterministic=True)
    assert len(returns) == 2
    pictures = iio.imread(path, plugin="pyav" if suffix == ".mp4" else None)
    drawn = sum(returns) + 2  # one a step, and the last of each episode
    assert len(pictures) == drawn if suffix == ".mp4" else 1 < len(pictures) <= drawn
    assert len({p.tobytes() for p in pictures}) > 1


def film(path: Path, pictures: list[np.ndarray], breaks: bool = False) -> None:
    with Film(path, 30) as film:
        for picture in pictures:
            film.add(picture)
        if breaks:
            raise ZeroDivisionError


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_still_picture_is_no_video_and_a_broken_film_leaves_nothing(suffix: str, tmp_path: Path):
    still = [np.zeros((64, 64, 3), np.uint8)] * 5
    with pytest.raises(RunFolderError, match="5 pictures that are all the same"):
        film(tmp_path / f"x{suffix}", still)
    with pytest.raises(ZeroDivisionError):
        film(tmp_path / f"x{suffix}", still, breaks=True)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_environment_is_cut_and_another_suffix_refused_before_playing(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("rlkit.training.play.ENDLESS", 30)
    monkeypatch.setattr("rlkit.training.evaluate.ENDLESS", 30)
    agent = load(train(compose([*tiny, "env=gym", "env.id=CliffWalking-v1"]), quiet=True).folder)
    assert len(play(agent, video=tmp_path / "x.mp4", episodes=2, deterministic=False)) == 2
    with pytest.raises(RunFolderError, match=r"an \.mp4 or a \.gif"):
        play(agent, video=tmp_path / "x.avi", episodes=1, deterministic=True)


def test_without_a_screen_a_video_is_offered(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    agent = load(train(compose(tiny), quiet=True).folder)
    with pytest.raises(EnvError, match=r"--video play\.mp4"):
        play(agent, video=None, episodes=1, deterministic=True)


def test_an_environment_that_cannot_draw_says_so(tiny: list[str], tmp_path: Path):
    agent = load(train(compose([*tiny, "env=gym", "env.id=tests.envs.chain:Chain-v0"]), quiet=True).folder)
    with pytest.raises(EnvError, match=r"draws no pictures|could not draw"):
        play(agent, video=tmp_path / "x.mp4", episodes=1, deterministic=True)
