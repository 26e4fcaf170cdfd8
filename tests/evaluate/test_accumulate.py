"""If these fail, figures depend on how images were batched, or what was seen of them is lost with a process."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.distribution.frechet import covariance
from jaxgen.evaluate.distribution.inception_score import information
from jaxgen.evaluate.stream import features, running
from jaxgen.evaluate.stream.accumulate import accumulate, named, only
from jaxgen.evaluate.stream.features import Extractor

NEEDS = ("classes.logits", "moments.features", "rows.features")
X = np.random.default_rng(0).integers(0, 256, (53, 4, 4, 3), np.uint8)


def layers(params, x):
    rows = x.reshape(len(x), -1).astype(jnp.float32) / 7
    return {"features": 100 + rows[:, :5], "logits": rows[:, 5:9], "unused": rows}


NETWORK = Extractor(layers, (), "pixels")


def summary(states):
    m = states["moments.features"]
    return m.shift + m.s / m.n, covariance(m), information(states["classes.logits"]), states["rows.features"].joined()


def test_states_are_of_the_images_whatever_the_batches_and_blocks(monkeypatch):
    """The mean, the covariance about a mean of 100, the mutual information and the rows: from the definition, to the
    rounding of float32 features, and equal to that of float64 sums."""
    x = 100 + X.reshape(len(X), -1).astype(np.float64)[:, :5] / 7
    logits = X.reshape(len(X), -1).astype(np.float64)[:, 5:9] / 7
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = x.mean(0), np.cov(x, rowvar=False), (p * np.log(p / p.mean(0))).sum(1).mean(), x
    first = None
    for block, batch in ((1000, 50), (20, 8), (7, 3)):
        monkeypatch.setattr(features, "BLOCK", block)
        found = accumulate(NETWORK, X, NEEDS, batch=batch)
        assert found.n == len(X)
        ours = summary(found.states)
        first = first or ours
        for value, same, truth in zip(ours, first, expected, strict=True):
            np.testing.assert_allclose(value, truth, rtol=1e-5)
            np.testing.assert_allclose(value, same, rtol=1e-12)


def test_accumulators_are_monoids():
    """(a + b) + c = a + (b + c) = of(a ++ b ++ c): what makes parts, hosts and restarts add up."""
    rows = np.random.default_rng(1).normal(size=(30, 6)) + 50
    for need in ("moments.x", "classes.x", "rows.x"):
        _, of, merge = named(need)
        a, b, c = (of({"x": part}) for part in np.split(rows, [4, 11]))
        one, other, whole = merge(merge(a, b), c), merge(a, merge(b, c)), of({"x": rows})
        if need == "rows.x":
            one, other, whole = ((state.joined(),) for state in (one, other, whole))
        if need == "moments.x":
            one, other, whole = ((state.shift + state.s / state.n, covariance(state)) for state in (one, other, whole))
        for ours, theirs, truth in zip(one, other, whole, strict=True):
            np.testing.assert_allclose(ours, truth, rtol=1e-9)
            np.testing.assert_allclose(theirs, truth, rtol=1e-9)


def test_what_was_seen_is_not_seen_again(tmp_path, monkeypatch):
    """Breaks if states of images that were seen are lost with the process, or change in the last bit."""
    monkeypatch.setattr(features, "BLOCK", 10)
    whole = accumulate(NETWORK, X, NEEDS)
    path = tmp_path / "running.npz"
    for stop in (1, 4):
        path.unlink(missing_ok=True)
        before, keep = running.resumable(path, "these", NEEDS)
        assert before is None
        seen = []

        def killed(state, keep=keep, seen=seen, stop=stop):
            if len(seen) == stop:
                raise KeyboardInterrupt
            seen.append(state)
            keep(state)

        monkeypatch.setattr(running, "SHARE", 0)
        with pytest.raises(KeyboardInterrupt):
            accumulate(NETWORK, X, NEEDS, keep=killed)
        assert running.read(path, "those", NEEDS) is None and running.read(path, "these", ["rows.unused"]) is None
        before, _ = running.resumable(path, "these", NEEDS)
        read = []

        class Watched:
            def __len__(self):
                return len(X)

            def __getitem__(self, part, read=read):
                read.append(part.start or 0)
                return X[part]

        told = []
        found = accumulate(NETWORK, Watched(), NEEDS, told.append, before=before)
        assert before.n == 10 * stop and told[0] > 10 * stop and told[-1] == len(X)
        assert min(read[1:]) == 10 * stop  # the first says how large an image is
        for ours, theirs in zip(summary(found.states), summary(whole.states), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    path.write_bytes(path.read_bytes()[:-40])
    assert running.read(path, "these", NEEDS) is None


def test_writing_takes_a_tenth_of_the_time_at_most(tmp_path, monkeypatch):
    """Breaks if features of fifty thousand images, 400 MB, are written after every thousand of them."""
    now = [0.0]
    writes = []

    def write(path, state, question):
        writes.append(now[0])
        now[0] += 3

    monkeypatch.setattr(running, "write", write)
    monkeypatch.setattr(running.time, "monotonic", lambda: now[0])
    _, keep = running.resumable(tmp_path / "x.npz", "these", ["rows.x"])
    for _ in range(100):
        keep(None)
        now[0] += 1
    assert writes[0] == 0 and np.diff(writes).min() >= 30 and len(writes) >= 3


def test_a_layer_that_is_not_there_is_refused():
    """Breaks if a metric of a layer ends in a KeyError, there are no images and no sentence, or layers that nobody asks
    for are computed, too: the last ones of a network cost as much as the first."""
    with pytest.raises(ValueError, match="the layers features, logits, unused, but not 'spatial'"):
        accumulate(NETWORK, X, ["moments.spatial"])
    with pytest.raises(ValueError, match="no images to measure"):
        accumulate(NETWORK, X[:0], NEEDS)
    assert set(only(NETWORK, ["features"]).fn((), jnp.asarray(X[:2]))) == {"features"}
