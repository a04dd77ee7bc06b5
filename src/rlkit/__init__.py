"""rlkit: reinforcement-learning experiments that can be trusted and repeated.

```python
from rlkit import compose, train

result = train(compose(["algo=ppo", "env=cartpole"]))
print(result.final_return.mean)
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlkit.api import evaluate, resume, train
    from rlkit.config.algorithms import extend
    from rlkit.config.schema import compose
    from rlkit.legacy.convert import convert
    from rlkit.training.agent import load

__all__ = ["compose", "convert", "evaluate", "extend", "load", "resume", "train"]

_HOMES = {
    "compose": "rlkit.config.schema",
    "convert": "rlkit.legacy.convert",
    "evaluate": "rlkit.api",
    "extend": "rlkit.config.algorithms",
    "load": "rlkit.training.agent",
    "resume": "rlkit.api",
    "train": "rlkit.api",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that `rlkit --help` waits for nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rlkit' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
