"""From a spec file to configurations that compose, each with a report beside it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rlkit.config.schema import complete
from rlkit.errors import ConfigError, SpecError
from rlkit.legacy.algorithms import UNKNOWN, map_algorithm
from rlkit.legacy.draft import MISSING, Draft
from rlkit.legacy.environments import is_atari, map_env
from rlkit.legacy.eras import ENV, META, Spec, lay_out, leaves, today_of
from rlkit.legacy.meta import map_meta
from rlkit.legacy.networks import map_nets
from rlkit.legacy.read import VARIABLE, SpecFile, number_or_text, read, substitute
from rlkit.legacy.report import Line, Refused, Report, shown
from rlkit.legacy.search import map_parameters, map_search, scheduler_of, sweeper_entries

ORDER = (
    "name",
    "seed",
    "seeds",
    "frames",
    "num_envs",
    "env",
    "net",
    "critic_net",
    "memory",
    "algo",
    "eval",
    "log",
    "search",
)
MAX_SPECS = 200
"""Specs in one file; the known ones have up to 19."""
GROUPS = ("algo", "env", "memory", "net", "net@critic_net")


@dataclass(frozen=True)
class Conversion:
    """One spec: its configuration, if it has one, and its report."""

    report: Report
    path: Path | None = None
    """Where the configuration was written; None if the spec was refused."""
    yaml: str = ""
    replaced: bool = False
    """Whether another configuration stood there before."""
    missing: list[str] = field(default_factory=list)
    """Keys that are left to be given: `env.id`, `frames`."""

    @property
    def choice(self) -> str:
        """What `+legacy=` takes."""
        return f"{self.path.parent.name}/{self.path.stem}" if self.path else ""

    @property
    def swept(self) -> bool:
        """Whether `-m` runs a sweep."""
        return "\nhydra:" in self.yaml


def convert(
    file: str | Path,
    name: str | None = None,
    *,
    out: str | Path = ".",
    as_run: bool = False,
    strict: bool = False,
    variables: Mapping[str, Any] | None = None,
    report: str | Path | None = None,
) -> list[Conversion]:
    """Convert the specs of a file into `<out>/conf/legacy/<file>/<spec>.yaml`, a report beside each.

    Args:
        file: JSON (also with trailing commas) or YAML, of SLM-Lab 2 to 5, or saved in a data folder of its.
        name: one spec of the file; all if not given.
        out: the folder in which `conf/` is, or is made.
        as_run: reproduce what that version of SLM-Lab did where it differs from what the spec says.
        strict: mend nothing while reading, and refuse what would be lost: unknown keys, dimensions of the search, an
            environment that has gone.
        variables: values for `${...}` of templates.
        report: a file for all the reports, as JSON if it ends in .json.

    Returns:
        One conversion a spec, refused ones included.

    Raises:
        SpecError: the file cannot be read, or nothing in it could be converted.
        RunFolderError: the folder cannot be written.
    """
    if report is not None and Path(report).resolve() == Path(file).resolve():
        raise SpecError(f"--report {report} is the spec file itself, which would be replaced\n  give another file")
    source = read(file, strict=strict)
    if len(source.specs) > MAX_SPECS:
        raise SpecError(f"{source.path} has {len(source.specs):,} specs\n  accepted: up to {MAX_SPECS}; split the file")
    if name is not None and name not in source.specs:
        raise SpecError(f"{source.path} has no spec {shown(name, 60)}\n  it has: {shown(', '.join(source.specs), 300)}")
    filled = _variables(source, variables or {})
    folder = Path(out) / "conf" / "legacy" / plain(source.stem)
    taken: set[str] = set()
    stems = {spec_name: _unique(plain(spec_name), taken) for spec_name in source.specs}
    if report is not None and Path(report).resolve() in {
        (folder / f"{stem}.yaml").resolve() for stem in stems.values()
    }:
        raise SpecError(f"--report {report} is where a configuration goes\n  give another file")
    conversions = [
        _convert(source, spec_name, folder / f"{stems[spec_name]}.yaml", filled, as_run=as_run, strict=strict)
        for spec_name in source.specs
        if name in (None, spec_name)
    ]
    if report is not None:
        _write_reports(Path(report), [conversion.report for conversion in conversions])
    if not any(conversion.path for conversion in conversions):
        raise SpecError("\n".join(conversion.report.refusal for conversion in conversions))
    return conversions


def _variables(source: SpecFile, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `--set`, numbers as numbers.

    Raises:
        SpecError: no spec of the file has such a variable.
    """
    there = {found for raw in source.specs.values() for found in VARIABLE.findall(json.dumps(raw, default=str))}
    if unused := sorted(set(given) - there):
        has = ", ".join(f"${{{found}}}" for found in sorted(there)) or "no ${...} at all"
        raise SpecError(f"--set {unused[0]}: no spec of {source.path} has ${{{unused[0]}}}\n  it has {shown(has)}")
    return {key: number_or_text(value) if isinstance(value, str) else value for key, value in given.items()}


def _convert(
    source: SpecFile, name: str, path: Path, variables: dict[str, Any], *, as_run: bool, strict: bool
) -> Conversion:
    """Convert one spec, and write its configuration and its report if it has one."""
    from rlkit.runs.folder import write_text, writing

    report = Report(source.path, shown(name, 80), notes=source.notes)
    comments = [*source.comments.get("", []), *source.comments.get(name, [])]
    refusal = ""
    try:
        draft = _map(substitute(source.specs[name], variables), report, as_run=as_run, strict=strict)
        text, lines = _yaml(draft, f"{path.parent.name}/{path.stem}", comments), report.text()
    except (Refused, ConfigError) as error:
        refusal = _one_line(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # a value in a shape that no version wrote; the other specs of the file are converted all the same
        refusal = f"the spec cannot be understood ({type(error).__name__}: {_one_line(error)}); please report it"
    if refusal:
        older = f" (an older conversion is still at {shown(str(path), 300)})" if path.is_file() else ""
        report.refusal = f"{source.path}: {report.name}: {refusal}{older}"
        return Conversion(report)
    before = path.read_text(encoding="utf-8") if path.is_file() else text
    with writing(path.parent, elsewhere="--out DIR"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text, elsewhere="--out DIR")
    write_text(path.with_suffix(".report.txt"), lines, elsewhere="--out DIR")
    return Conversion(report, path, text, before != text, [k for k, value in draft.values.items() if value == MISSING])


def _write_reports(path: Path, reports: list[Report]) -> None:
    from rlkit.runs.folder import write_text, writing

    if path.suffix == ".json":
        text = json.dumps([report.data() for report in reports], indent=1, default=str) + "\n"
    else:
        text = "\n".join(report.text() for report in reports)
    with writing(path, elsewhere="--report FILE"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text, elsewhere="--report FILE")


def show(conversions: list[Conversion], out: Path) -> str:
    """What the command line prints: the report of one spec, or a line for each of several."""
    done = [c for c in conversions if c.path]
    if len(conversions) == 1:
        lines = [conversions[0].report.text()]
    else:
        width = max(len(c.report.name) for c in conversions)
        lines = [f"{c.report.name:<{width}}  {c.report.counts if c.path else 'refused'}" for c in conversions]
        lines += ["", *(f"refused: {c.report.refusal}" for c in conversions if c.report.refusal)]
    replaced = [str(c.path) for c in done if c.replaced]
    first = done[0]
    missing = " ".join(f"{key}=..." for key in first.missing)
    here = "" if out == Path() else f"cd {out} && "
    lines += [
        f"{len(done)} of {len(conversions)} converted, in {first.path and first.path.parent}; a report beside each",
        *(f"replaced: {path}" for path in replaced),
        f"train:  {here}rlkit +legacy={first.choice}{' ' * bool(missing)}{missing}",
    ]
    if swept := next((c for c in done if c.swept), None):
        lines.append(f"search: {here}rlkit -m +legacy={swept.choice}")
    return "\n".join(line for i, line in enumerate(lines) if line or (i and lines[i - 1]))


def plain(name: str) -> str:
    """A name of a file and of a Hydra choice: letters, digits, `_` and `-`; no path can be in it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:100] or "spec"


def _unique(stem: str, taken: set[str]) -> str:
    """The stem, or with a number if another spec of the file has it."""
    unique = next(s for n in range(1, len(taken) + 2) if (s := stem if n == 1 else f"{stem}_{n}").lower() not in taken)
    taken.add(unique.lower())
    return unique


# One spec


def _map(raw: dict[str, Any], report: Report, *, as_run: bool, strict: bool) -> Draft:
    """Map a spec; the draft has every value, and its report a line for every key.

    Raises:
        Refused: it, or with `strict` a part of it, has no counterpart.
        ConfigError: what it came to is nothing that rlkit accepts.
    """
    remaps: dict[str, Callable[[Any], Draft]] = {}
    parameters = raw.get("spec_params")
    whole = raw
    if isinstance(parameters, dict):
        lists = {str(k): v if isinstance(v, list) else [v] for k, v in parameters.items()}
        if any(len(values) > MAX_SPECS for values in lists.values()):
            raise Refused("spec_params", f"more than {MAX_SPECS} values of one variable; split them")
        rest = {key: value for key, value in raw.items() if key != "spec_params"}
        usable = {k: next((v for v in vs if _usable(rest, lists, k, v, as_run)), None) for k, vs in lists.items()}
        first = {k: v for k, v in usable.items() if v is not None}
        whole = {**substitute(rest, first), "spec_params": parameters}
        for variable in lists:
            remaps[variable] = functools.partial(_with, rest, first, variable, as_run)
    draft = _core(lay_out(whole), report, as_run)
    if isinstance(parameters, dict):
        shape = lay_out(raw)
        for path, value in shape.values.items():
            if isinstance(value, str) and VARIABLE.search(value):
                _template_line(report, shape.named(path), value)

    def remap(path: str, value: Any) -> Draft:
        values = {key: v for key, v in draft.spec.values.items() if key != path and not key.startswith(f"{path}.")}
        values.update({".".join((path, *tail)): leaf for tail, leaf in leaves(value)})
        return _core(replace(draft.spec, values=values), Report(report.file, report.name), as_run)

    sweep = map_search(draft, remap, _check)
    map_parameters(draft, remaps, _check, sweep)
    map_meta(draft, sampled=bool(sweep.params) and not sweep.grid)
    trials = draft.whole(f"{META}.max_trial", 1) or 1
    groups, entries = sweeper_entries(sweep, trials, scheduler_of(draft))
    for path in list(draft.spec.values):
        if path.startswith(("search.agent.", "search.env.")):
            draft.dropped(path, "of another agent or environment than the spec's one")
        elif path.startswith(("search", "spec_params")):
            draft.dropped(path, "empty, or not a block of keys")
        draft.dropped(path, UNKNOWN)
    draft.account()
    draft.choices.update(groups)
    draft.extra = entries
    _check(draft)
    if strict and (odd := [line for line in report.lines if _lost(line)]):
        raise Refused(odd[0].key, f"{odd[0].why} (--strict)")
    return draft


def _lost(line: Line) -> bool:
    """Whether a line is of something that the author asked for and does not get."""
    searched = line.kind == "dropped" and line.key.startswith("search.") and line.value not in ({}, [], None)
    return searched or line.why == UNKNOWN or line.kind == "refused"


def _core(spec: Spec, report: Report, as_run: bool) -> Draft:
    """What does not depend on the search."""
    report.era = spec.era
    draft = Draft(replace(spec, values=dict(spec.values)), report, as_run)
    for path in spec.values:
        if (today := today_of(path, spec)) != path:
            draft.dropped(path, f"an old name of {today}, which is there too")
    map_env(draft)
    map_nets(draft, map_algorithm(draft))
    return draft


def _usable(rest: dict[str, Any], lists: dict[str, list[Any]], variable: str, value: Any, as_run: bool) -> bool:
    others = {k: v[0] for k, v in lists.items() if v}
    try:
        _known(rest, {**others, variable: value}, as_run)
    except Refused:
        return False
    return True


def _with(rest: dict[str, Any], first: dict[str, Any], variable: str, as_run: bool, value: Any) -> Draft:
    return _known(rest, {**first, variable: value}, as_run)


def _known(rest: dict[str, Any], variables: dict[str, Any], as_run: bool) -> Draft:
    """The spec with its variables filled.

    Raises:
        Refused: its environment has gone.
    """
    draft = _core(lay_out(substitute(rest, variables)), Report("", ""), as_run)
    if draft.values["env.id"] == MISSING:
        raise Refused(f"{ENV}.name", f"{draft.get(f'{ENV}.name')} has no successor")
    return draft


def _template_line(report: Report, key: str, value: str) -> None:
    """Say of a key what its template was: the line has the first value of spec_params."""
    for i, line in enumerate(report.lines):
        if line.key == key:
            why = f"{value} in the spec; the first of spec_params stands here" + (f"; {line.why}" if line.why else "")
            report.lines[i] = replace(line, kind="changed" if line.kind == "mapped" else line.kind, why=why)


def _check(d: Draft) -> None:
    """Compose it as it will be composed; what is still to be given has a sample in its place."""
    values = {key: value for key, value in d.values.items() if value != MISSING}
    if d.values["env.id"] == MISSING:
        values["env.id"] = "ALE/Pong-v5" if is_atari(d) else "CartPole-v1"
    choices = {group: d.choices[group] for group in GROUPS if group in d.choices}
    if choices["env"] != "atari":
        choices["env"] = "gym"  # a file of one environment sets its id alone, which is among the values
    complete({**choices, "family": "none", "tuned": "none"}, nested(values))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`, in the order of rlkit's own files."""
    tree: dict[str, Any] = {}
    rank = {key: i for i, key in enumerate(ORDER)}
    for key, value in sorted(values.items(), key=lambda item: rank.get(item[0].split(".")[0], len(ORDER))):
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def _yaml(d: Draft, choice: str, comments: list[str]) -> str:
    """The text of a configuration."""
    changed = len(d.report.of("changed")) + len(d.report.of("dropped")) + len(d.report.of("refused"))
    head = [
        "# @package _global_",
        f"# rlkit convert made this from {d.report.file}, spec {d.report.name}",
        f"# (format {d.spec.era}, read {d.report.reading}).",
        f"#   train:  rlkit +legacy={choice}",
        *([f"#   search: rlkit -m +legacy={choice}"] if d.extra else []),
        f"# {changed} keys are here in another form or not at all: see {choice.split('/')[-1]}.report.txt.",
        *(f"#   | {comment}" for comment in comments),
    ]
    overrides = [f"  - override /{group}: {d.choices[group]}" for group in GROUPS if group in d.choices]
    overrides += [f"  - override /{group}: {c}" for group, c in d.choices.items() if group not in GROUPS]
    values = {**nested(d.values), **d.extra}
    body = yaml.dump(values, Dumper=_Plain, sort_keys=False, width=110, default_flow_style=None)
    return "\n".join(
        [*head, "defaults:", *overrides, "  - override /family: none", "  - override /tuned: none", "  - _self_", body]
    )


class _Plain(yaml.SafeDumper):
    """Writes what appears twice twice, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def _one_line(error: Exception) -> str:
    return shown(" ".join(str(error).split()), 300)
