"""The verbs of the command line: thin, each over a function that Python can call too."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rlkit.cli import explain
from rlkit.errors import ConfigError


@dataclass(frozen=True)
class Verb:
    """How a verb is used, what it does, and the function that does it."""

    usage: str
    about: str
    run: Callable[[Sequence[str]], None]


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a verb; returns the exit status."""
    VERBS[name].run(arguments)
    return 0


def _bare_parser(name: str) -> argparse.ArgumentParser:
    about = VERBS[name].about
    return argparse.ArgumentParser(prog=f"rlkit {name}", description=f"{about[0].upper()}{about[1:]}.")


def _parser(name: str) -> argparse.ArgumentParser:
    parser = _bare_parser(name)
    parser.add_argument("run", metavar="RUN", help="a run's folder, that of one of its sessions, or hf://...")
    about = "a module that a run from the Hub may have imported for its environment; may be given more than once"
    parser.add_argument("--trust", action="append", default=[], metavar="MODULE", help=about)
    return parser


def _resume(arguments: Sequence[str]) -> None:
    from rlkit.training.resume import RESUMABLE

    parser = _parser("resume")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"one of {', '.join(RESUMABLE)}")
    given = parser.parse_args(arguments)
    from rlkit.api import resume

    resume(given.run, given.overrides, trust=given.trust)


def _evaluate(arguments: Sequence[str]) -> None:
    parser = _parser("evaluate")
    parser.add_argument("--episodes", type=_positive, help="how many episodes (default: eval.episodes of the run)")
    parser.add_argument("--sampled", action="store_true", help="sample from the policy instead of taking its mode")
    parser.add_argument("--seed", type=int, help="one session of the run (default: all)")
    given = parser.parse_args(arguments)
    from rlkit.api import evaluate
    from rlkit.config.schema import compose
    from rlkit.display.logs import log_to_stderr
    from rlkit.runs.folder import RunFolder
    from rlkit.sharing.hub import local

    log_to_stderr()
    run, seeds = local(given.run), [given.seed]
    if given.seed is None and not Path(run).name.startswith("session_"):
        seeds = list(compose(base=RunFolder.open(run).config).seed_list)
    means = []
    for seed in seeds:
        sampled = False if given.sampled else None
        score = evaluate(run, episodes=given.episodes, deterministic=sampled, seed=seed, trust=given.trust)
        means.append(score.mean)
        if seed == seeds[0]:
            print(f"protocol  {score.protocol}")
        name = "" if seed is None else f"seed {seed}: "
        print(f"score     {name}{score.mean:.2f} ± {score.std:.2f} over episodes, IQM {score.iqm:.2f}")
    if len(means) > 1:
        print(f"mean      {sum(means) / len(means):.2f} over {len(means)} seeds")


def _play(arguments: Sequence[str]) -> None:
    parser = _parser("play")
    parser.add_argument("--video", type=Path, metavar="FILE", help="write an .mp4 or .gif instead of opening a window")
    parser.add_argument("--episodes", type=_positive, default=1, help="how many episodes (default: 1)")
    parser.add_argument("--sampled", action="store_true", help="sample from the policy instead of taking its mode")
    parser.add_argument("--seed", type=int, help="which session of the run (default: the first)")
    given = parser.parse_args(arguments)
    from rlkit.display.logs import log_to_stderr
    from rlkit.training.agent import load
    from rlkit.training.play import play

    log_to_stderr()
    agent = load(given.run, seed=given.seed, trust=given.trust)
    returns = play(agent, video=given.video, episodes=given.episodes, deterministic=not given.sampled)
    where = f", in {given.video}" if given.video else ""
    print(f"returns {', '.join(f'{r:.1f}' for r in returns)}{where}")


def _sweep_parser(name: str) -> argparse.ArgumentParser:
    parser = _bare_parser(name)
    parser.add_argument("sweep", metavar="SWEEP", help="the folder of a sweep or search")
    return parser


def _narrow(arguments: Sequence[str]) -> None:
    parser = _sweep_parser("narrow")
    parser.add_argument("--top", type=_positive, default=5, help="how many of the best trials (default: 5)")
    parser.add_argument("--shrink", type=_share, default=0.5, help="new width of an interval as a share (default: 0.5)")
    parser.add_argument("--name", help="of the new preset (default: that of the search with _narrow)")
    given = parser.parse_args(arguments)
    from rlkit.search.workflow import narrow

    file, told = narrow(given.sweep, top=given.top, shrink=given.shrink, name=given.name, conf=Path("conf"))
    print("\n".join([f"wrote {file}", *told]))


def _validate(arguments: Sequence[str]) -> None:
    parser = _sweep_parser("validate")
    parser.add_argument("--top", type=_positive, default=3, help="how many of the best trials (default: 3)")
    parser.add_argument("--seeds", type=_positive, default=10, help="fresh seeds, 2000 and up (default: 10)")
    given = parser.parse_args(arguments)
    from rlkit.results.stats import interval_text
    from rlkit.search.workflow import validate

    for row in validate(given.sweep, top=given.top, seeds=given.seeds):
        interval = interval_text(asdict(row))
        print(
            f"trial {row.trial}: {row.mean:.1f} on {given.seeds} fresh seeds{', ' * bool(interval)}{interval}; "
            f"the search saw {row.searched:.1f}, optimism gap {row.gap:.1f}"
        )


def _adopt(arguments: Sequence[str]) -> None:
    parser = _sweep_parser("adopt")
    parser.add_argument("--trial", type=int, help="which trial (default: the best validated one, else the best)")
    given = parser.parse_args(arguments)
    from rlkit.search.workflow import adopt

    file = adopt(given.sweep, trial=given.trial, conf=Path("conf"))
    print(f"wrote {file}: algo and env of this name now begin from it; ~tuned goes without")


def _retrain(arguments: Sequence[str]) -> None:
    parser = _sweep_parser("retrain")
    parser.add_argument("--trial", type=int, required=True, help="its number")
    parser.add_argument("--seeds", type=_positive, help="how many, from the trial's first on (default: as many)")
    given = parser.parse_args(arguments)
    from rlkit.search.workflow import retrain

    retrain(given.sweep, trial=given.trial, seeds=given.seeds)


def _status(arguments: Sequence[str]) -> None:
    given = _sweep_parser("status").parse_args(arguments)
    from rlkit.search.status import show

    show(given.sweep)


def _compare(arguments: Sequence[str]) -> None:
    parser = _bare_parser("compare")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUNS)
    parser.add_argument("--by", metavar="KEY,...", help="runs that agree in these keys are one row (default: all keys)")
    parser.add_argument(
        "--threshold", type=float, metavar="RETURN", help="for frames and time to it (default: 90 %% of the best)"
    )
    form = parser.add_mutually_exclusive_group()
    for name in ("json", "csv", "latex", "markdown"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=f"print {name.upper()}")
    given = parser.parse_args(arguments)
    from rlkit.evidence import compare
    from rlkit.evidence.gather import gather
    from rlkit.evidence.trials import trials_of

    rows = compare.compare(trials_of(gather(given.runs), given.by.split(",") if given.by else ()), given.threshold)
    if given.form is None:
        print(compare.as_text(rows, shutil.get_terminal_size((80, 24)).columns))
    else:
        print(compare.FORMS[given.form](rows))


def _report(arguments: Sequence[str]) -> None:
    parser = _bare_parser("report")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUNS)
    parser.add_argument("--out", type=Path, default=Path("report"), metavar="FOLDER", help="default: report")
    parser.add_argument("--by", metavar="KEY,...", help="runs that agree in these keys are one trial")
    parser.add_argument("--threshold", type=float, metavar="RETURN", help="for frames and time to it")
    given = parser.parse_args(arguments)
    from rlkit.evidence import report
    from rlkit.evidence.gather import gather
    from rlkit.evidence.trials import trials_of

    trials = trials_of(gather(given.runs), given.by.split(",") if given.by else ())
    print("\n".join(report.told(report.write(trials, given.out, given.threshold))))


def _ui(arguments: Sequence[str]) -> None:
    parser = _bare_parser("ui")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="with runs below it (default: runs)")
    parser.add_argument("--port", type=int, default=8484, metavar="N", help="on 127.0.0.1 (default: 8484; 0: any)")
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    given = parser.parse_args(arguments)
    import webbrowser

    from rlkit.runs.folder import runs_root
    from rlkit.ui.server import serve

    def started(address: str) -> None:
        print(f"{address}  (this machine alone; Ctrl-C ends it)", flush=True)
        if not given.no_open and sys.stdout.isatty():
            webbrowser.open(address)

    serve(given.folder or runs_root(), given.port, started)


def _power(arguments: Sequence[str]) -> None:
    parser = _bare_parser("power")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUNS)
    parser.add_argument("--effect", default="5%", metavar="X|X%", help="the difference of means (default: 5%%)")
    parser.add_argument("--power", type=_share, default=0.8, help="probability of seeing it (default: 0.8)")
    given = parser.parse_args(arguments)
    from rlkit.evidence.gather import gather
    from rlkit.evidence.power import told
    from rlkit.evidence.trials import trials_of

    for trial in trials_of(gather(given.runs)):
        print("\n".join(told(trial, given.effect, given.power)))


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def _sync(arguments: Sequence[str]) -> None:
    parser = _bare_parser("sync")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder")
    about = "wandb, trackio or mlflow; may be given more than once"
    parser.add_argument("--to", action="append", required=True, metavar="TRACKER", help=about)
    parser.add_argument("--project", help="file it under this project (default: the run's tracker.project)")
    given = parser.parse_args(arguments)
    from rlkit.errors import RlkitError
    from rlkit.tracking.clients import check_installed
    from rlkit.tracking.feed import sync

    check_installed(given.to)
    failures: list[str] = []
    for run in given.runs:
        for name, rows in sync(run, given.to, project=given.project, tell=failures.append).items():
            print(f"{name}: {rows:,} {'row' if rows == 1 else 'rows'} of {run}")
    if failures:
        raise RlkitError("\n".join(failures))


def _push(arguments: Sequence[str]) -> None:
    parser = _bare_parser("push")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder; a session's: that agent, as a model")
    parser.add_argument("--repo", metavar="USER/NAME", help="the repository (default for runs: HF_DATASET_REPO)")
    parser.add_argument("--yes", action="store_true", help="upload without asking")
    parser.add_argument("--optimizer", action="store_true", help="with what resuming takes: optimiser state and memory")
    parser.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    given = parser.parse_args(arguments)
    from rlkit.sharing.hub import push
    from rlkit.sharing.publication import prepare

    publications = [prepare(run, optimizer=given.optimizer) for run in given.runs]
    agent = any(p.session is not None for p in publications)
    repo = _repo(given.repo, default=not agent)
    confirm = _said if given.yes else _confirmed
    addresses = push(publications, repo, public=given.public, confirm=confirm)
    print("nothing was uploaded" if addresses is None else "\n".join(addresses))


def _pull(arguments: Sequence[str]) -> None:
    parser = _bare_parser("pull")
    parser.add_argument("pattern", metavar="PATTERN", help="a run's name, its beginning up to a '/', or with * and ?")
    parser.add_argument("--repo", metavar="USER/NAME", help="the repository (default: HF_DATASET_REPO)")
    parser.add_argument("--model", action="store_true", help="a model repository, of a single agent")
    from rlkit.runs.folder import runs_root
    from rlkit.sharing.client import Repo
    from rlkit.sharing.hub import LIMIT_GB, pull

    most = f"refuse a run that is larger (default: {LIMIT_GB:g})"
    parser.add_argument("--max-gb", type=float, default=LIMIT_GB, metavar="N", help=most)
    given = parser.parse_args(arguments)

    repo = Repo(_repo(given.repo, default=not given.model), "model" if given.model else "dataset")
    for folder, fetched in pull(given.pattern, repo, runs_root(), limit_gb=given.max_gb):
        print(f"{folder}: {'pulled and verified' if fetched else 'was here already, verified'}")


def _list(arguments: Sequence[str]) -> None:
    parser = _bare_parser("list")
    parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="as for pull (default: all)")
    parser.add_argument("--repo", metavar="USER/NAME", help="the repository (default: HF_DATASET_REPO)")
    parser.add_argument("--model", action="store_true", help="a model repository, of a single agent")
    given = parser.parse_args(arguments)
    from rlkit.sharing import card
    from rlkit.sharing.client import Repo
    from rlkit.sharing.hub import listed, matching

    repo = Repo(_repo(given.repo, default=not given.model), "model" if given.model else "dataset")
    index = listed(repo)
    names = matching(index, given.pattern)
    for line in card.listing({name: index[name] for name in names}):
        print(line)
    print(f"{len(names)} of {len(index)} runs in {repo}")


def _repo(given: str | None, *, default: bool) -> str:
    """The repository: as given, else the default one, else asked for on a terminal."""
    from rlkit.settings import setting

    repo = given or (setting("HF_DATASET_REPO") if default else None)
    if repo is None and sys.stdin.isatty():
        repo = input("repository (user/name): ").strip() or None
    if repo is None:
        also = ", or HF_DATASET_REPO in the environment or in .env" if default else ""
        raise ConfigError(f"no repository was named: add --repo user/name{also}")
    return repo


def _said(question: str) -> bool:
    print(question.removesuffix("?"))
    return True


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("standard input is not a terminal, so the upload cannot be confirmed: add --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _convert(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="rlkit convert", description=CONVERT)
    parser.add_argument(
        "file", metavar="FILE", help="a spec file of SLM-Lab, JSON or YAML; also one from a data folder"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="one spec of the file (default: all)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="write below DIR instead of here")
    reading = parser.add_mutually_exclusive_group()
    reading.add_argument("--as-written", action="store_true", help="what the author meant (the default)")
    reading.add_argument("--as-run", action="store_true", help="what that version of SLM-Lab did, where it differs")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="mend nothing, and refuse what would be lost: keys, searches, environments",
    )
    parser.add_argument("--set", action="append", default=[], metavar="var=value", help="fill a template's ${var}")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write all reports to FILE; as JSON if it ends in .json"
    )
    given = parser.parse_args(arguments)
    from rlkit.legacy.convert import convert, show

    if wrong := [pair for pair in given.set if not pair.partition("=")[2]]:
        raise ConfigError(
            f"--set {wrong[0]} is not accepted\n  accepted: --set variable=value, such as --set env=CartPole-v1"
        )
    variables = dict(pair.partition("=")[::2] for pair in given.set)
    conversions = convert(
        given.file,
        given.name,
        out=given.out,
        as_run=given.as_run,
        strict=given.strict,
        variables=variables,
        report=given.report,
    )
    print(show(conversions, given.out))


RUNS = "a run, a folder with runs (a sweep, a search), a name below runs/, a quoted pattern, or hf://..."
CONVERT = """Import SLM-Lab specs: each becomes conf/legacy/<file>/<spec>.yaml, which `rlkit +legacy=<file>/<spec>`
runs, with a report of every key beside it."""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


VERBS = {
    "resume": Verb("resume RUN [frames=N]", "continue a run exactly where it stopped, or to a larger budget", _resume),
    "evaluate": Verb("evaluate RUN [--episodes N]", "score a trained agent on evaluation seeds", _evaluate),
    "play": Verb("play RUN [--video FILE]", "watch a trained agent, in a window or as a video", _play),
    "narrow": Verb("narrow SWEEP [--top 5] [--shrink 0.5]", "write a search around the best trials", _narrow),
    "validate": Verb("validate SWEEP [--top 3] [--seeds 10]", "train the best trials on fresh seeds", _validate),
    "adopt": Verb("adopt SWEEP [--trial N]", "make the best trial's values the tuned ones", _adopt),
    "status": Verb("status SWEEP", "how the jobs of a sweep or a search stand", _status),
    "retrain": Verb("retrain SWEEP --trial N [--seeds N]", "train a trial of a search once more", _retrain),
    "compare": Verb("compare RUN... [--by KEY,...]", "scores with intervals side by side, and who is better", _compare),
    "report": Verb("report RUN... [--out FOLDER]", "a page with tables, curves and every seed", _report),
    "ui": Verb("ui [FOLDER] [--port 8484]", "a local page over runs: live curves, differences, videos", _ui),
    "power": Verb("power RUN [--effect 5%]", "how many seeds a claim of a difference needs", _power),
    "sync": Verb("sync RUN... --to TRACKER", "send a run's metrics to wandb, trackio or mlflow", _sync),
    "push": Verb(
        "push RUN... [--repo USER/NAME]", "share runs, or one session's agent, on the Hugging Face Hub", _push
    ),
    "pull": Verb("pull PATTERN [--repo USER/NAME]", "fetch shared runs, verified, into runs/", _pull),
    "list": Verb("list [PATTERN] [--repo USER/NAME]", "show the runs of a repository", _list),
    "explain": Verb("explain KEY [key=value]", "what a key means, its value, and what set it", explain.run),
    "convert": Verb("convert SPEC [NAME]", "import specs of SLM-Lab, with a report of every key", _convert),
}
