from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from rlkit import compose, load, train
from rlkit.errors import EnvError, RunFolderError
from rlkit.training.play import Film, as_picture, play


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


GREY = np.linspace(0, 255, 20 * 24).astype(np.uint8).reshape(20, 24)
COLOUR = np.stack([GREY, GREY // 2, GREY // 3], 2)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (COLOUR, COLOUR),
        (COLOUR.transpose(2, 0, 1), COLOUR),
        (np.concatenate([COLOUR, GREY[..., None]], 2), COLOUR),
        (np.concatenate([COLOUR, GREY[..., None]], 2).transpose(2, 0, 1), COLOUR),
        (COLOUR.astype(np.int64), COLOUR),
        (COLOUR.astype(np.float64), COLOUR),
        (COLOUR.astype(np.float32) / 255, COLOUR),
        (GREY, np.stack([GREY] * 3, 2)),
        (GREY[..., None], np.stack([GREY] * 3, 2)),
        (GREY[None], np.stack([GREY] * 3, 2)),
        (GREY > 100, np.stack([(GREY > 100) * np.uint8(255)] * 3, 2)),
        (COLOUR.astype(np.int64) * 9 - 900, np.clip(COLOUR.astype(np.int64) * 9 - 900, 0, 255)),
    ],
)
def test_what_environments_draw_becomes_a_picture(drawn: np.ndarray, expected: np.ndarray):
    picture = as_picture(drawn)
    assert picture is not None
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("drawn", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.zeros((0, 4, 3)), np.zeros((9, 9, 9))])
def test_what_is_no_picture_is_none(drawn: np.ndarray):
    assert as_picture(drawn) is None


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_has_the_rate_of_its_environment(suffix: str, tiny: list[str], tmp_path: Path):
    agent = load(train(compose([*tiny, "frames=64"]), quiet=True).folder)
    path = tmp_path / f"play{suffix}"
    play(agent, video=path, episodes=1, deterministic=True)
    if suffix == ".mp4":
        assert iio.immeta(path, plugin="pyav")["fps"] == 50
    else:
        assert iio.immeta(path, plugin="pillow")["duration"] % 20 == 0  # pictures that are the same are joined


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize(
    "sizes", [[(1, 64), (1, 64)], [(63, 65), (63, 65), (63, 65)], [(20, 30), (40, 10), (64, 64)], [(1, 1)] * 4]
)
def test_pictures_of_any_size_make_a_video(sizes: list[tuple[int, int]], suffix: str, tmp_path: Path):
    path = tmp_path / f"x{suffix}"
    film(path, [np.full((*size, 3), 40 * i, np.uint8) for i, size in enumerate(sizes)])
    shown = iio.imread(path, plugin="pyav" if suffix == ".mp4" else "pillow", index=None if suffix == ".gif" else ...)
    assert len(shown) == len(sizes)
    assert shown.shape[1] % 2 == shown.shape[2] % 2 == 0


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_an_episode_of_one_step_may_stand_still(suffix: str, tmp_path: Path):
    film(tmp_path / f"x{suffix}", [np.zeros((64, 64, 3), np.uint8)] * 2)
    assert (tmp_path / f"x{suffix}").stat().st_size > 0
