"""If these fail, features are of other images than was asked for, or a large set of images has to fit in memory."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.stream import features
from jaxgen.evaluate.stream.features import Extractor, extract, rebatched

COUNT = Extractor(
    lambda params, x: {
        "features": x.reshape(len(x), -1)[:, :6].astype(jnp.float32) * params,
        "logits": x.astype(float).mean((1, 2)),
    },
    2.0,
    "twice the first pixels",
)


def test_streams_of_any_parts_give_the_features_of_each_image_in_order(monkeypatch):
    """Parts that straddle blocks and batches, a rest, empty parts: no image is lost, repeated or moved."""
    monkeypatch.setattr(features, "BLOCK", 40)
    x = np.random.default_rng(0).integers(0, 256, (87, 4, 4, 3), np.uint8)
    told = []
    found = list(extract(COUNT, np.split(x, [1, 1, 30, 70, 80]), told.append, 16))
    assert [len(part["features"]) for part in found] == [40, 40, 7]
    joined = {layer: np.concatenate([part[layer] for part in found]) for layer in found[0]}
    np.testing.assert_array_equal(joined["features"], 2.0 * x.reshape(87, -1)[:, :6])
    np.testing.assert_allclose(joined["logits"], x.mean((1, 2)), rtol=1e-6)
    assert told == sorted(told) and told[-1] == 87


def test_the_last_images_are_computed_in_the_shape_of_the_others(monkeypatch):
    """A network is compiled for minutes: once, not again for the few images that are left."""
    shapes = []

    def fn(params, x):
        shapes.append(x.shape)
        return {"features": x.mean((1, 2, 3))}

    monkeypatch.setattr(features, "BLOCK", 32)
    parts = list(extract(Extractor(fn, (), "means"), [np.ones((35, 2, 2, 3), np.uint8)], batch=16))
    assert [len(part["features"]) for part in parts] == [32, 3] and len({shape[0] for shape in shapes}) == 1


def test_no_more_is_drawn_than_a_block_needs():
    """Fifty thousand images of 256 pixels are 10 GB."""
    drawn = []

    def parts():
        for i in range(100):
            drawn.append(i)
            yield np.zeros((8, 2), np.uint8)

    assert len(next(rebatched(parts(), 30))) == 30
    assert len(drawn) == 4


def test_grey_images_are_seen_as_three_equal_channels_and_prepared_on_the_host():
    """A network of colour images fed otherwise gives other features, or none; one whose input is defined by a program
    of the host sees what that has made."""
    x = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    grey, colour = (next(extract(COUNT, [images]))["features"] for images in (x, x.repeat(3, -1)))
    np.testing.assert_array_equal(grey, colour)
    flipped = COUNT._replace(prepare=lambda images: images[:, ::-1].astype(np.float32))
    found = next(extract(flipped, [x]))["features"]
    np.testing.assert_array_equal(found, next(extract(COUNT, [x[:, ::-1]]))["features"])


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 4), np.uint8)]
)
def test_anything_but_pictures_is_refused(bad):
    """Images in [-1, 1] would be taken for black ones."""
    with pytest.raises(ValueError, match="images must be uint8"):
        next(extract(COUNT, [bad]))
