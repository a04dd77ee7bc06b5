"""`agent.net` and `agent.critic_net`: their layers and first weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rlkit.legacy.draft import MISSING, Draft
from rlkit.legacy.environments import is_atari
from rlkit.legacy.eras import ENV, MEMORY, NET
from rlkit.legacy.graphs import ACTIVATIONS, NEAREST, graph_layers
from rlkit.legacy.optimisers import map_optimiser
from rlkit.legacy.report import shown

CRITIC = "agent.critic_net"

GAINS = {"relu": math.sqrt(2), "tanh": 5 / 3, "leaky_relu": math.sqrt(2 / (1 + 0.01**2)), "selu": 0.75}
"""torch's recommended gains; 1 for every other activation."""
INITS = {
    "orthogonal_": "orthogonal",
    "xavier_uniform_": "xavier_uniform",
    "xavier_normal_": "xavier_normal",
    "kaiming_uniform_": "kaiming_uniform",
    "kaiming_normal_": "kaiming_normal",
}
SINGLE_STEP = ("sarsa", "sac", "crossq", "a2c_sil", "ppo_sil")
"""Algorithms that learn from single steps: no recurrent nets."""
TWO_NETS = ("a2c", "ppo", "a2c_sil", "ppo_sil")
"""Algorithms whose actor and critic may share a trunk."""
SHAPE = ("type", "hid_layers", "conv_hid_layers", "fc_hid_layers", "arc", "hid_layers_activation", "init_fn")


def map_nets(d: Draft, algo: str) -> None:
    """State the net, the critic's where it is another, and how both are learnt.

    Raises:
        Refused: a network that cannot be built here.
    """
    if algo == "random":
        for block in (NET, CRITIC):
            d.dropped(block, "nothing is learnt")
        return
    shared = bool(d.get(f"{NET}.shared"))
    _net(d, algo, NET, "net", "actor_" if d.spec.has(f"{NET}.actor_arc") else "")
    if algo in TWO_NETS:
        d.values["net.shared"] = shared
        d.line("mapped", f"{NET}.shared", f"net.shared={shown(shared)}")
    else:
        d.dropped(f"{NET}.shared", f"{algo} has no value beside its policy to share with")
    own = [key for key in SHAPE if d.spec.has(f"{NET}.critic_{key}")]
    if algo in ("dqn", "ddqn", "ddqn_per", "sarsa", "reinforce"):
        d.dropped(CRITIC, f"{algo} has no critic")
    elif d.spec.has(CRITIC) and d.get(f"{CRITIC}.type"):
        _net(d, algo, CRITIC, "critic_net", "")
        _drop_rest_of_critic(d)
    elif own and not shared:
        _net(d, algo, NET, "critic_net", "critic_")
    for key in own:
        d.dropped(f"{NET}.critic_{key}", "actor and critic share their layers, or there is no critic")
    for key in SHAPE:
        d.dropped(f"{NET}.actor_{key}", "the layers are given by another key")
    map_optimiser(d, algo)
    for path, why in (
        ("gpu", "device=auto: small networks run on the CPU, others on a GPU if there is one"),
        ("use_same_optim", "one optimiser for both networks here"),
        ("normalize", "pictures are always divided by 255"),
        ("out_layer_activation", "heads are linear"),
        ("cuda_id", "set while running"),
    ):
        d.dropped(f"{NET}.{path}", why)


def _drop_rest_of_critic(d: Draft) -> None:
    for path in d.under(CRITIC):
        same = d.spec.values.get(path.replace(CRITIC, NET)) == d.spec.values[path]
        key = path.removeprefix(f"{CRITIC}.")
        what = "as the net's" if same else "one optimiser's settings for actor and critic; the net's are used"
        d.line("mapped" if same else "changed", path, f"as {NET}.{key}", what)


def _net(d: Draft, algo: str, block: str, target: str, prefix: str) -> None:
    """One network: `prefix` leads its keys where it has its own (`critic_hid_layers`)."""

    def at(key: str) -> str:
        own = f"{block}.{prefix}{key}"
        return own if prefix and d.spec.has(own) else f"{block}.{key}"

    kind = d.word(at("type"), "MLPNet") if d.has(at("type")) else "MLPNet"
    pictures = is_atari(d)
    if kind == "TorchArcNet" or d.spec.has(at("arc")):
        _choose(d, target, "sequential", layers=graph_layers(d, at, target))
    elif kind.startswith("Hydra") or kind == "MLPHeterogenousTails":
        raise d.refusal(
            at("type"), "a network with several inputs and outputs, which rlkit does not have: split the task"
        )
    elif kind in ("ConvNet", "DuelingConvNet") or (pictures and kind != "RecurrentNet"):
        _conv(d, at, target, pictures, kind)
    elif kind == "RecurrentNet" or d.has(at("rnn_hidden_size")):
        _recurrent(d, algo, at, target)
    elif kind in ("MLPNet", "DuelingMLPNet", "QMLPNet", "MLPdefault", "MLPshared", "MLPseparate"):
        _mlp(d, at, target)
    else:
        raise d.refusal(
            at("type"), "not a network that is known (MLPNet, ConvNet, RecurrentNet, Dueling*, TorchArcNet)"
        )
    choice = d.choices["net" if target == "net" else "net@critic_net"]
    dueling = kind.startswith("Dueling")
    if dueling and algo in ("dqn", "ddqn", "ddqn_per"):
        d.values["algo.dueling"] = True
        d.line("mapped", at("type"), f"{target}={choice}, algo.dueling=true")
    elif dueling:
        d.line("changed", at("type"), f"{target}={choice}", f"dueling heads are dqn's; {algo} has plain ones")
    d.line("mapped", at("type"), f"{target}={choice}")
    _initial(d, algo, at, target)
    for path, why in (
        ("batch_norm", "rlkit has no batch normalisation in its nets; net=mlp has layer_norm and batch_renorm"),
        ("bidirectional", "a policy cannot see the future; one direction"),
    ):
        d.dropped(at(path), why if d.get(at(path)) else "off, as here")


def _choose(d: Draft, target: str, choice: str, **values: Any) -> None:
    d.choices["net" if target == "net" else "net@critic_net"] = choice
    d.values.update({f"{target}.{key}": value for key, value in values.items()})


def _activation(d: Draft, path: str, key: str) -> str:
    """The activation that a path names."""
    given = d.word(path, "relu") if d.has(path) else "identity"
    plain = given.lower().replace("_", "").removeprefix("nn.")
    if plain in ACTIVATIONS:
        d.line("mapped", path, f"{key}={ACTIVATIONS[plain]}")
        return ACTIVATIONS[plain]
    if plain in NEAREST:
        d.line("changed", path, f"{key}={NEAREST[plain]}", "the nearest that rlkit has")
        return NEAREST[plain]
    raise d.refusal(path, f"not an activation of rlkit ({', '.join(sorted(set(ACTIVATIONS.values())))})")


def _mlp(d: Draft, at: Callable[[str], str], target: str) -> None:
    nested = d.get(at("hid_layers"))
    if isinstance(nested, list) and any(isinstance(item, list) for item in nested):
        raise d.refusal(
            at("hid_layers"), "a network with several heads and tails, which rlkit does not have: split the task"
        )
    hidden = d.widths(at("hid_layers"))
    hidden += d.widths(at("fc_hid_layers")) if d.get(at("fc_hid_layers")) else []
    _choose(
        d, target, "mlp", hidden=hidden, activation=_activation(d, at("hid_layers_activation"), f"{target}.activation")
    )
    for key in ("hid_layers", "fc_hid_layers"):
        d.line("mapped", at(key), f"{target}.hidden={hidden}")
    if d.get(at("layer_norm")):
        d.mapped(at("layer_norm"), f"{target}.layer_norm", True)
    d.dropped(at("layer_norm"), "off, as here")
    for key in ("conv_hid_layers", "seq_len"):
        d.dropped(at(key), "of another kind of network")


def _conv(d: Draft, at: Callable[[str], str], target: str, pictures: bool, kind: str) -> None:
    """Convolutions; `net=conv` where it can say them, else a list of layers."""
    fully = d.widths(at("fc_hid_layers")) if d.get(at("fc_hid_layers")) else []
    rows = d.get(at("conv_hid_layers"))
    nested = d.get(at("hid_layers"))
    if rows is None and isinstance(nested, list) and len(nested) == 2 and all(isinstance(x, list) for x in nested):
        rows, fully = nested[0], d.widths(at("fc_hid_layers")) or [int(n) for n in nested[1]]
        rows = [row[1:] if isinstance(row, list) and len(row) == 6 else row for row in rows]  # v2 gave the inputs too
    activation = _activation(d, at("hid_layers_activation"), f"{target}.activation")
    if not pictures:
        env = d.values["env.id"]
        widths = fully or d.widths(at("hid_layers"))
        why = f"convolutions need pictures; {env} is taken to have numbers" if env != MISSING else ""
        if env != MISSING:
            _choose(d, target, "mlp", hidden=widths, activation=activation)
            for key in ("type", "conv_hid_layers", "fc_hid_layers", "hid_layers"):
                d.line("changed", at(key), f"{target}=mlp, {target}.hidden={widths}", why)
            return
    if not rows:
        widths = fully or d.widths(at("hid_layers"))
        _choose(d, target, "conv", hidden=widths, activation=activation)
        for key in ("type", "conv_hid_layers", "fc_hid_layers", "hid_layers"):
            d.line(
                "changed",
                at(key),
                f"{target}=conv, {target}.hidden={widths}",
                f"{kind} on pictures; rlkit puts its convolutions first",
            )
        return
    layers, notes = _convolutions(d, at("conv_hid_layers" if d.has(at("conv_hid_layers")) else "hid_layers"), rows)
    if all(layer["padding"] == 0 for layer in layers):
        columns = {"channels": "out", "kernels": "kernel", "strides": "stride"}
        lists = {key: [layer[name] for layer in layers] for key, name in columns.items()}
        _choose(d, target, "conv", **lists, hidden=fully, activation=activation)
        to = ", ".join(f"{target}.{key}={value}" for key, value in lists.items())
    else:
        plain: dict[str, Any] = {"type": "activation", "function": activation}
        chain: list[dict[str, Any]] = []
        for layer in layers:
            chain += [{"type": "conv2d", **layer}, plain]
        chain.append({"type": "flatten"})
        for width in fully:
            chain += [{"type": "linear", "out": width}, plain]
        _choose(d, target, "sequential", layers=chain)
        to = f"{target}.layers, as net=conv has no padding"
    for key in ("conv_hid_layers", "hid_layers"):
        d.line("changed" if notes else "mapped", at(key), to, notes)
    d.line("mapped", at("fc_hid_layers"), f"{target}.hidden={fully}" if fully else "none")
    if d.get(at("batch_norm"), True):
        why = "ConvNet had batch normalisation unless told not to; rlkit's has none"
        if at("batch_norm") in d.spec.values:
            d.dropped(at("batch_norm"), why)
        else:
            d.note("dropped", d.spec.named(at("batch_norm")), why, "true (the default)")


def _convolutions(d: Draft, path: str, rows: Any) -> tuple[list[dict[str, Any]], str]:
    """Rows `[out, kernel, stride, padding, dilation]` as layers, and what had to be left out."""
    layers, notes = [], ""
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, list) or not 1 <= len(row) <= 5:
            raise d.refusal(path, "not rows of [out, kernel, stride, padding, dilation]")
        numbers = []
        for item in row:
            parts = item if isinstance(item, list) else [item]
            if not parts or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in parts):
                raise d.refusal(path, "not rows of [out, kernel, stride, padding, dilation]")
            if len(set(parts)) > 1:
                notes = "kernels are square here: the larger side"
            numbers.append(max(parts))
        out, kernel, stride, padding, dilation = numbers + [3, 1, 0, 1][len(numbers) - 1 :]
        if dilation != 1:
            notes = "convolutions have no dilation here: 1"
        layers.append({"out": out, "kernel": max(1, kernel), "stride": max(1, stride), "padding": padding})
    if not layers:
        raise d.refusal(path, "not rows of [out, kernel, stride, padding, dilation]")
    return layers, notes


def _recurrent(d: Draft, algo: str, at: Callable[[str], str], target: str) -> None:
    """A recurrent network, or for algorithms of single steps the layers of one over stacked observations."""
    hidden = d.widths(at("fc_hid_layers")) if d.get(at("fc_hid_layers")) else []
    hidden = hidden or (d.widths(at("hid_layers")) if d.get(at("hid_layers")) else [])
    width, layers = d.whole(at("rnn_hidden_size"), 64) or 64, d.whole(at("rnn_num_layers"), 1) or 1
    length = d.whole(at("seq_len"), 4) or 4
    path = at("hid_layers_activation")
    activation = _activation(d, path, f"{target}.activation") if d.has(path) else "tanh"
    keys = ("fc_hid_layers", "hid_layers", "rnn_hidden_size", "rnn_num_layers", "cell_type", "seq_len")
    prioritised = "Prioritized" in str(d.get(f"{MEMORY}.name"))
    blind = d.as_run and d.spec.era == "v5"
    if blind or is_atari(d) or algo in SINGLE_STEP or (algo.startswith(("dqn", "ddqn")) and prioritised):
        widths = [*hidden, *[width] * layers]
        learner = f"{algo} with priorities" if prioritised else algo
        why = f"{learner} learns from single steps: an MLP over {length} stacked observations"
        if blind:
            why = "version 5 repeated one observation seq_len times, so that there was no memory"
        elif is_atari(d):
            why = "rlkit's recurrent nets take no pictures; convolutions over stacked ones"
        else:
            d.values["env.frame_stack"] = length
        if is_atari(d):
            _choose(d, target, "conv", hidden=widths)
        else:
            _choose(d, target, "mlp", hidden=widths, activation=activation)
        for key in ("type", *keys):
            d.line("changed", at(key), f"{target}={d.choices.get('net')}, {target}.hidden={widths}", why)
        return
    cell = str(d.get(at("cell_type"), "GRU")).upper()
    choice = "lstm" if cell == "LSTM" else "gru"
    _choose(d, target, choice, hidden=hidden, width=width, layers=layers, activation=activation, sequence_length=length)
    if cell not in ("GRU", "LSTM"):
        d.line("changed", at("cell_type"), f"{target}=gru", "rlkit has gated cells alone")
    d.line("mapped", at("cell_type"), f"{target}={choice}")
    d.line("mapped", at("rnn_hidden_size"), f"{target}.width={width}")
    d.line("mapped", at("rnn_num_layers"), f"{target}.layers={layers}")
    why = "gradients flow back so far; the state is carried through the episode, where SLM-Lab stacked observations"
    d.line("changed", at("seq_len"), f"{target}.sequence_length={length}", why)
    for key in ("fc_hid_layers", "hid_layers"):
        d.line("mapped", at(key), f"{target}.hidden={hidden}")
    if d.spec.has(f"{ENV}.frame_op"):
        d.values["env.frame_stack"] = 1


def _initial(d: Draft, algo: str, at: Callable[[str], str], target: str) -> None:
    """First weights: the gain of the activation in every layer, heads too; torch's own where nothing is said."""
    path = at("init_fn")
    given = d.get(path)
    activation = str(
        d.values.get(f"{target}.activation", ACTIVATIONS.get(str(d.get(at("hid_layers_activation"))), "relu"))
    )
    if given is None or not isinstance(given, str) or not given.endswith("_"):
        d.values[f"{target}.init"] = "torch"
        d.line("mapped", path, f"{target}.init=torch")
    else:
        init = INITS.get(given, "torch")
        gain = round(GAINS.get(activation, 1.0), 6)
        d.values[f"{target}.init"] = init
        gains = (
            {f"{target}.{key}": gain for key in ("hidden_gain", "policy_gain", "value_gain")} if init != "torch" else {}
        )
        d.values.update(gains)
        to = ", ".join([f"{target}.init={init}", *(f"{key}={value}" for key, value in gains.items())])
        d.line("mapped" if given in INITS else "changed", path, to, "" if given in INITS else "rlkit does not begin so")
    for key, gain_key in (("actor_init_std", "policy_gain"), ("critic_init_std", "value_gain")):
        path = f"{NET}.{key}"
        if not d.has(path):
            d.dropped(path, "null: as the other layers")
        elif d.as_run and algo in TWO_NETS:
            d.line("dropped", path, why="was renamed on its way to the network and had no effect")
        elif d.values[f"{target}.init"] == "torch":
            d.line("dropped", path, why="gains count together with init_fn")
        else:
            d.mapped(path, f"{target}.{gain_key}", d.number(path))
