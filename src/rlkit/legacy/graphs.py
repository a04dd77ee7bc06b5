"""Graphs of torcharc, version 5.1's way to write a network, as the layers of `net=sequential`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlkit.legacy.draft import Draft
from rlkit.legacy.report import shown

ACTIVATIONS = {
    "relu": "relu",
    "tanh": "tanh",
    "selu": "selu",
    "leakyrelu": "leaky_relu",
    "sigmoid": "sigmoid",
    "elu": "elu",
    "gelu": "gelu",
    "silu": "silu",
    "swish": "silu",
    "softplus": "softplus",
    "identity": "identity",
}
NEAREST = {
    "relu6": "relu",
    "prelu": "leaky_relu",
    "rrelu": "leaky_relu",
    "celu": "elu",
    "mish": "silu",
    "hardtanh": "tanh",
}
"""What has no like here -> the nearest."""


def graph_layers(d: Draft, at: Callable[[str], str], target: str) -> list[dict[str, Any]]:
    """A chain of torcharc modules as layers.

    Raises:
        Refused: the graph branches, or has a layer that is not here.
    """
    block = at("arc")
    if d.spec.has(at("arc_file")):
        raise d.refusal(at("arc_file"), "in another file, which is not read: put the graph into the spec")
    layers = []
    for name in _chain(d, block):
        module = {p: v for p, v in d.spec.values.items() if p.startswith(f"{block}.modules.{name}.")}
        for path, value in module.items():
            kind = path.removeprefix(f"{block}.modules.{name}.")
            items = value if kind == "Sequential" and isinstance(value, list) else [{kind.split(".")[0]: None}]
            if (kind != "Sequential" and "." in kind) or (kind in ("", "Sequential") and not isinstance(value, list)):
                raise d.refusal(path, "not a Sequential list of layers, which is what net=sequential can build")
            layers += [layer for item in items if (layer := _layer(d, path, item)) is not None]
    for path in d.under(block):
        d.line("mapped", path, f"{target}.layers ({len(layers)} of them)")
    for key in ("hid_layers_activation", "hid_layers", "conv_hid_layers", "fc_hid_layers", "layer_norm"):
        if key == "hid_layers_activation" and d.has(at("init_fn")):
            d.line("mapped", at(key), f"{target}.hidden_gain (its gain; the layers have their own activations)")
        d.dropped(at(key), "the layers are those of arc")
    return layers


def _chain(d: Draft, block: str) -> list[str]:
    """The modules of a graph in their order.

    Raises:
        Refused: the graph branches or joins.
    """
    prefix = f"{block}.modules."
    names = list(dict.fromkeys(p.removeprefix(prefix).split(".")[0] for p in d.spec.values if p.startswith(prefix)))
    if not names:
        raise d.refusal(block, "a graph without modules")
    feeds = {name: d.get(f"{block}.graph.modules.{name}", []) for name in names}
    if len(names) == 1:
        return names
    order: list[str] = []
    at = d.get(f"{block}.graph.input", "x")
    while len(order) < len(names):
        following = [name for name in names if feeds[name] in ([at], at) and name not in order]
        if len(following) != 1:
            raise d.refusal(
                f"{block}.graph.input", "the start of a graph that branches or joins; net=sequential is one chain"
            )
        order.append(following[0])
        at = following[0]
    return order


def _layer(d: Draft, path: str, item: Any) -> dict[str, Any] | None:
    """One torcharc layer; None for those without effect."""
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, dict) or len(item) != 1:
        raise d.refusal(path, "not a list of layers")
    kind, options = next(iter(item.items()))
    options = options if isinstance(options, dict) else {}
    name = str(kind).removeprefix("Lazy")

    def whole(key: str, default: Any = None) -> int:
        value = options.get(key, default)
        value = value[0] if isinstance(value, list) and value and value == value[:1] * len(value) else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise d.refusal(
                path, f"a layer {shown(str(kind), 30)} with {key} {shown(value, 20)}; a whole number is wanted"
            )
        return value

    if name == "Linear":
        return {"type": "linear", "out": whole("out_features")}
    if name == "Conv2d":
        if options.get("dilation", 1) not in (1, [1, 1]) or options.get("groups", 1) != 1:
            raise d.refusal(path, "a convolution with dilation or groups, which net=sequential has not")
        sizes = {"kernel": whole("kernel_size", 3), "stride": whole("stride", 1), "padding": whole("padding", 0)}
        return {"type": "conv2d", "out": whole("out_channels"), **sizes}
    if name == "BatchRenorm1d":
        keys = {"momentum": "momentum", "eps": "eps", "warmup_steps": "warmup_updates"}
        given = {new: options[old] for old, new in keys.items() if isinstance(options.get(old), int | float)}
        return {"type": "batch_renorm", **given}
    if name == "LayerNorm":
        return {"type": "layer_norm", **({"eps": options["eps"]} if isinstance(options.get("eps"), float) else {})}
    if name == "Flatten":
        return {"type": "flatten"}
    if name in ("Identity", "Dropout"):
        d.note("dropped", d.spec.named(path), "no such layer here; it changes nothing, or only noise", name)
        return None
    plain = name.lower()
    if plain in ACTIVATIONS or plain in NEAREST:
        return {"type": "activation", "function": ACTIVATIONS.get(plain) or NEAREST[plain]}
    accepted = "linear, conv2d, activation, layer_norm, batch_renorm and flatten"
    raise d.refusal(path, f"a graph with a layer {shown(str(kind), 30)}; net=sequential has {accepted}")
