"""What a compiled program says to other devices, counted: every claim about communication rests on this count."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from jaxgen.parallel.collectives import Collective, collectives, messages
from jaxgen.parallel.mesh import AXES, make_mesh

HEADER = "HloModule jit_step, is_scheduled=true, num_partitions=8\n\n"


def program(*lines: str) -> str:
    return HEADER + "ENTRY %main (x: f32[8]) -> f32[8] {\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"


@pytest.mark.parametrize(
    ("line", "kind", "size"),
    [
        ("%a = f32[128,64]{1,0} all-reduce(%x), channel_id=1, to_apply=%add", "all-reduce", 4 * 128 * 64),
        ("ROOT %a = bf16[10]{0:T(1024)(128)(2,1)} all-reduce(%x), to_apply=%add", "all-reduce", 20),
        ("%a = (f32[3]{0}, s32[], /*index=2*/pred[5]{0}) all-reduce(%x, %y, %z)", "all-reduce", 12 + 4 + 5),
        ("%a = (f64[3]{0}, u32[2]{0}) all-reduce-start(%x, %y)", "all-reduce", 24 + 8),
        ("%a = f8e4m3fn[7]{0} all-gather(%x), dimensions={0}", "all-gather", 7),
        ("%a = (f32[2]{0}, f32[16]{0}) all-gather-start(%x), dimensions={0}", "all-gather", 64),
        ("%a = ((f32[2], s4[2]), (f32[16], s4[16])) all-gather-start(%x, %y)", "all-gather", 64 + 8),
        ("%a = f32[4]{0} reduce-scatter(%x), replica_groups={{0,1,2,3},{4,5,6,7}}", "reduce-scatter", 64),
        ("%a = f32[4]{0} reduce-scatter(%x), replica_groups=[4,2]<=[8]", "reduce-scatter", 32),
        ("%a = f32[4]{0} reduce-scatter(%x), replica_groups=mesh['d'=2,'f'=4] {'f'}", "reduce-scatter", 64),
        ("%a = f32[4]{0} reduce-scatter(%x), replica_groups={}", "reduce-scatter", 128),
        ("%a = ((f32[16]), f32[2], u32[]) reduce-scatter-start(%x), replica_groups={{0,1}}", "reduce-scatter", 16),
        ("%a = (f32[2]{0}, f32[2]{0}) all-to-all(%x, %y)", "all-to-all", 16),
        ("%a = (f32[6], f32[6], u32[], u32[]) collective-permute-start(%x)", "collective-permute", 24),
    ],
)
def test_every_form_is_read(line, kind, size):
    """Tuples, layouts with tiles, the pairs of asynchronous forms, types of any width: bytes missed are time missed."""
    assert collectives(program(line)) == {kind: Collective(1, size)}


@pytest.mark.parametrize(
    ("said", "groups"),
    [
        ("replica_groups={{0,2},{1,3}}", ((0, 2), (1, 3))),
        ("replica_groups=[2,4]<=[8]", ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", ((0, 4), (1, 5), (2, 6), (3, 7))),
        ("replica_groups=mesh['d'=2,'f'=4] {'f'}", ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("replica_groups=mesh['d'=2,'f'=4] {'d'}", ((0, 4), (1, 5), (2, 6), (3, 7))),
        ("source_target_pairs={{0,1},{1,0}}", ((0, 1), (1, 0))),
        ("replica_groups={}", (tuple(range(8)),)),
    ],
)
def test_who_talks_is_read(said, groups):
    """Breaks if what stays inside a box of GPUs is thought to cross the network, or the reverse."""
    (message,) = messages(program(f"%a = f32[8]{{0}} all-reduce(%x), channel_id=1, {said}, to_apply=%add"))
    assert message == ("all-reduce", 32, 1, groups)


def test_what_only_looks_like_a_collective_is_not_counted():
    """The second half of a pair, users of a result, names and comments: counting them would double everything."""
    text = program(
        "%all-reduce-start = f32[8]{0} all-reduce-start(%x), to_apply=%add",
        "%all-reduce-done = f32[8]{0} all-reduce-done(%all-reduce-start)",
        "%get-tuple-element = f32[8]{0} get-tuple-element(%all-gather.1), index=0",
        '%fusion = f32[8]{0} fusion(%all-reduce-done), kind=kLoop, metadata={op_name="a = f32[8] all-gather(x)"}',
    )
    assert collectives(text) == {"all-reduce": Collective(1, 32)}


def test_a_chain_of_fusions_is_one_collective():
    """A TPU gathers piece by piece while it computes: the pieces share a channel, and the reduction into shards is
    written as an all-reduce that only one of its callers sees."""
    gather = '%g = bf16[64]{0} all-gather(%p), channel_id=2, frontend_attributes={chain_id="0"}'
    text = (
        HEADER
        + f"%fused_computation.1 (p: bf16[8]) -> bf16[64] {{\n  {gather}\n}}\n"
        + f"%fused_computation.2 (p: bf16[8]) -> bf16[64] {{\n  {gather}\n}}\n"
        + "%all-reduce-scatter.3 (p: f32[64]) -> f32[8] {\n  %r = f32[64]{0} all-reduce(%p), channel_id=3\n}\n"
        + "ENTRY %main (x: f32[8]) -> f32[8] {\n"
        + "".join(
            f"  %f{i} = f32[8] fusion(%x), kind=kCustom, calls=%{name}\n"
            for i, name in enumerate(["fused_computation.1", "fused_computation.2", "all-reduce-scatter.3"])
        )
        + "}\n"
    )
    assert collectives(text) == {"all-gather": Collective(1, 128), "reduce-scatter": Collective(1, 256)}


def exchange(x):
    """One collective of each kind on 8 devices that hold [16, 8] of x each."""
    total = lax.psum(x, AXES)
    whole = lax.all_gather(x[:, 0], AXES)
    shard = lax.psum_scatter(x, AXES, tiled=True)
    swapped = lax.all_to_all(x, AXES, 1, 1, tiled=True)
    passed = lax.ppermute(x[:3], "data", [(i, (i + 1) % 8) for i in range(8)])
    return total.sum() + whole.sum() + shard.sum() + swapped[0, 0] + passed.sum()


def compiled(fn):
    mesh = make_mesh()
    mapped = jax.shard_map(fn, mesh=mesh, in_specs=PartitionSpec(AXES), out_specs=PartitionSpec(AXES), check_vma=False)
    return jax.jit(mapped).lower(jnp.ones((128, 8))).compile().as_text()


def test_compiled_programs_hold_what_was_written():
    """Against programs whose communication is known by hand: bytes of the whole array, on one device."""
    found = collectives(compiled(lambda x: exchange(x)[None]))
    one = 4 * 16 * 8  # bytes of a device's share
    scattered = found.pop("reduce-scatter", Collective(0, 0))
    reduced = found.pop("all-reduce")
    assert scattered.bytes + reduced.bytes == 2 * one  # XLA may write a reduce-scatter as an all-reduce
    assert found == {
        "all-gather": Collective(1, 8 * 4 * 16),
        "all-to-all": Collective(1, one),
        "collective-permute": Collective(1, 4 * 3 * 8),
    }


def test_a_loop_counts_as_often_as_it_turns():
    """Else five accumulated parts would look as cheap as one."""

    def body(x, _):
        return jnp.tanh(lax.psum(x, AXES)), None

    found = collectives(compiled(lambda x: lax.scan(body, x, None, length=5)[0]))
    assert found == {"all-reduce": Collective(5, 5 * 4 * 16 * 8)}


def test_one_device_says_nothing():
    assert collectives(jax.jit(partial(jnp.sum, axis=0)).lower(jnp.ones((4, 4))).compile().as_text()) == {}
