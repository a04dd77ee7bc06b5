"""Ways to step `N` environments at once. None resets by itself: `envs/vector.py` says what and when."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState

from rlkit.envs.adapter import EnvFailureError
from rlkit.envs.layout import is_picture
from rlkit.errors import EnvError

if TYPE_CHECKING:
    from gymnasium import Env, Space

    from rlkit.types import Array, Bools, Floats

    Maker = Callable[[], Env[Any, Any]]


class StepResult(NamedTuple):
    """What a step of all environments gave. `ended` rows must be reset before the next step."""

    obs: Array  # [N, ...] the true successors
    reward: Floats  # [N]
    terminated: Bools  # [N]
    truncated: Bools  # [N]
    ended: Bools  # [N] terminated or truncated, but for lost lives in a game that continues


class StepError(EnvError):
    """Environments that failed in a step or a reset.

    Args:
        failures: by row, what each did wrong.
    """

    def __init__(self, failures: dict[int, EnvFailureError]) -> None:
        self.failures = failures
        super().__init__("; ".join(f"environment {row}: {what}" for row, what in failures.items()))


CARRY_ON = -1
"""In place of a seed: do not seed. ALE has the same convention."""


class Backend(Protocol):
    """`N` environments of one kind. The arrays that it returns are its own, valid until the next call."""

    name: str
    num_envs: int
    observation: Space[Any]
    action: Space[Any]
    seed_every: int
    """Steps of a row after which a reset seeds it again; 0: each does."""
    frames_per_second: float
    """The rate at which pictures of `render` are to be shown."""

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """Reset some rows (ascending; at first all), each with its seed; the observations `[N, ...]` of all.

        With the seed `CARRY_ON`, which only a backend with `seed_every` meets, a row's random stream continues.
        """

    def step(self, action: Array) -> StepResult:
        """Step every row."""

    def render(self) -> Any:
        """A picture of row 0, as the environment's `render` returns it, if it was made for drawing."""

    def close(self) -> None:
        """Free what the environments hold."""


FRAMES_PER_SECOND = 30.0
"""The rate for environments that do not state one."""


def rate_of(metadata: Mapping[str, Any]) -> float:
    """Pictures a second that an environment asks for in its `metadata`."""
    rate = metadata.get("render_fps")
    return float(rate) if isinstance(rate, int | float) and 0 < rate <= 1000 else FRAMES_PER_SECOND


class Sync(Backend):
    """Gymnasium environments in this process, stepped one after the other."""

    name = "sync"
    seed_every = 0

    def __init__(self, makers: Sequence[Maker]) -> None:
        self.envs: list[Any] = []  # `Adapter` each
        try:
            for make in makers:
                self.envs.append(make())
            _same_spaces(self.envs)
        except BaseException:
            self.close()
            raise
        self.num_envs = len(self.envs)
        self.observation = self.envs[0].observation_space
        self.action = self.envs[0].action_space
        self.frames_per_second = rate_of(self.envs[0].metadata)
        dtype = np.dtype(self.observation.dtype or np.float32)
        self.obs = np.zeros((self.num_envs, *(self.observation.shape or ())), dtype)
        self.reward = np.zeros(self.num_envs, np.float32)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        for row, seed in zip(rows, seeds, strict=True):
            try:
                self.obs[row], _ = self.envs[row].reset(seed=seed)
            except EnvFailureError as failure:
                raise StepError({row: failure}) from failure
        return self.obs

    def step(self, action: Array) -> StepResult:
        for row, env in enumerate(self.envs):
            try:
                self.obs[row], self.reward[row], self.terminated[row], self.truncated[row], _ = env.step(action[row])
            except EnvFailureError as failure:
                raise StepError({row: failure}) from failure
        return StepResult(self.obs, self.reward, self.terminated, self.truncated, self.terminated | self.truncated)

    def render(self) -> Any:
        return self.envs[0].render()

    def close(self) -> None:
        for env in self.envs:
            env.close()


def _same_spaces(envs: Sequence[Any]) -> None:
    """Refuse environments that differ, as those whose constructor draws at random may.

    Raises:
        EnvError: naming the first that differs.
    """
    for name in ("observation_space", "action_space"):
        first = getattr(envs[0], name)
        for row, env in enumerate(envs):
            if getattr(env, name) != first:
                raise EnvError(
                    f"environment {row} of {len(envs)} has {name} {getattr(env, name)}, environment 0 has {first}\n"
                    "  all must have the same: set env.kwargs so that they do, or num_envs=1"
                )


class Async(Backend):
    """Gymnasium environments in a process each, with observations in shared memory.

    A worker that dies, hangs, raises or returns nonsense is found within the time-out and named; all are killed then,
    and none outlives this process.
    """

    name = "async"
    seed_every = 0

    def __init__(self, makers: Sequence[Maker], timeout_seconds: float) -> None:
        self.timeout = timeout_seconds
        try:
            self.envs = _Workers([_Maker(make) for make in makers], timeout_seconds)
        except RuntimeError as error:  # Gymnasium's word for spaces that differ
            raise EnvError(f"asynchronous environments: {error}\n  all must have the same spaces") from error
        self.num_envs = self.envs.num_envs
        self.observation = self.envs.single_observation_space
        self.action = self.envs.single_action_space
        self.frames_per_second = rate_of(self.envs.metadata)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        by_row = dict(zip(rows, seeds, strict=True))
        mask = np.array([row in by_row for row in range(self.num_envs)])
        with self._watched():
            self.envs.reset_async(seed=[by_row.get(row) for row in range(self.num_envs)], options={"reset_mask": mask})
            obs, _ = self.envs.reset_wait(timeout=self.timeout)
        return np.asarray(obs)

    def step(self, action: Array) -> StepResult:
        with self._watched():
            self.envs.step_async(action)
            obs, reward, terminated, truncated, _ = self.envs.step_wait(timeout=self.timeout)
        rewards = reward.astype(np.float32)
        return StepResult(np.asarray(obs), rewards, terminated, truncated, terminated | truncated)

    @contextlib.contextmanager
    def _watched(self) -> Any:
        try:
            yield
        except multiprocessing.TimeoutError as error:
            late = [row for row, pipe in enumerate(self.envs.parent_pipes) if not pipe.poll(0)]
            self.kill()
            raise StepError(
                dict.fromkeys(late, EnvFailureError(f"no answer within {self.timeout:g} seconds"))
            ) from error
        except (EOFError, OSError) as error:
            for process in self.envs.processes:
                process.join(timeout=0.1)
            dead = [row for row, process in enumerate(self.envs.processes) if not process.is_alive()]
            self.kill()
            raise StepError(dict.fromkeys(dead, EnvFailureError("its process died"))) from error
        except StepError:
            self.kill()
            raise

    def kill(self) -> None:
        """End every worker now."""
        for process in self.envs.processes:
            process.kill()
        for process in self.envs.processes:
            process.join()
        self.envs.closed = True

    def render(self) -> Any:
        """See `Backend.render`; pictures are drawn by environments in this process."""

    def close(self) -> None:
        if not self.envs.closed:
            with contextlib.suppress(Exception):
                self.envs.close(timeout=2)
            self.kill()


class EnvPool(Backend):
    """EnvPool's environments in C++ threads. It seeds them once, so such a run cannot be resumed exactly."""

    name = "envpool"
    seed_every = 0
    frames_per_second = FRAMES_PER_SECOND

    def __init__(self, env_id: str, num_envs: int, seed: int, kwargs: dict[str, Any]) -> None:
        try:
            import envpool
        except ImportError as error:
            raise EnvError("env.vectorization=envpool: envpool is not installed\n  pip install envpool") from error
        if env_id not in envpool.list_all_envs():
            raise EnvError(
                f"env.vectorization=envpool: EnvPool has no {env_id}\n  accepted: auto, sync or async for it"
            )
        self.envs = envpool.make(env_id, env_type="gymnasium", num_envs=num_envs, seed=seed, **kwargs)
        self.num_envs = num_envs
        self.observation, self.action = self.envs.observation_space, self.envs.action_space
        dtype = np.uint8 if is_picture(self.observation) else np.float32
        self.obs = np.zeros((num_envs, *self.observation.shape), dtype)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """See `Backend.reset`; the seeds cannot be given to EnvPool."""
        obs, _ = self.envs.reset(np.asarray(rows, np.int32))
        self.obs[list(rows)] = obs
        return self.obs

    def step(self, action: Array) -> StepResult:
        wanted = action.astype(np.int32) if not self.action.shape else action.astype(self.action.dtype)
        obs, reward, terminated, truncated, info = self.envs.step(wanted)
        order = info["env_id"]
        self.obs[order] = obs
        out = [np.empty_like(x) for x in (reward, terminated, truncated)]
        for mine, theirs in zip(out, (reward, terminated, truncated), strict=True):
            mine[order] = theirs
        return StepResult(self.obs, out[0].astype(np.float32), out[1], out[2], out[1] | out[2])

    def render(self) -> Any:
        """See `Backend.render`; EnvPool draws nothing."""

    def close(self) -> None:
        self.envs.close()


class _Maker:
    """Makes an environment inside its worker, after settling how that process may end."""

    def __init__(self, make: Maker) -> None:
        self.make = make
        self.parent = multiprocessing.current_process().pid

    def __call__(self) -> Env[Any, Any]:
        if multiprocessing.current_process().pid != self.parent:
            # The session's own handlers are inherited: Ctrl-C is its business, and a terminated worker must end.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the parent
        return self.make()


class _Workers(AsyncVectorEnv):
    """Gymnasium's, with a time-out for the start and the row of a failed worker in the error."""

    def __init__(self, makers: Sequence[Maker], timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        super().__init__(makers, copy=False, autoreset_mode=AutoresetMode.DISABLED)

    def _check_spaces(self) -> None:
        """The first thing asked of the workers, when the constructor has started them."""

        def give_up() -> None:
            for process in self.processes:
                process.kill()

        timer = threading.Timer(self.timeout_seconds, give_up)
        timer.start()
        try:
            super()._check_spaces()  # type: ignore[no-untyped-call]
        except (EOFError, OSError) as error:
            self.closed = True
            give_up()
            why = f"did not start within {self.timeout_seconds:g} seconds, or died while starting"
            raise EnvError(f"asynchronous environments: a process {why}") from error
        finally:
            timer.cancel()

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        rows = [row for row, success in enumerate(successes) if not success]
        if not rows:
            return
        failures = {}
        for _ in rows:
            row, kind, value, trace = self.error_queue.get(timeout=5)
            known = isinstance(value, EnvFailureError)
            failures[row] = value if known else EnvFailureError(f"{kind.__name__}: {value}", trace)
        self._state = AsyncState.DEFAULT
        raise StepError(failures)
