"""Eight simulated devices, a persistent compilation cache and float64 on request, for every test.

Programs are compiled without the optimizations that take most of the compile time of a tiny one on a CPU, also in the
processes that a test starts. `XLA_FLAGS=--xla_force_host_platform_device_count=8 pytest` compiles them as for a user.
"""

import os
from functools import partial
from importlib import import_module
from pathlib import Path

UNOPTIMIZED = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
FLAGS = {"xla_force_host_platform_device_count": 8, **UNOPTIMIZED}
os.environ.setdefault("XLA_FLAGS", " ".join(f"--{name}={value}".lower() for name, value in FLAGS.items()))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
CACHE = Path(__file__).parent.parent / ".cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import jax
import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def x64():
    """Everything inside the test runs in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def jit():
    """jax.jit with the options of `UNOPTIMIZED`, whatever XLA_FLAGS say: for what would take long to compile."""
    return partial(jax.jit, compiler_options=UNOPTIMIZED)


@pytest.fixture
def golden():
    """`golden("sde")` loads tests/golden/sde.npz as a dict of arrays."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as data:
            return dict(data)

    return load


@pytest.fixture
def bucket(monkeypatch):
    """gs:// is in memory: for etils by fsspec, for TensorStore (the arrays of a checkpoint) by a server."""
    from etils.epath import backend
    from orbax.checkpoint._src.path import gcs_utils
    from store import Bucket, Store, serving

    monkeypatch.setattr(Store, "store", {})
    monkeypatch.setattr(Store, "pseudo_dirs", [""])
    monkeypatch.setattr(gcs_utils, "get_bucket", lambda name: Bucket())
    for name in ("gcs", "gs"):
        monkeypatch.setitem(import_module("fsspec.registry")._registry, name, Store)
    backend.fsspec_backend._get_filesystem.cache_clear()
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "none")  # TensorStore looks for no credentials
    with serving() as address:
        monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", address)
        yield Store()
    backend.fsspec_backend._get_filesystem.cache_clear()
