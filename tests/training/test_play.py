from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from rlkit import compose, load, train
from rlkit.errors import EnvError, RunFolderError
from rlkit.training.play import play, write_video


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_opens_and_moves(suffix: str, tiny: list[str], tmp_path: Path):
    agent = load(train(compose(tiny), quiet=True).folder)
    path = tmp_path / f"play{suffix}"
    returns = play(agent, video=path, episodes=2, deterministic=True)
    assert len(returns) == 2
    pictures = iio.imread(path, plugin="pyav" if suffix == ".mp4" else None)
    assert len(pictures) == sum(returns) if suffix == ".mp4" else 1 < len(pictures) <= sum(returns)
    assert len({p.tobytes() for p in pictures}) > 1


def test_a_still_picture_is_no_video(tmp_path: Path):
    still = [np.zeros((64, 64, 3), np.uint8)] * 5
    with pytest.raises(RunFolderError, match="all the same"):
        write_video(tmp_path / "still.mp4", still)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunFolderError, match=r"an \.mp4 or a \.gif"):
        write_video(tmp_path / "x.avi", still)


def test_without_a_screen_a_video_is_offered(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    agent = load(train(compose(tiny), quiet=True).folder)
    with pytest.raises(EnvError, match=r"--video play\.mp4"):
        play(agent, video=None, episodes=1, deterministic=True)


def test_an_environment_that_cannot_draw_says_so(tiny: list[str], tmp_path: Path):
    agent = load(train(compose([*tiny, "env=gym", "env.id=tests.envs.chain:Chain-v0"]), quiet=True).folder)
    with pytest.raises(EnvError, match="draws no pictures"):
        play(agent, video=tmp_path / "x.mp4", episodes=1, deterministic=True)
