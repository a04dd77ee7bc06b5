"""Ways to step `N` environments at once. None resets by itself: `envs/vector.py` says what and when."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState

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
    ended: Bools  # [N] terminated or truncated, but for lost lives in a game that goes on


class StepError(EnvError):
    """Environments that failed in a step or reset, by row, with what they said."""

    def __init__(self, failures: dict[int, str]) -> None:
        self.failures = failures
        super().__init__("; ".join(f"environment {row}: {what}" for row, what in failures.items()))


CARRY_ON = -1
"""In place of a seed: none. ALE's own convention."""


class Backend(Protocol):
    """`N` environments of one kind. The arrays that it returns are its own, valid until the next call."""

    name: str
    num_envs: int
    observation: Space[Any]
    action: Space[Any]
    seed_every: int
    """Steps of a row after which a reset seeds it again; 0: each does."""

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """Reset some rows (ascending; at first all), each with its seed; the observations `[N, ...]` of all.

        With the seed `CARRY_ON`, which only a backend with `seed_every` meets, a row's luck goes on where it is.
        """

    def step(self, action: Array) -> StepResult:
        """Step every row."""

    def render(self) -> Any:
        """A picture `[H, W, 3]` uint8 of row 0, where the environment was made to give one."""

    def close(self) -> None:
        """Free what the environments hold."""


class Sync:
    """Gymnasium environments in this process, one after the other; for one environment the bare thing."""

    name = "sync"
    seed_every = 0

    def __init__(self, makers: Sequence[Maker]) -> None:
        self.envs = [make() for make in makers]
        self.num_envs = len(self.envs)
        self.observation = self.envs[0].observation_space
        self.action = self.envs[0].action_space
        self.discrete = not self.action.shape
        self.obs = np.zeros((self.num_envs, *(self.observation.shape or ())), stored_dtype(self.observation))
        self.reward = np.zeros(self.num_envs, np.float32)
        self.terminated = np.zeros(self.num_envs, np.bool_)
        self.truncated = np.zeros(self.num_envs, np.bool_)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """See `Backend.reset`."""
        for row, seed in zip(rows, seeds, strict=True):
            try:
                obs, _ = self.envs[row].reset(seed=seed)
            except Exception as error:
                raise StepError({row: f"reset(seed={seed}) raised {type(error).__name__}: {error}"}) from error
            self._store(row, obs)
        return self.obs

    def step(self, action: Array) -> StepResult:
        """See `Backend.step`."""
        choices = action.tolist() if self.discrete else action
        for row, env in enumerate(self.envs):
            try:
                obs, self.reward[row], self.terminated[row], self.truncated[row], _ = env.step(choices[row])
            except Exception as error:
                raise StepError({row: f"{type(error).__name__}: {error}"}) from error
            self._store(row, obs)
        return StepResult(self.obs, self.reward, self.terminated, self.truncated, self.terminated | self.truncated)

    def _store(self, row: int, obs: Any) -> None:
        if np.shape(obs) != self.obs.shape[1:]:
            raise StepError({row: f"an observation of shape {np.shape(obs)}, its space says {self.obs.shape[1:]}"})
        self.obs[row] = obs

    def render(self) -> Any:
        """See `Backend.render`."""
        return self.envs[0].render()

    def close(self) -> None:
        """See `Backend.close`."""
        for env in self.envs:
            env.close()


class Async:
    """Gymnasium environments in a process each, with observations in shared memory.

    A worker that dies, hangs, raises or returns nonsense is found within the time-out and named; all are killed then,
    and none outlives this process.
    """

    name = "async"
    seed_every = 0

    def __init__(self, makers: Sequence[Maker], timeout_seconds: float) -> None:
        self.timeout = timeout_seconds
        self.envs = _Workers([_Maker(make) for make in makers], timeout_seconds)
        self.num_envs = self.envs.num_envs
        self.observation = self.envs.single_observation_space
        self.action = self.envs.single_action_space
        self.dtype = stored_dtype(self.observation)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """See `Backend.reset`."""
        by_row = dict(zip(rows, seeds, strict=True))
        mask = np.array([row in by_row for row in range(self.num_envs)])
        with self._watched():
            self.envs.reset_async(seed=[by_row.get(row) for row in range(self.num_envs)], options={"reset_mask": mask})
            obs, _ = self.envs.reset_wait(timeout=self.timeout)
        return np.asarray(obs, self.dtype)

    def step(self, action: Array) -> StepResult:
        """See `Backend.step`."""
        with self._watched():
            self.envs.step_async(action)
            obs, reward, terminated, truncated, _ = self.envs.step_wait(timeout=self.timeout)
        rewards = reward.astype(np.float32)
        return StepResult(np.asarray(obs, self.dtype), rewards, terminated, truncated, terminated | truncated)

    @contextlib.contextmanager
    def _watched(self) -> Any:
        try:
            yield
        except multiprocessing.TimeoutError as error:
            late = [row for row, pipe in enumerate(self.envs.parent_pipes) if not pipe.poll(0)]
            self.kill()
            raise StepError(dict.fromkeys(late, f"no answer within {self.timeout:g} seconds")) from error
        except (EOFError, OSError) as error:
            for process in self.envs.processes:
                process.join(timeout=0.1)
            dead = [row for row, process in enumerate(self.envs.processes) if not process.is_alive()]
            self.kill()
            raise StepError(dict.fromkeys(dead, "its process died")) from error
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
        """See `Backend.close`."""
        if not self.envs.closed:
            with contextlib.suppress(Exception):
                self.envs.close(timeout=2)
            self.kill()


class EnvPool:
    """EnvPool's environments in C++ threads. It seeds them once, so such a run cannot be resumed exactly."""

    name = "envpool"
    seed_every = 0

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
        self.obs = np.zeros((num_envs, *self.observation.shape), stored_dtype(self.observation))

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> Array:
        """See `Backend.reset`; the seeds cannot be given to EnvPool."""
        obs, _ = self.envs.reset(np.asarray(rows, np.int32))
        self.obs[list(rows)] = obs
        return self.obs

    def step(self, action: Array) -> StepResult:
        """See `Backend.step`."""
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
        """See `Backend.close`."""
        self.envs.close()


def stored_dtype(space: Space[Any]) -> type[np.uint8] | type[np.float32]:
    """Pictures stay bytes; everything else is float32."""
    return np.uint8 if space.dtype == np.uint8 else np.float32


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
            row, kind, value, _ = self.error_queue.get(timeout=5)
            failures[row] = f"{kind.__name__}: {value}"
        self._state = AsyncState.DEFAULT
        raise StepError(failures)
