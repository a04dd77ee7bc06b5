"""Shell completion of rlkit's verbs, beside Hydra's of groups and keys."""

from __future__ import annotations


def offered(line: str) -> list[str] | None:
    """The words for a command line that is being typed; None where Hydra has them.

    After a verb there are none, and the shell offers files. A first word that begins like verbs is one of them.

    Args:
        line: up to the cursor, as shells give it in `COMP_LINE`.
    """
    from rlkit.cli.verbs import VERBS

    words = line.split()[1:]
    if not words or (len(words) == 1 and not line.endswith(" ")):
        begun = words[0] if words else ""
        found = [verb for verb in VERBS if verb.startswith(begun)]
        return found if begun and found else None
    return [] if words[0] in VERBS else None
