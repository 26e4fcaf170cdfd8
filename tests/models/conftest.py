"""Compilation that is quick rather than optimized: the test networks are tiny, compiling them is the cost."""

from functools import partial

import jax
import pytest


@pytest.fixture(scope="session")
def jit():
    """jax.jit without the optimizations that take most of the compile time on a CPU."""
    options = {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
        "xla_cpu_use_fusion_emitters": False,
    }
    return partial(jax.jit, compiler_options=options)
