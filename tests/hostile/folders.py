"""Ways to harm a run folder, each a function that changes one in place. Their names say what they are."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file, save_file

from rlkit.runs.manifest import fingerprint, numbered

Harm = Callable[[Path], None]

DEEP = 100_000
ZERO = Path("/dev/zero")


def newest(run: Path) -> Path:
    """The newest checkpoint of the first session."""
    return numbered(run / "session_0" / "checkpoints")[-1]


def vouch(checkpoint: Path) -> None:
    """Write the right hashes of a checkpoint's files into its manifest."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"] = {name: fingerprint(checkpoint / name) for name in manifest["files"]}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def text(name: str, content: str | bytes) -> Harm:
    """Other content in a file of the run."""
    return lambda run: (run / name).write_bytes(content if isinstance(content, bytes) else content.encode()) and None


def value(path: str, new: Any) -> Harm:
    """Another value in config.yaml."""

    def harm(run: Path) -> None:
        file = run / "config.yaml"
        config = yaml.safe_load(file.read_text())
        *above, last = path.split(".")
        node = config
        for key in above:
            node = node[key]
        node[last] = new
        file.write_text(yaml.safe_dump(config))

    return harm


def pipe(name: str) -> Harm:
    """A pipe that nobody writes to, in place of a file."""

    def harm(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return harm


def listener(name: str) -> Harm:
    """A socket in place of a file."""

    def harm(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        here = Path.cwd()
        os.chdir((run / name).parent)  # the path of a socket is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(Path(name).name)
        os.chdir(here)

    return harm


def link(name: str, target: Path) -> Harm:
    """A link in place of a file or folder."""

    def harm(run: Path) -> None:
        place = run / name
        if place.is_dir() and not place.is_symlink():
            place.rename(run.parent / "moved")
        else:
            place.unlink(missing_ok=True)
        place.symlink_to(target if target.is_absolute() else run.parent / target)

    return harm


def both(*harms: Harm) -> Harm:
    """One after the other."""

    def harm(run: Path) -> None:
        for each in harms:
            each(run)

    return harm


def folder(name: str) -> Harm:
    """A folder in place of a file."""

    def harm(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).mkdir()

    return harm


def part(name: str, change: Callable[[Any], Any]) -> Harm:
    """Another JSON part in the newest checkpoint, with the right hash."""

    def harm(run: Path) -> None:
        file = newest(run) / name
        file.write_text(json.dumps(change(json.loads(file.read_text()))))
        vouch(newest(run))

    return harm


def raw(name: str, content: bytes) -> Harm:
    """Other bytes in a file of the newest checkpoint, with the right hash."""

    def harm(run: Path) -> None:
        (newest(run) / name).write_bytes(content)
        vouch(newest(run))

    return harm


def arrays(name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Harm:
    """Other arrays in a file of the newest checkpoint, with the right hash."""

    def harm(run: Path) -> None:
        file = newest(run) / name
        changed = {key: np.ascontiguousarray(array) for key, array in change(load_file(file)).items()}
        save_file(changed, file)
        vouch(newest(run))

    return harm


def manifest(change: Callable[[Any], Any]) -> Harm:
    """Another manifest of the newest checkpoint."""

    def harm(run: Path) -> None:
        file = newest(run) / "manifest.json"
        file.write_text(json.dumps(change(json.loads(file.read_text()))))

    return harm


def of_newest(harm: Callable[[str], Harm], name: str) -> Harm:
    """The same for a file of the newest checkpoint."""
    return lambda run: harm(str((newest(run) / name).relative_to(run)))(run)


def copied(name: str) -> Harm:
    """A further checkpoint of an odd name, empty."""
    return lambda run: (run / "session_0" / "checkpoints" / name).mkdir()


def widened(all_: dict[str, Any]) -> dict[str, Any]:
    """The largest array twice as long."""
    largest = max(all_, key=lambda name: all_[name].size)
    return {**all_, largest: np.concatenate([all_[largest], all_[largest]])}


def set_key(key: str, new: Any) -> Callable[[Any], Any]:
    """Another value of one key."""
    return lambda document: {**document, key: new}


def alias_bomb() -> str:
    """A hundred million values in a few lines."""
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(9)]
    return "\n".join(lines)


DEEP_JSON = '{"a":' * DEEP + "1" + "}" * DEEP
METRICS, EVALS = "session_0/metrics.jsonl", "session_0/eval.jsonl"

REFUSED: dict[str, Harm] = {
    "config: binary": text("config.yaml", bytes(range(256)) * 10),
    "config: latin-1": text("config.yaml", "name: é".encode("latin-1")),
    "config: empty": text("config.yaml", ""),
    "config: a list": text("config.yaml", "[1, 2]"),
    "config: a number": text("config.yaml", "3"),
    "config: deep": text("config.yaml", "[" * DEEP),
    "config: deep mappings": text("config.yaml", "{a: " * 3000 + "1" + "}" * 3000),
    "config: aliases": text("config.yaml", alias_bomb()),
    "config: an alias of itself": text("config.yaml", "a: &a [*a]"),
    "config: a Python object": text("config.yaml", "!!python/object/apply:os.system [touch exploded]"),
    "config: large": text("config.yaml", "a: " + "x" * 10_000_000),
    "config: a tab": text("config.yaml", "a:\n\tb: 1"),
    "config: a date that is none": text("config.yaml", "a: 2026-99-99"),
    "config: a pipe": pipe("config.yaml"),
    "config: a socket": listener("config.yaml"),
    "config: a folder": folder("config.yaml"),
    "config: endless": link("config.yaml", ZERO),
    "config: a link out": link("config.yaml", Path("/etc/passwd")),
    "config: a link to itself": lambda run: link("config.yaml", run / "config.yaml")(run),
    "config: another algorithm": value("algo.name", "pppo"),
    "config: no algorithm": value("algo", None),
    "config: an algorithm that is a list": value("algo", [1]),
    "config: a variable for the environment": value("env.id", "${oc.env:HOME}"),
    "config: a variable for a number": value("frames", "${oc.env:SOME_NUMBER}"),
    "config: a variable for an argument": value("env.kwargs", {"x": "${oc.env:HOME}"}),
    "config: many layers": value("net", {"name": "sequential", "layers": [{"type": "linear", "out": 1}] * 15_000}),
    "config: many hidden layers": value("net.hidden", [1] * 15_000),
    "config: wide layers": value("net.hidden", [10**9, 10**9]),
    "config: huge numbers": value("frames", 10**400),
    "config: threads": value("threads", 10**6),
    "config: a number for a boolean": value("net.layer_norm", 99),
    "config: a hidden value": value("env.kwargs", {"key": "[hidden]"}),
    "config: an unknown key": value("net.layers", 3),
    "config: a missing value": value("env.id", "???"),
    "session: a link out": link("session_0", Path("moved")),
    "checkpoints: a link out": link("session_0/checkpoints", Path("moved")),
    "metrics: a pipe": pipe(METRICS),
    "metrics: endless": link(METRICS, ZERO),
    "evals: a pipe": pipe(EVALS),
    "timing: a link out": link("session_0/timing.jsonl", Path("written")),
    "log: a pipe": pipe("run.log"),
    "log: a link out": link("run.log", Path("written")),
    "lock: a pipe": pipe(".lock"),
    "lock: a link out": link(".lock", Path("written")),
    "plots: a link out": link("plots/learning_curve.png", Path("written")),
    "run.json: a pipe": pipe("run.json"),
    "run.json: endless": link("run.json", ZERO),
    "result: a pipe": pipe("result.json"),
    "result: endless": link("session_0/result.json", ZERO),
}
"""Nothing can be done with these."""

OLDER: dict[str, Harm] = {
    "manifest: a pipe": of_newest(pipe, "manifest.json"),
    "manifest: endless": of_newest(lambda name: link(name, ZERO), "manifest.json"),
    "manifest: deep": lambda run: (newest(run) / "manifest.json").write_text(DEEP_JSON) and None,
    "manifest: a list": manifest(lambda m: [m]),
    "manifest: lists nothing": manifest(set_key("files", {})),
    "manifest: files are null": manifest(set_key("files", None)),
    "manifest: null entries": manifest(lambda m: {**m, "files": dict.fromkeys(m["files"])}),
    "manifest: entries of another form": manifest(lambda m: {**m, "files": {name: [1] for name in m["files"]}}),
    "manifest: another schema": manifest(set_key("schema", [{"x": 1}])),
    "manifest: a way out": manifest(
        lambda m: {**m, "files": {**m["files"], "../../../../../etc/passwd": {"bytes": 1, "sha256": "0" * 64}}}
    ),
    "weights: a pipe": of_newest(pipe, "weights.safetensors"),
    "weights: no tensors": raw("weights.safetensors", b"hello"),
    "weights: an endless header": raw("weights.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
    "weights: some are missing": arrays("weights.safetensors", lambda a: dict(list(a.items())[1:])),
    "weights: another shape": arrays("weights.safetensors", widened),
    "weights: another type": arrays(
        "weights.safetensors", lambda a: {key: array.astype(np.float64) for key, array in a.items()}
    ),
    "envs: a list": part("envs.json", lambda p: [p]),
    "envs: deep": raw("envs.json", DEEP_JSON.encode()),
}
"""The newest checkpoint of these is no good, for acting and for training; the one before is taken."""

OLDER_FOR_TRAINING: dict[str, Harm] = {
    "session: another form": part("session.json", lambda p: {"frames": "many"}),
    "session: frames of another": part("session.json", set_key("frames", 7)),
    "session: no phases": part("session.json", set_key("phases", {"x": 1})),
    "session: null": part("session.json", lambda p: None),
    "streams: another form": part("streams.json", lambda p: {"acting": 3}),
    "streams: another generator": part("streams.json", set_key("acting", {"bit_generator": "MT19937"})),
    "envs: no environments": part("envs.json", set_key("episode", 3)),
    "envs: a reference to nothing": part("envs.json", set_key("lengths", {"__array__": "nothing", "numpy": True})),
    "envs: another backend": part("envs.json", set_key("backend", [1])),
    "envs: other arrays": arrays("envs.safetensors", lambda a: {k: v[..., None] for k, v in a.items()}),
    "algo: another form": part("algo.json", lambda p: {"optim": 3}),
    "algo: other moments": arrays("algo.safetensors", widened),
    "algo: moments of another type": arrays("algo.safetensors", lambda a: {k: v.astype(np.int8) for k, v in a.items()}),
    "algo: no moments": arrays("algo.safetensors", lambda a: {}),
}
"""The same, where acting needs nothing of what is wrong."""

HARMLESS: dict[str, Harm] = {
    "a checkpoint named with a superscript": copied("²"),
    "a checkpoint named in Arabic digits": copied("١٢"),
    "a checkpoint with leading zeros": copied("00012"),
    "a checkpoint named with a sign": copied("+12"),
    "metrics: not UTF-8": text(METRICS, b"\xff\xfe\x00" * 100),
    "metrics: no frames": text(METRICS, '{"x": 1}\n' * 3),
    "metrics: lists": text(METRICS, "[1]\n[2]\n"),
    "metrics: deep": text(METRICS, DEEP_JSON + "\n"),
    "metrics: one long line": text(METRICS, b"\0" * 5_000_000),
    "evals: no means": text(EVALS, '{"frames": 1}\n'),
    "run.json: a link beside it": link(".run.json.partial", Path("written")),
    "metrics: a link beside it": both(text(METRICS, "{\n"), link(f"{METRICS}.damaged", Path("written"))),
    "latest: a link out": link("session_0/checkpoints/latest", Path("/etc")),
}
"""What these hold is left out; training continues from the newest checkpoint."""
