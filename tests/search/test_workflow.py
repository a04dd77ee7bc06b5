"""Narrowing, validating, adopting and retraining, on a search put together by hand."""

import json
import shlex
import shutil
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from rlkit import compose
from rlkit.cli.app import dispatch
from rlkit.config.schema import to_yaml
from rlkit.errors import ConfigError, RlkitError, RunFolderError
from rlkit.runs.folder import read_json, write_json, write_text
from rlkit.search import study as record
from rlkit.search import workflow
from rlkit.search.space import parsed, read
from rlkit.search.study import SweepFolder

SPACE = {
    "algo.learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "algo.gamma": FloatDistribution(0.9, 1.0),
    "algo.epochs": IntDistribution(1, 20),
    "num_envs": CategoricalDistribution((2, 4, 8)),
    "algo.normalize_advantage": CategoricalDistribution(("standard", "none")),
}
FIXED = [
    "search=random",
    "~tuned",
    "upload=never",
    "frames=512",
    "algo.n_steps=16",
    "net.hidden=[8]",
    "eval.episodes=2",
    "eval.periodic_episodes=2",
]
POINTS = [
    # learning rate, gamma, epochs, environments, advantages: value
    ((1e-3, 0.98, 4, 4, "standard"), 90.0),
    ((2e-3, 0.99, 6, 4, "standard"), 80.0),
    ((4e-3, 0.97, 5, 8, "standard"), 70.0),
    ((1e-5, 0.90, 20, 2, "none"), 10.0),
    ((1e-1, 1.00, 1, 2, "none"), 5.0),
]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = SweepFolder(tmp_path / "runs" / "search" / "toy")
    folder.make(None)
    study = optuna.create_study(
        study_name=record.STUDY, storage=record.open_storage(record.storage_of(folder.path)), direction="maximize"
    )
    study.set_user_attr(
        record.SEARCH,
        {
            "space": {k: json.loads(optuna.distributions.distribution_to_json(d)) for k, d in SPACE.items()},
            "fixed": FIXED,
            "choices": {"algo": "ppo", "env": "cartpole", "net": "mlp", "memory": "rollout"},
            "objectives": {"final_return": "maximize"},
            "seeds": 1,
            "pruner": "median",
            "frames": 512,
        },
    )
    for number, (chosen, value) in enumerate(POINTS):
        params = dict(zip(SPACE, chosen, strict=True))
        study.add_trial(
            create_trial(params=params, distributions=SPACE, value=value, user_attrs={record.STATUS: "complete"})
        )
        words = [
            *(o for o in FIXED if not o.startswith("search=")),
            *(f"{k}={v}" for k, v in params.items()),
            "seed=1000",
            f"trial.number={number}",
        ]
        write_text(folder.make_run(number).config, to_yaml(compose(words)))
    study.add_trial(create_trial(params={}, distributions={}, state=TrialState.FAIL))
    return folder.path


def test_narrow_writes_a_preset_around_the_best_that_composes(sweep: Path, capsys: pytest.CaptureFixture[str]):
    assert dispatch(["narrow", str(sweep), "--top", "3", "--shrink", "0.5"]) == 0
    said = capsys.readouterr().out
    file = Path("conf/search/toy_narrow.yaml")
    assert f"wrote {file}" in said
    assert "rlkit -m search=toy_narrow algo=ppo env=cartpole ~tuned upload=never frames=512" in said
    assert "search=random" not in said
    params = yaml.safe_load(file.read_text())["hydra"]["sweeper"]["params"]
    assert params["algo.normalize_advantage"] == "standard"  # all three agree
    assert params["num_envs"] == "choice(4,8)"
    # half of the four decades, around the middle of the best three, 2e-3
    assert params["algo.learning_rate"] == "tag(log,interval(0.0002,0.02))"
    assert params["algo.gamma"] == "interval(0.95,1.0)"  # around 0.98, within the old bounds
    assert params["algo.epochs"] == "interval(1,11)"
    narrowed = compose(["search=toy_narrow"]).search
    assert (narrowed.pruner, narrowed.metrics, narrowed.directions) == ("median", ["final_return"], ["maximize"])


def test_narrowing_is_refused_where_the_best_agree_on_everything(sweep: Path):
    search = workflow.Finished.open(sweep)
    assert [t.number for t in search.trials] == [0, 1, 2, 3, 4]
    for bad in ([], ["--top", "0"], ["--shrink", "0"], ["--shrink", "1.5"]):
        if bad:
            with pytest.raises(SystemExit):
                dispatch(["narrow", str(sweep), *bad])
    file, _ = workflow.narrow(sweep, top=5, shrink=1.0, name="wide", conf=Path("conf"))
    params = yaml.safe_load(file.read_text())["hydra"]["sweeper"]["params"]
    assert params["algo.learning_rate"] == "tag(log,interval(1e-05,0.1))"
    assert params["num_envs"] == "choice(2,4,8)"


def test_adopt_writes_a_tuned_file_that_the_pair_then_begins_from(sweep: Path):
    assert compose(["algo=ppo", "env=cartpole"]).algo.epochs != 4
    assert dispatch(["adopt", str(sweep)]) == 0
    file = Path("conf/tuned/ppo_cartpole.yaml")
    text = file.read_text()
    assert "trial 0 of the search toy (5 complete trials)" in text
    assert "90 in the search, at 512 frames" in text
    written = yaml.safe_load(text)
    assert set(written) == {"algo", "net", "num_envs", "frames"}
    assert written["algo"]["learning_rate"] == 1e-3
    begun = compose(["algo=ppo", "env=cartpole"])  # for which rlkit ships a file too
    assert (begun.algo.epochs, begun.algo.learning_rate, begun.frames) == (4, 1e-3, 512)
    assert dispatch(["adopt", str(sweep), "--trial", "2"]) == 0
    assert yaml.safe_load(file.read_text())["num_envs"] == 8
    second = file.read_text()
    assert file.with_suffix(".yaml.bak").read_text() == text
    assert dispatch(["adopt", str(sweep)]) == 0
    assert (file.parent / "ppo_cartpole.yaml.bak.2").read_text() == second
    assert file.with_suffix(".yaml.bak").read_text() == text, "the first one is never lost"
    with pytest.raises(ConfigError, match=r"trial 5 is not complete\n  the best that are: 0, 1, 2"):
        dispatch(["adopt", str(sweep), "--trial", "5"])


def test_what_is_any_environment_is_not_tuned(sweep: Path):
    study = SweepFolder.open(sweep).study()
    about = study.user_attrs[record.SEARCH]
    study.set_user_attr(record.SEARCH, {**about, "choices": {**about["choices"], "env": "gym"}})
    with pytest.raises(ConfigError, match="tuned values for it would be used for all others too"):
        dispatch(["adopt", str(sweep)])
    assert not Path("conf/tuned").exists()


def test_the_budget_is_that_of_the_search_whatever_was_trained_since(sweep: Path):
    config = sweep / "trial_0000" / "config.yaml"
    config.write_text(config.read_text().replace("frames: 512", "frames: 3000"))  # as `rlkit resume` does
    search = workflow.Finished.open(sweep)
    assert search.config(search.trials[0]).frames == 512
    assert dispatch(["adopt", str(sweep)]) == 0
    written = Path("conf/tuned/ppo_cartpole.yaml").read_text()
    assert yaml.safe_load(written)["frames"] == 512
    assert "at 512 frames" in written


def test_a_trial_whose_folder_is_gone_or_another_ones_is_refused(sweep: Path):
    shutil.rmtree(sweep / "trial_0001")
    with pytest.raises(RlkitError, match=r"trial_0001 is gone: .*trial 1"):
        dispatch(["adopt", str(sweep), "--trial", "1"])
    write_json(sweep / "trial_0002" / "trial.json", {"study": "another", "number": 2, "overrides": ""})
    for words in (["adopt", str(sweep), "--trial", "2"], ["validate", str(sweep), "--top", "3", "--seeds", "1"]):
        with pytest.raises(RlkitError, match=r"trial_000[12] (was trained by another search|is gone)"):
            dispatch(words)
    assert not Path("conf").exists()


VALUES = {
    "algo.target_kl=null,0.01,0.02": [None, 0.01, 0.02],
    "net.hidden=[8],[8,8]": [[8], [8, 8]],
    "++env.kwargs.label='a b','c=d',\"it's\"": ["a b", "c=d", "it's"],
    "++env.kwargs.label=choice('null','1',x)": ["null", "1", "x"],
    "++env.kwargs={a: 1},{a: {b: 'c d'}}": [{"a": 1}, {"a": {"b": "c d"}}],
    "++env.kwargs.flag=true,false,1": [True, False, 1],
    "++env.kwargs.path=C:/x,'D:\\y z'": ["C:/x", "D:\\y z"],
}


@pytest.mark.parametrize("entry", VALUES)
def test_what_narrow_writes_is_read_as_the_same_values(entry: str, sweep: Path, capsys: pytest.CaptureFixture[str]):
    key, space = entry.partition("=")[0], read([entry])
    study = SweepFolder.open(sweep).study()
    about = study.user_attrs[record.SEARCH]
    stored = {key: json.loads(optuna.distributions.distribution_to_json(space.distributions[key]))}
    fixed = [*FIXED, "++env.kwargs={label: q, other: 'x y'}"]
    study.set_user_attr(record.SEARCH, {**about, "space": stored, "fixed": fixed})
    for choice in space.distributions[key].choices:
        study.add_trial(create_trial(params={key: choice}, distributions=space.distributions, value=100.0))
    count = len(VALUES[entry])
    assert dispatch(["narrow", str(sweep), "--top", str(count)]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("run it: "))
    assert "++env.kwargs={label: q, other: 'x y'}" in words
    written = yaml.safe_load(Path("conf/search/toy_narrow.yaml").read_text())["hydra"]["sweeper"]["params"]
    again = read([f"{name}={value}" for name, value in written.items()])
    values = [parsed(again.overrides({key: choice})[-1]).value() for choice in again.distributions[key].choices]
    assert values == VALUES[entry]
    assert [isinstance(v, bool) for v in values] == [isinstance(v, bool) for v in VALUES[entry]]


def test_one_value_that_is_left_is_written_as_it_is_read(sweep: Path):
    space = read(["algo.target_kl=null,0.01", "algo.gamma=0.9,0.99"])
    study = SweepFolder.open(sweep).study()
    stored = {k: json.loads(optuna.distributions.distribution_to_json(d)) for k, d in space.distributions.items()}
    study.set_user_attr(record.SEARCH, {**study.user_attrs[record.SEARCH], "space": stored})
    for gamma in (0.9, 0.99):
        params = {"algo.target_kl": "null", "algo.gamma": gamma}
        study.add_trial(create_trial(params=params, distributions=space.distributions, value=100.0))
    workflow.narrow(sweep, top=2, shrink=0.5, name=None, conf=Path("conf"))
    params = yaml.safe_load(Path("conf/search/toy_narrow.yaml").read_text())["hydra"]["sweeper"]["params"]
    assert params == {"algo.target_kl": "null", "algo.gamma": "choice(0.9,0.99)"}


@pytest.mark.parametrize(
    "name", ["a b", "../x", "none", "asha", "grid", "null", "a/b", "x=1", "", "1e5", "${x}", "a,b"]
)
def test_a_name_that_is_none_of_a_preset_is_refused(name: str, sweep: Path):
    with pytest.raises(ConfigError, match="--name"):
        dispatch(["narrow", str(sweep), "--name", name])
    assert not Path("conf").exists()


def test_the_folder_of_a_search_may_be_moved(sweep: Path):
    moved = sweep.rename(sweep.with_name("elsewhere"))
    assert workflow.Finished.open(moved).trials[0].number == 0


def test_validate_goes_on_where_one_of_the_best_fails(sweep: Path, monkeypatch: pytest.MonkeyPatch):
    train = workflow.train

    def run_trial(config, folder, **kwargs):
        if folder.path.name == "trial_0000":
            raise RlkitError("diverged")
        return train(config, folder, **kwargs)

    monkeypatch.setattr(workflow, "train", run_trial)
    assert [v.trial for v in workflow.validate(sweep, top=2, seeds=1)] == [1]


def test_validate_trains_on_fresh_seeds_once_and_shows_the_gap(sweep: Path, capsys: pytest.CaptureFixture[str]):
    assert dispatch(["validate", str(sweep), "--top", "2", "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    written = read_json(sweep / "validation.json")
    assert written["first_seed"] == 2000
    for row in written["trials"]:
        run = sweep / "validation" / f"trial_{row['trial']:04d}"
        result = read_json(run / "result.json")
        assert result["seeds"] == [2000, 2001]
        assert row["per_seed"] == result["final_return"]["per_seed"]
        assert row["gap"] == pytest.approx(row["searched"] - row["mean"])
        assert f"trial {row['trial']}: {row['mean']:.1f} on 2 fresh seeds" in said
        assert f"the search saw {row['searched']:.1f}, optimism gap {row['gap']:.1f}" in said
    assert [row["mean"] for row in written["trials"]] == sorted((r["mean"] for r in written["trials"]), reverse=True)
    before = {p: p.stat().st_mtime_ns for p in sweep.glob("validation/*/session_*/metrics.jsonl")}
    assert dispatch(["validate", str(sweep), "--top", "2", "--seeds", "2"]) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert dispatch(["adopt", str(sweep)]) == 0
    assert "over 2 fresh seeds" in Path("conf/tuned/ppo_cartpole.yaml").read_text()


def test_retrain_repeats_a_trial_in_a_run_of_its_own(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RLKIT_RUNS", str(tmp_path / "again"))
    assert dispatch(["retrain", str(sweep), "--trial", "1"]) == 0
    (run,) = (tmp_path / "again" / "ppo_cartpole_v1").iterdir()
    config = compose(base=run / "config.yaml")
    assert (config.seed, config.algo.learning_rate, config.trial.storage) == (1000, 2e-3, None)
    assert read_json(run / "result.json")["status"] == "complete"
    with pytest.raises(ConfigError, match=r"no trial 9\n  it has trial_0000 to trial_0004"):
        dispatch(["retrain", str(sweep), "--trial", "9"])


@pytest.mark.parametrize("verb", ["narrow", "validate", "adopt"])
def test_a_folder_without_a_search_is_refused(verb: str, tmp_path: Path):
    with pytest.raises(RunFolderError, match="does not exist"):
        dispatch([verb, str(tmp_path / "nowhere")])
    with pytest.raises(RlkitError, match=r"no sweep\.json"):
        dispatch([verb, str(tmp_path)])
