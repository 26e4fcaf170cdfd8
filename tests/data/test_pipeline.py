"""Order, sharding, resumption and augmentation of batches."""

import json
from collections import Counter

import numpy as np
import pytest

from jaxgen.data.augment import center_crop, random_crop, random_flip, random_shift, resize
from jaxgen.data.pipeline import batch_at, evaluation, pipeline
from jaxgen.data.records import Spec, source

SIZE = 23


def numbered(size=SIZE, in_memory=True):
    """A source whose example i is an image of the number i, with label i."""

    def read(rows):
        x = np.zeros((len(rows), 6, 6, 1), np.uint8) + rows.astype(np.uint8).reshape(-1, 1, 1, 1)
        return {"x": x, "label": rows.astype(np.int32), "caption": np.array([f"number {i}" for i in rows], np.str_)}

    made = source(read, Spec((6, 6, 1), 256, size, tuple(map(str, range(size))), size, True))
    made.records.in_memory = in_memory
    return made


def labels(at, steps):
    return np.concatenate([at(step)["label"] for step in steps])


def test_each_example_once_per_epoch_in_a_new_order():
    """A repeated or missing example biases training; the same order in every epoch correlates the steps."""
    seen = labels(batch_at(numbered(), 10, seed=3), range(SIZE)).reshape(-1, SIZE)
    assert (np.sort(seen, 1) == np.arange(SIZE)).all()
    assert len({tuple(epoch) for epoch in seen}) == len(seen)


def test_order_is_a_function_of_the_seed_alone():
    """A run must be repeatable on another machine and NumPy, and differ between seeds, also by one epoch."""
    first, again, other = (labels(batch_at(numbered(), SIZE, seed), range(3)).reshape(3, -1) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not {tuple(epoch) for epoch in first} & {tuple(epoch) for epoch in other}
    assert first[0, :6].tolist() == [21, 12, 9, 10, 20, 2]


@pytest.mark.parametrize("count", [2, 4])
def test_shards_are_the_rows_of_one_global_batch(count):
    """The global batch, augmentation included, must not depend on how many processes share it."""
    transforms = (random_flip(), random_crop(4, padding=1))
    whole = batch_at(ramp(), 8, 1, transforms, shard=(0, 1))
    parts = [batch_at(ramp(), 8, 1, transforms, shard=(i, count)) for i in range(count)]
    for step in range(5):
        for name in ("x", "label"):
            np.testing.assert_array_equal(whole(step)[name], np.concatenate([part(step)[name] for part in parts]))


@pytest.mark.parametrize("threads", [0, 2])
def test_resuming_in_the_middle_of_an_epoch_is_exact(threads):
    """A killed run must go on with the batches that it would have seen."""
    transforms = (random_crop(4, padding=1),)

    def fresh():
        return pipeline(ramp(), 10, 0, transforms, threads=threads)

    iterator = fresh()
    for _ in range(7):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    expected = [next(iterator) for _ in range(4)]
    resumed = fresh()
    resumed.set_state(state)
    for batch in expected:
        after = next(resumed)
        np.testing.assert_array_equal(after["x"], batch["x"])
        np.testing.assert_array_equal(after["label"], batch["label"])


@pytest.mark.parametrize("in_memory", [True, False])
def test_evaluation_is_one_ordered_pass_with_its_remainder(in_memory):
    """A dropped remainder or a padded row would bias every metric."""
    batches = list(evaluation(numbered(in_memory=in_memory), 10, keys=("x", "label", "caption"), shard=(0, 1)))
    assert [len(batch["x"]) for batch in batches] == [10, 10, 3]
    np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in batches]), np.arange(SIZE))
    assert batches[-1]["caption"].tolist() == ["number 20", "number 21", "number 22"]


def test_evaluation_shards_cover_the_set_with_equally_many_batches():
    """Processes that disagree on the number of batches wait for each other for ever."""
    shards = [list(evaluation(numbered(), 10, (random_flip(),), shard=(i, 5))) for i in range(5)]
    assert {len(shard) for shard in shards} == {3}
    seen = Counter(int(i) for shard in shards for batch in shard for i in batch["label"])
    assert seen == Counter(range(SIZE))


def test_text_is_kept_out_of_batches_unless_asked_for():
    """Strings cannot go to a device."""
    assert set(batch_at(numbered(), 4, 0)(0)) == {"x", "label"}
    batch = batch_at(numbered(), 4, 0, keys=("x", "caption"))(0)
    assert batch["caption"].tolist() == [f"number {i}" for i in batch["x"][:, 0, 0, 0]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(batch_size=7, shard=(0, 2)), "multiple of 2 processes, got 7"),
        (dict(batch_size=0), "positive multiple of 1 processes, got 0"),
        (dict(batch_size=4, seed=-1), "expected a seed in 0 .. 2\\^64 - 1, got -1"),
        (dict(batch_size=4, keys=("x", "depth")), r"keys among \['x', 'label', 'caption'\], got \['depth'\]"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    """The first batch must not be the place where a config error shows."""
    with pytest.raises(ValueError, match=sentence):
        pipeline(numbered(), **({"seed": 0} | arguments))


def ramp():
    """Pictures whose every pixel tells its place: 10 row + column, plus a label."""
    picture = (10 * np.arange(6)[:, None] + np.arange(6)).astype(np.uint8)[..., None]
    return source(
        lambda rows: {"x": np.stack([picture] * len(rows)), "label": rows.astype(np.int32)},
        Spec((6, 6, 1), 256, SIZE, tuple(map(str, range(SIZE))), SIZE),
    )


def test_flips_mirror_half_of_the_examples_each_epoch_anew():
    """A flip shared by the batch, or fixed to the example, is no augmentation."""
    at = batch_at(ramp(), 10 * SIZE, 0, (random_flip(),))
    flipped = at(0)["x"][:, 0, 0, 0] == 5
    assert 0.35 < flipped.mean() < 0.65
    assert 0 < flipped[at(0)["label"] == 0].sum() < 10
    np.testing.assert_array_equal(at(0)["x"][flipped][0][:, ::-1], at(0)["x"][~flipped][0])


def test_random_crops_are_windows_at_every_place():
    """An off-by-one would never show the border, or read outside."""
    x = batch_at(ramp(), 1000, 0, (random_crop(4),))(0)["x"]
    corners = Counter(x[:, 0, 0, 0].tolist())
    assert set(corners) == {10 * i + j for i in range(3) for j in range(3)} and min(corners.values()) > 70
    np.testing.assert_array_equal(x[0, :, :, 0] - x[0, 0, 0, 0], 10 * np.arange(4)[:, None] + np.arange(4))


def test_random_shifts_move_some_and_leave_their_share():
    """Wrong borders bring in pixels of the other side; a rate that is ignored moves the whole data set."""
    x, u = np.ones((5000, 4, 4, 1), np.uint8), np.random.default_rng(0).random((5000, 4))
    shifted = random_shift(1, probability=0.5)(x, u)
    assert shifted.shape == x.shape and set(shifted.sum((1, 2, 3)).tolist()) == {9, 12, 16}
    assert abs((shifted == x).all((1, 2, 3)).mean() - (1 - 0.5 * 8 / 9)) < 0.03
    left, right = (shifted[:, 1, side, 0] == 0 for side in (0, 3))
    assert abs(left.mean() - right.mean()) < 0.03 and not (left & right).any()


def test_two_transforms_draw_independent_numbers():
    """If crop and flip read the same stream, left crops would always be flipped."""
    x = batch_at(ramp(), 2000, 0, (random_flip(axis=1), random_crop(5)))(0)["x"]
    upside_down = x[:, 0, 0, 0] // 10 > x[:, 1, 0, 0] // 10
    left = x[:, 0, 0, 0] % 10 == 0
    assert abs(np.corrcoef(upside_down, left)[0, 1]) < 0.1


def test_center_crop_and_resize_keep_the_middle():
    """Evaluation crops must be the published centre window."""
    x, u = ramp().records[:2]["x"], np.zeros((2, 4))
    np.testing.assert_array_equal(center_crop(2)(x, u)[0, :, :, 0], [[22, 23], [32, 33]])
    assert abs(resize(3)(x, u).mean() - x.mean()) < 1
    with pytest.raises(ValueError, match="at least 9x9 pixels to crop, got 6x6"):
        center_crop(9)(x, u)
