"""If these fail, an FVD does not say how its clips were cut, or is of other clips than it says."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.commands.comparable import check
from jaxgen.commands.measure import look
from jaxgen.commands.metrics import NETWORKS, parse
from jaxgen.evaluate.distribution.frechet import frechet, moments
from jaxgen.evaluate.stream.clips import PROTOCOLS, Clips, Protocol
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.stream.sides import Side

VIDEOS = [np.full((length, 2, 2, 3), np.arange(length)[:, None, None, None], np.uint8) for length in (30, 25, 40)]


def test_clips_hold_the_frames_that_the_protocol_says():
    """Frames of another rate or from elsewhere in the video are what makes published figures disagree."""
    first = Clips(VIDEOS, Protocol(frames=9, stride=3))[0:3]
    np.testing.assert_array_equal(first[..., 0, 0, 0], np.tile(np.arange(0, 27, 3), (3, 1)))
    drawn = Protocol(frames=9, start="random")
    clips = Clips(VIDEOS, drawn)[0:3][..., 0, 0, 0].astype(int)
    assert (np.diff(clips) == 1).all() and len({*clips[:, 0]}) > 1
    np.testing.assert_array_equal(Clips(VIDEOS, drawn)[1:2][..., 0, 0, 0], clips[1:2])
    starts = {int(Clips([VIDEOS[2]], drawn._replace(seed=seed))[0:1][0, 0, 0, 0, 0]) for seed in range(300)}
    assert starts == {*range(32)}
    assert PROTOCOLS["128f_subsample8f"].length == 121


def test_a_protocol_is_in_its_name():
    """Two protocols of one name would share what is kept of features, and be compared."""
    protocols = [Protocol(), Protocol(9), Protocol(stride=2), Protocol(start="random"), Protocol(16, 1, "random", 1)]
    assert len({protocol.name for protocol in protocols}) == len(protocols)


def test_short_videos_and_other_protocols_are_refused():
    """A clip that is padded or looped in silence moves the figure; I3D has no logits for eight frames."""
    with pytest.raises(ValueError, match="video 1 has 25 frames, fewer than the 29"):
        Clips(VIDEOS, Protocol(frames=15, stride=2))[0:3]
    with pytest.raises(ValueError, match="at least 9 frames"):
        Clips(VIDEOS, Protocol(frames=8))
    with pytest.raises(ValueError, match="first or random"):
        Clips(VIDEOS, Protocol(start="middle"))
    with pytest.raises(ValueError, match="of one size"):
        Clips([VIDEOS[0], np.zeros((30, 3, 2, 3), np.uint8)], Protocol())[0:2]


def test_the_command_cuts_videos_by_the_protocol_of_the_figure(tmp_path):
    """Whole videos given to I3D, or short ones that are found out hours later, is what the table of networks is to
    prevent: a figure must be of the clips that its name says."""
    rng = np.random.default_rng(0)
    videos = rng.integers(0, 256, (2, 20, 24, 2, 2, 3), dtype=np.uint8)
    real, fake = (Side(name, rows, key=name) for name, rows in zip(("real", "fake"), videos, strict=True))
    metrics = [parse(name) for name in ("fvd_16f", "fvd")]

    def fn(params, clips):
        return {"features": jnp.float32(clips).mean((2, 3))[..., 0] / 255}

    networks = {one.network: Extractor(fn, None, f"some network; {one.network}", label="I3D") for one in metrics}
    check(metrics, networks, real, fake)
    found = look(metrics, networks, real, fake, (tmp_path / "real", tmp_path / "fake"), None).figures
    for one, result in zip(metrics, found, strict=True):
        protocol = NETWORKS[one.network].clips
        means = [Clips(rows, protocol)[0:20].mean((2, 3))[..., 0] / 255 for rows in videos[::-1]]
        assert result.value == pytest.approx(frechet(*map(moments, means)), rel=1e-4)
    assert [result.name for result in found] == ["FVD-16f", "FVD"]
    with pytest.raises(ValueError, match="video 0 has 24 frames, fewer than the 121"):
        check([parse("fvd_128f_subsample8f")], networks, real, fake)
