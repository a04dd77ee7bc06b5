"""Every error that rlkit raises on purpose.

```
RlkitError            the user can mend it; the command line prints it short and exits with 2
├── ConfigError       a key, value or choice of the configuration
├── EnvError          an environment that cannot be made or that misbehaves
├── RunFolderError    a run folder that is missing, unreadable or not writable
├── CheckpointError   a checkpoint that is truncated, altered or of another schema
├── SharingError      the Hub said no, or what is in a repository is not to be trusted
├── DivergedError     a value that is not finite where a number must be
└── SpecError         an SLM-Lab spec that cannot be read, or that has no counterpart here
```

Each message says what was given, what is accepted, and what to do.
"""

from __future__ import annotations


class RlkitError(Exception):
    """Something that the user can mend."""


class ConfigError(RlkitError):
    """A configuration that cannot be run."""


class EnvError(RlkitError):
    """An environment that cannot be made, or that breaks its contract."""


class RunFolderError(RlkitError):
    """A run folder that is missing, unreadable or not writable."""


class CheckpointError(RlkitError):
    """A checkpoint that does not verify."""


class DivergedError(RlkitError):
    """Training produced a value that is not finite."""


class SharingError(RlkitError):
    """The Hub refused a request, was not reached, or holds content that is not trusted."""


class SpecError(RlkitError):
    """An SLM-Lab spec that cannot be converted."""
