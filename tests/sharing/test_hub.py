"""Push, list and pull, through the real client, to a Hub on this machine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rlkit import evaluate, load
from rlkit.errors import CheckpointError, RunFolderError, SharingError
from rlkit.sharing.client import Repo
from rlkit.sharing.hub import listed, local, pull, push, upload_after_training
from rlkit.sharing.publication import MANIFEST, prepare
from rlkit.training import checkpoint
from tests.sharing.conftest import READ, WRITE, contents
from tests.sharing.fake_hub import FakeHub, FakeRepo, Stored

RUN = "ppo_cartpole_v1/20260101-120000"
REPO = Repo("me/runs")


def published(run: Path, **kwargs: bool) -> dict[str, bytes]:
    """What of a run goes to the Hub, by the rules as one would tell them."""
    kept = {}
    for path, data in contents(run).items():
        name, parts = Path(path).name, Path(path).parts
        if any(part.startswith(".") for part in parts) or name == "latest":
            continue
        if "checkpoints" in parts:
            newest = max(p.name for p in (run / parts[0] / "checkpoints").iterdir() if p.name.isdigit())
            acting = name.split(".")[0] in ("manifest", "weights", "envs", "session")
            if parts[2] != max(newest, "256", key=int) or not (acting or kwargs.get("optimizer")):
                continue
        kept[path] = data
    return kept


@pytest.mark.parametrize("optimizer", [False, True])
def test_a_round_trip_is_equal_byte_for_byte(hub: FakeHub, run: Path, tmp_path: Path, optimizer: bool):
    before = contents(run)
    (address,) = push([prepare(run, optimizer=optimizer)], "me/runs") or []
    assert address == f"{hub.url}/datasets/me/runs/tree/main/{RUN}"
    assert contents(run) == before

    there = {p.removeprefix(f"{RUN}/"): d for p, d in hub.tree("me/runs").items() if p.startswith(RUN)}
    assert there.pop(MANIFEST)
    assert there == published(run, optimizer=optimizer)
    assert any(p.endswith("algo.json") for p in there) == optimizer

    (name,) = index = listed(REPO)
    assert name == RUN
    assert index[name]["score"]["mean"] == json.loads((run / "result.json").read_text())["final_return"]["mean"]

    ((folder, fetched),) = pull("ppo_*", REPO, tmp_path / "pulled")
    assert fetched
    assert folder == tmp_path / "pulled" / RUN
    pulled = contents(folder)
    assert pulled.pop(MANIFEST)
    assert pulled == there
    assert [p.name for p in (tmp_path / "pulled").iterdir()] == ["ppo_cartpole_v1"], "nothing hidden is left"
    assert pull(RUN, REPO, tmp_path / "pulled") == [(folder, False)]


def test_a_push_is_one_commit_and_repeating_it_none(hub: FakeHub, run: Path):
    push([prepare(run)], "me/runs")
    repo = hub.repos["datasets", "me/runs"]
    assert len(repo.commits) == 2, "the one that made the repository, and the run's"
    assert repo.private
    sent = hub.uploaded_bytes
    push([prepare(run)], "me/runs")
    assert len(repo.commits) == 2
    assert hub.uploaded_bytes == sent


def test_several_runs_share_a_repository_and_its_page(hub: FakeHub, run: Path, tmp_path: Path):
    other = tmp_path / "mine" / run.parent.name / "20260102-120000"
    shutil.copytree(run, other, symlinks=True)
    push([prepare(run)], "me/runs", public=True)
    push([prepare(other)], "me/runs")
    assert not hub.repos["datasets", "me/runs"].private
    assert sorted(listed(REPO)) == [RUN, "ppo_cartpole_v1/20260102-120000"]
    page = hub.tree("me/runs")["README.md"].decode()
    assert page.count("| `ppo_cartpole_v1/") == 2
    assert "95 % interval" in page
    assert len(pull("ppo_cartpole_v1", REPO, tmp_path / "pulled")) == 2


def test_pushing_again_takes_away_what_the_run_no_longer_has(hub: FakeHub, run: Path):
    push([prepare(run, optimizer=True)], "me/runs")
    push([prepare(run)], "me/runs")
    assert not any(path.endswith("algo.json") for path in hub.tree("me/runs"))


def test_two_who_push_at_once_lose_nothing(hub: FakeHub, run: Path, tmp_path: Path):
    other = tmp_path / "mine" / run.parent.name / "20260102-120000"
    shutil.copytree(run, other, symlinks=True)
    push([prepare(run)], "me/runs")
    hub.before_commit = lambda repo: repo.commit({**repo.commits[-1][1], "note.txt": Stored(b"of somebody else")})
    push([prepare(other)], "me/runs")
    assert len(listed(REPO)) == 2
    assert hub.tree("me/runs")["note.txt"] == b"of somebody else"


def test_the_size_is_said_before_anything_is_uploaded(hub: FakeHub, run: Path):
    asked: list[str] = []
    assert push([prepare(run)], "me/runs", confirm=lambda question: bool(asked.append(question))) is None
    assert not hub.repos
    total = sum(len(data) for data in published(run).values())
    assert f"{len(published(run))} files, {total / 1000:.1f} kB" in asked[0]
    assert "that only training needs" in asked[0]
    assert asked[0].endswith("to data set me/runs (new, private)?")


def test_a_run_that_changes_while_the_question_stands_is_not_published(hub: FakeHub, run: Path):
    def meanwhile(question: str) -> bool:
        (run / "run.log").write_text("trained on")
        return True

    with pytest.raises(SharingError, match=r"run.log of .* changed during the upload"):
        push([prepare(run)], "me/runs", confirm=meanwhile)
    assert RUN not in listed(REPO)


def test_a_page_of_somebody_elses_is_not_replaced_without_a_word(hub: FakeHub, run: Path):
    asked: list[str] = []
    hub.repos["datasets", "me/runs"] = FakeRepo(private=False)
    hub.repos["datasets", "me/runs"].commit({"README.md": Stored(b"my notes")})
    for _ in range(2):
        push([prepare(run)], "me/runs", confirm=lambda question: asked.append(question) or True)
    assert "README.md that data set me/runs has is not rlkit's; it will be replaced" in asked[0]
    assert "replaced" not in asked[1]


def test_an_agent_loads_from_the_hub_and_acts_as_it_did(hub: FakeHub, run: Path):
    push([prepare(run)], "me/runs")
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    for seed in (0, 1):
        here, there = load(run, seed=seed), load(f"hf://me/runs/{RUN}", seed=seed)
        np.testing.assert_array_equal(here.act(obs), there.act(obs))
    assert evaluate(f"hf://me/runs/{RUN}", episodes=2).mean == evaluate(run, episodes=2).mean
    assert load("hf://me/runs").seed == 0, "there is one run, so it needs no name"
    assert load(f"hf://me/runs/{RUN}/session_1").seed == 1


def test_a_copy_in_the_cache_that_was_altered_is_refused(hub: FakeHub, run: Path):
    push([prepare(run)], "me/runs")
    folder = local(f"hf://me/runs/{RUN}")
    (weights,) = Path(folder).glob("session_0/checkpoints/*/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(SharingError, match=r"weights.safetensors in it differs"):
        load(f"hf://me/runs/{RUN}")


def test_a_single_agent_is_a_model_with_a_card(hub: FakeHub, run: Path):
    videos = run / "session_1" / "videos"
    videos.mkdir()
    (videos / "128.mp4").write_bytes(b"video")
    push([prepare(run / "session_1")], "me/agent")
    tree = hub.tree("me/agent", "models")
    assert not any("session_0" in path for path in tree)
    card = tree["README.md"].decode()
    result = json.loads((run / "session_1" / "result.json").read_text())["final_return"]
    for part in (
        "library_name: rlkit",
        "# ppo on CartPole-v1",
        f"| score | {result['mean']:.1f} ± {result['std']:.1f} over episodes |",
        "2 deterministic episodes of the final policy, evaluation seeds disjoint from training",
        f'load("hf://me/agent/{RUN}")',
        "compose(base=",
        "name: auto",
        f'<video src="./{RUN}/session_1/videos/128.mp4"',
    ):
        assert part in card
    assert load("hf://me/agent").seed == 1
    assert load("hf://models/me/agent").seed == 1


def test_the_card_holds_the_command_that_was_typed(hub: FakeHub, run: Path):
    (run / "overrides.yaml").write_text("- algo=ppo\n- net.hidden=[8,8]\n")
    push([prepare(run / "session_0")], "me/agent")
    assert "```bash\nrlkit algo=ppo 'net.hidden=[8,8]'\n```" in hub.tree("me/agent", "models")["README.md"].decode()


def test_a_run_shared_without_its_training_state_says_so_when_resumed(hub: FakeHub, run: Path, tmp_path: Path):
    push([prepare(run)], "me/runs")
    ((folder, _),) = pull(RUN, REPO, tmp_path / "pulled")
    with pytest.raises(CheckpointError, match="shared without the state of its training"):
        checkpoint.newest(folder / "session_0" / "checkpoints")


def test_a_run_with_an_altered_checkpoint_falls_back_and_one_without_any_is_refused(hub: FakeHub, run: Path):
    for weights in (run / "session_0" / "checkpoints").glob("256/weights.safetensors"):
        weights.write_bytes(b"")
    push([prepare(run)], "me/runs")
    assert not any("session_0/checkpoints/256/" in path for path in hub.tree("me/runs"))
    shutil.rmtree(run / "session_0" / "checkpoints")
    with pytest.raises(CheckpointError, match="no agent to push"):
        prepare(run / "session_0")
    with pytest.raises(RunFolderError, match="session_7"):
        prepare(run / "session_7")


def test_a_run_that_is_being_trained_is_not_pushed(run: Path):
    fcntl = pytest.importorskip("fcntl")
    with (run / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunFolderError, match="is being trained"):
            prepare(run)


def test_links_and_strange_files_in_a_run_stay_at_home(run: Path, tmp_path: Path):
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.json").write_text("{}")
    (run / "link.json").symlink_to(tmp_path / "secret.json")
    (run / "far").symlink_to(tmp_path / "elsewhere")
    (run / "memory.pkl").write_bytes(b"x")
    (run / ".env").write_text("HF_TOKEN=x")
    assert {Path(path).name for path in prepare(run).files}.isdisjoint(
        {"link.json", "far.json", "memory.pkl", ".env", "latest"}
    )


# What goes wrong


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "HF_TOKEN is missing: set it in the environment or in .env"),
        ("hf_" + "x" * 34, "HF_TOKEN is not valid: the Hub does not know it"),
        (READ, "HF_TOKEN may only read"),
    ],
    ids=["missing", "wrong", "read-only"],
)
def test_a_token_that_will_not_do(hub: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch, token: str, message: str):
    monkeypatch.setenv("HF_TOKEN", token)
    before = contents(run)
    with pytest.raises(SharingError) as caught:
        push([prepare(run)], "me/runs")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(run) == before
    assert not hub.repos


def test_no_permission_in_the_namespace(hub: FakeHub, run: Path):
    hub.forbidden.add("them")
    with pytest.raises(SharingError, match="needs the permission to write"):
        push([prepare(run)], "them/runs")
    hub.repos["datasets", "them/runs"] = FakeRepo(private=False)
    hub.repos["datasets", "them/runs"].commit({})
    with pytest.raises(SharingError, match="needs the permission to write"):
        push([prepare(run)], "them/runs")
    assert len(hub.repos["datasets", "them/runs"].commits) == 1


def test_what_is_not_there(hub: FakeHub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SharingError, match="me/runs was not found"):
        listed(REPO)
    push([prepare(run)], "me/runs")
    with pytest.raises(SharingError, match=f"no run in data set me/runs matches sac; it has {RUN}"):
        pull("sac", REPO, tmp_path / "pulled")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(SharingError, match=r"was not found \(a private one needs HF_TOKEN\)"):
        listed(REPO)
    with pytest.raises(SharingError, match="written user/name"):
        Repo("runs")


def test_a_network_that_is_down_and_a_hub_that_stumbles(hub: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch):
    hub.statuses["GET /api/whoami-v2"] = 500
    with pytest.raises(SharingError, match="the Hub answered 500"):
        push([prepare(run)], "me/runs")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SharingError, match="the connection to the Hub failed"):
        push([prepare(run)], "me/runs")


def test_upload_after_training_says_what_it_did_and_never_raises(
    hub: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch
):
    assert upload_after_training(run).startswith("uploaded ")
    assert RUN in listed(REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    assert upload_after_training(run).startswith("not uploaded: HF_TOKEN is not valid")
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN is missing" in upload_after_training(run)
    monkeypatch.delenv("HF_DATASET_REPO")
    assert "HF_DATASET_REPO is missing" in upload_after_training(run)
    shutil.rmtree(run)
    monkeypatch.setenv("HF_DATASET_REPO", "me/runs")
    assert upload_after_training(run).startswith("not uploaded: ")


def test_settings_come_from_dotenv_after_the_environment(hub: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_TOKEN")
    Path(".env").write_text(f"# mine\nexport HF_TOKEN = '{WRITE}'  # of the Hub\nHF_DATASET_REPO=me/other\n")
    push([prepare(run)], "me/runs")
    assert RUN in listed(REPO)
    assert os.environ.get("HF_TOKEN") is None
