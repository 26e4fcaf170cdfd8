"""What several processes agree on, seen by one; two real ones are in test_two_process.py."""

import jax
import numpy as np
import pytest

from jaxgen.parallel import multihost


@pytest.mark.parametrize("values", [True, 1e-300, np.arange(6).reshape(2, 3), np.float32([0.1, -0.0])])
def test_one_process_agrees_with_itself(values):
    """Breaks if a decision taken on the host differs between one process and several, by shape or by rounding."""
    rows = multihost.agree(values)
    assert rows.shape == (1, *np.shape(values)) and rows.dtype == np.asarray(values).dtype
    np.testing.assert_array_equal(rows[0], values)


def test_what_process_0_holds_is_a_tree_like_the_own():
    """Breaks if statistics come back as something that config.json cannot hold."""
    tree = {"mean": np.float32([[0.25]]), "sigma_data": 0.1, "absent": None}
    same = multihost.of_main(tree)
    assert same["absent"] is None and isinstance(same["sigma_data"], float) and same["sigma_data"] == 0.1
    np.testing.assert_array_equal(same["mean"], tree["mean"])


def test_storage_that_is_not_shared_is_refused(tmp_path):
    """Breaks if processes with a disk each write half a checkpoint each, or wait for one another for ever."""
    (tmp_path / "there").touch()
    multihost.check_shared(tmp_path / "there")
    with pytest.raises(ValueError, match="which process 0 does not see: --workdir must be on storage that all"):
        multihost.check_shared(tmp_path / "absent", patience=0)


def test_only_what_says_so_is_a_loss():
    """Breaks if memory that runs out is taken for a lost process and tried again for ever, or a loss is not seen behind
    the error that it led to."""
    lost, full = jax.errors.JaxRuntimeError("UNAVAILABLE: x"), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: x")
    behind = ValueError("a checkpoint cannot be written")
    behind.__cause__ = lost
    assert multihost.is_loss(lost) and multihost.is_loss(behind)
    assert not multihost.is_loss(full) and not multihost.is_loss(ValueError("UNAVAILABLE"))
