"""`rlkit explain` at a terminal of 80 columns."""

import pytest

from rlkit.cli.app import dispatch
from rlkit.errors import ConfigError


def test_a_key_is_explained_in_80_columns(capsys: pytest.CaptureFixture[str]):
    assert dispatch(["explain", "algo.clip_coef", "algo=ppo", "env=cartpole"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("algo.clip_coef = 0.2\n  Clip range epsilon")
    assert "set by: conf/algo/ppo.yaml" in shown
    dispatch(["explain", "algo=rainbow"])
    shown = capsys.readouterr().out
    assert "algo.atoms = 51" in shown
    assert "env." not in shown.replace("envs", "")
    assert max(map(len, shown.splitlines())) <= 80


def test_a_key_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"did you mean net\.hidden"):
        dispatch(["explain", "net.hiden"])
