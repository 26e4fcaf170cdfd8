"""The roofline is arithmetic that can be checked by hand."""

import pytest

from jaxgen.parallel.collectives import Message
from jaxgen.parallel.roofline import DEVICES, Cost, Sent, device_of, predict, sent


def test_the_longest_of_three_times_is_the_step():
    """Breaks if a step bound by memory or links is promised the time of its FLOPs."""
    v5e = DEVICES["v5e"]
    cost = Cost(flops=197e9, moved=2 * 819e6, sent=Sent(3e8, 0))
    found = predict(cost, useful=8 * 197e9, device=v5e, devices=8, dtype="bfloat16")
    assert found[:3] == pytest.approx((1e-3, 2e-3, 3e-3))
    assert (found.step, found.bound) == (pytest.approx(3e-3), "links")
    assert (found.mfu, found.mfu_of_compute) == (pytest.approx(1 / 3), pytest.approx(1))
    assert predict(cost._replace(sent=Sent(0, 0)), 8 * 197e9, v5e, 8, "bfloat16").bound == "memory"
    alone = predict(Cost(197e9, 0, Sent(0, 0)), 197e9, v5e, 1, "bfloat16")
    assert (alone.bound, alone.mfu) == ("compute", pytest.approx(1))


def test_recomputation_takes_time_and_is_not_counted_as_use():
    """Breaks if rematerialization raises the MFU of a step that it makes slower."""
    plain, again = (predict(Cost(f, 0, Sent(0, 0)), 3e12, DEVICES["h100"], 1, "bfloat16") for f in (3e12, 4e12))
    assert again.step == pytest.approx(plain.step * 4 / 3) and again.mfu == pytest.approx(plain.mfu * 3 / 4)


def test_float32_is_slower_on_a_gpu_and_links_between_islands_are_slower_than_within():
    """Breaks if a prediction for two machines of eight GPUs takes the speed of the links within one."""
    h100, cost = DEVICES["h100"], Cost(1e12, 0, Sent(1e9, 0))
    half, full = (predict(cost, 1e12, h100, 8, dtype) for dtype in ("bfloat16", "float32"))
    assert full.compute == pytest.approx(half.compute * 989 / 494)
    assert predict(cost._replace(sent=Sent(0, 1e9)), 1e12, h100, 8, "bfloat16").links == pytest.approx(half.links * 9)


def all_of(n):
    return (tuple(range(n)),)


def test_a_ring_sends_an_array_twice_to_reduce_it_and_once_to_gather_it():
    """Breaks if the traffic of data parallelism is halved, or one device sends anything."""
    found = [("all-reduce", 400, 2), ("all-gather", 80, 1)]
    assert sent([Message(*one, all_of(8)) for one in found], 8) == pytest.approx((1680 * 7 / 8, 0))
    assert sent([Message(*one, all_of(1)) for one in found], 8) == (0, 0)


def test_collectives_are_priced_by_who_talks():
    """Breaks if on 4 boxes of 8 GPUs what an axis says within its box takes the time of the network between them, or
    the reverse: the axis that strides over boxes has groups that are as small."""
    fsdp = tuple(tuple(8 * box + i for i in range(8)) for box in range(4))
    data = tuple(tuple(8 * box + i for box in range(4)) for i in range(8))
    assert sent([Message("all-gather", 80, 1, fsdp)], 8) == (70, 0)
    assert sent([Message("all-gather", 80, 1, data)], 8) == (0, 60)
    assert sent([Message("all-reduce", 80, 3, data)], 8) == (0, 3 * 2 * 60)
    assert sent([Message("all-reduce", 80, 1, all_of(32))], 8) == (2 * 70, 2 * 10 * 3 / 4)  # a ring through each GPU
    assert sent([Message("all-to-all", 64, 1, all_of(32))], 8) == (2 * 7, 2 * 24)
    assert sent([Message("collective-permute", 64, 1, ((0, 1), (1, 0)))], 8) == (64, 0)
    assert sent([Message("collective-permute", 64, 1, ((0, 1), (7, 8)))], 8) == (0, 64)


def test_an_unknown_device_is_named_with_the_nearest():
    """Breaks if a misspelt device ends in a traceback."""
    with pytest.raises(ValueError, match="unknown --device 'v5': did you mean 'v5[ep]'"):
        device_of("v5")
