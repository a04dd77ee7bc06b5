"""`rlkit report`: a self-contained page about some runs, and the same as Markdown with pictures beside it."""

from __future__ import annotations

import base64
import csv
import html
import io
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlkit.evidence import compare
from rlkit.evidence.plots import Plot, plots_of
from rlkit.evidence.trials import Trial, differences
from rlkit.redaction import redact
from rlkit.results.metrics import Curve, consistency, curve_metrics
from rlkit.runs.writing import write_bytes, write_text, writing

if TYPE_CHECKING:
    from rlkit.evidence.gather import Run, Session

PAGE, MARKDOWN, PLOTS = "index.html", "report.md", "plots"
MAX_VIDEO_BYTES = 4 * 2**20
"""Of a video that goes into the page."""
MEASURES = {
    "strength": "mean of s over the evaluations",
    "max_strength": "largest s",
    "final_strength": "last s",
    "sample_efficiency": "sum(s / frames) / sum(s)",
    "training_efficiency": "sum(s / updates) / sum(s)",
    "stability": "1 - sum of falls / sum of s",
    "consistency": "1 - 2 sum of deviations over seeds / sum of means",
}
"""SLM-Lab's measures; s is the mean return of an evaluation above that of random actions."""

Table = tuple[list[str], list[list[str]]]


def write(trials: Sequence[Trial], out: Path, threshold: float | None = None) -> Path:
    """Write `index.html`, `report.md`, and `plots/` with a picture and a CSV for each plot.

    Args:
        trials: see `trials_of`.
        out: the folder, made if it is not there; files of an earlier report in it are replaced.
        threshold: see `compare`.

    Returns:
        The page.

    Raises:
        RunFolderError: the folder cannot be written to.
    """
    rows = compare.compare(trials, threshold)
    ordered = [row.trial for row in rows]
    plots = list(plots_of(ordered))
    with writing(out):
        (out / PLOTS).mkdir(parents=True, exist_ok=True)
    for _, found in plots:
        for plot in found:
            write_bytes(out / PLOTS / f"{plot.name}.png", plot.png())
            write_text(out / PLOTS / f"{plot.name}.csv", _csv(plot))
    write_text(out / MARKDOWN, _markdown(rows, ordered, plots))
    # Secrets are hidden text by text: in the data of a film something may look like one.
    write_bytes(out / PAGE, _page(rows, ordered, plots).encode(errors="backslashreplace"))
    return out / PAGE


def _csv(plot: Plot) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [["" if isinstance(x, float) and math.isnan(x) else x for x in row] for row in plot.rows]
    )
    return out.getvalue()


# What it says


def _differences(trials: Sequence[Trial]) -> Table:
    found = differences(trials)
    return ["key", *(trial.title for trial in trials)], [[key, *values] for key, values in found.items()]


def _measures(trials: Sequence[Trial]) -> Table:
    """SLM-Lab's measures: the mean over seeds, and for each seed where there are several."""
    lines = []
    for trial in trials:
        sessions = [s for s in trial.sessions if len(s.frames) and math.isfinite(s.random_return)]
        curves = [Curve(s.frames, s.updates, s.returns) for s in sessions]
        each = [curve_metrics(curve, s.random_return) for curve, s in zip(curves, sessions, strict=True)]
        if not each:
            continue
        together = {name: _mean([one[name] for one in each]) for name in each[0]}
        together["consistency"] = consistency(curves, [s.random_return for s in sessions])
        lines.append([trial.title, "all", *(_measure(together[name]) for name in MEASURES)])
        if len(each) > 1:
            for session, one in zip(sessions, each, strict=True):
                values = [_measure(one.get(name, math.nan)) for name in MEASURES]
                lines.append([trial.title, str(session.seed), *values])
    return ["trial", "seed", *MEASURES], lines


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _measure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _seeds(trials: Sequence[Trial]) -> Table:
    lines = [
        [trial.title, str(s.seed), s.status, compare.number(s.score), str(s.folder)]
        for trial in trials
        for s in trial.sessions
    ]
    return ["trial", "seed", "status", "score", "folder"], lines


def _origins(trials: Sequence[Trial]) -> Table:
    lines = [
        [str(run.folder), run.command or "-", _revision(run), _versions(run), _host(run)]
        for trial in trials
        for run in trial.runs
    ]
    return ["run", "command", "revision", "versions", "machine"], lines


def _revision(run: Run) -> str:
    sha = run.about.get("git_sha")
    return f"{str(sha)[:10]}{' with changes' if run.about.get('git_dirty') else ''}" if sha else "-"


def _versions(run: Run) -> str:
    found = run.about.get("versions")
    return ", ".join(f"{k} {v}" for k, v in found.items()) if isinstance(found, dict) else "-"


def _host(run: Run) -> str:
    found = run.about.get("host")
    return f"{found.get('system', '-')}, {found.get('cores', '-')} cores" if isinstance(found, dict) else "-"


def _sections(rows: Sequence[compare.Row], trials: Sequence[Trial]) -> Iterator[tuple[str, str, Table]]:
    """Title, remark and table of each section below the plots."""
    if len(trials) > 1:
        yield "Differences of the configurations", "`-`: a configuration does not have the key.", _differences(trials)
    formulas = "; ".join(f"{name} = {formula}" for name, formula in MEASURES.items() if name != "strength")
    remark = f"s: mean return of an evaluation above that of random actions; strength is its mean; {formulas}."
    yield "SLM-Lab's measures", remark, _measures(trials)
    yield "Seeds", "", _seeds(trials)
    yield "Where it comes from", "The command of each run trains it again.", _origins(trials)


def _title(trials: Sequence[Trial]) -> str:
    names = list(dict.fromkeys(f"{trial.label['algo']} on {trial.label['env']}" for trial in trials))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


# As Markdown


def _markdown(rows: Sequence[compare.Row], trials: Sequence[Trial], plots: Sequence[tuple[str, Sequence[Plot]]]) -> str:
    parts = [
        f"# {compare.cell(_title(trials))}",
        f"Written by `rlkit report` on {time.strftime('%Y-%m-%d')}.",
        "## Scores",
    ]
    parts.append(compare.as_markdown(rows))
    for env, found in plots:
        parts.append(f"## {compare.cell(env)}")
        for plot in found:
            title, path = compare.cell(plot.title), f"{PLOTS}/{plot.name}"
            parts.append(f"![{title}]({path}.png)\n\n{title} ([numbers]({path}.csv))")
    for title, remark, (heads, lines) in _sections(rows, trials):
        parts.append(f"## {title}")
        parts += [remark] if remark else []
        table = [heads, ["---"] * len(heads), *lines]
        parts.append("\n".join("| " + " | ".join(compare.cell(text) for text in line) + " |" for line in table))
    return "\n\n".join(parts) + "\n"


# As a page

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --line: #d0d7de; --soft: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --soft: #161b22; } }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
figure { margin: 0; } figure svg, video { width: 100%; height: auto; } figcaption { font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; } tr:hover td { background: var(--soft); }
"""


def _page(rows: Sequence[compare.Row], trials: Sequence[Trial], plots: Sequence[tuple[str, Sequence[Plot]]]) -> str:
    title = _text(_title(trials))
    body = [f"<h1>{title}</h1>", f"<p>Written by rlkit report on {time.strftime('%Y-%m-%d')}.</p>"]
    body += ["<h2>Scores</h2>", _html_table(compare.cells(rows))]
    body.append("<ul>" + "".join(f"<li>{_text(note)}</li>" for note in compare.notes(rows)) + "</ul>")
    for env, found in plots:
        body.append(f"<h2>{_text(env)}</h2><div class='plots'>")
        body += [f"<figure><figcaption>{_text(plot.title)}</figcaption>{plot.svg()}</figure>" for plot in found]
        body.append("</div>")
    if films := list(_films(trials)):
        body += ["<h2>Videos</h2><div class='plots'>", *films, "</div>"]
    for name, remark, table in _sections(rows, trials):
        body += [f"<h2>{_text(name)}</h2>", f"<p>{_text(remark)}</p>" * bool(remark), _html_table(table)]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta http-equiv='Content-Security-Policy' "
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:\">"
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _text(text: str) -> str:
    """A text as a page shows it, without secrets."""
    return html.escape(redact(text))


def _html_table(table: Table) -> str:
    heads, lines = table
    head = "".join(f"<th>{_text(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(text)}</td>" for text in line) + "</tr>" for line in lines)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _films(trials: Sequence[Trial]) -> Iterator[str]:
    """The last video of the first seed that has one, of each trial; one that is too large is named instead."""
    for trial in trials:
        found = [film for session in trial.sessions if (film := _last_film(session)) is not None]
        if not found:
            continue
        caption = _text(f"{trial.title}: {found[0].parent.parent.name}, {found[0].name}")
        if found[0].stat().st_size > MAX_VIDEO_BYTES:
            yield f"<p>{caption}: {_text(str(found[0]))}</p>"
            continue
        data = base64.b64encode(found[0].read_bytes()).decode()
        yield (
            f"<figure><figcaption>{caption}</figcaption>"
            f"<video controls src='data:video/mp4;base64,{data}'></video></figure>"
        )


def _last_film(session: Session) -> Path | None:
    films = [path for path in (session.folder / "videos").glob("*.mp4") if path.is_file() and not path.is_symlink()]
    return max(films, key=lambda path: int(path.stem) if path.stem.isdecimal() else -1, default=None)


def told(page: Path) -> list[str]:
    """Lines that say what was written."""
    return [f"wrote {page}", f"      {page.with_name(MARKDOWN)}, and pictures with their numbers in {PLOTS}/"]
