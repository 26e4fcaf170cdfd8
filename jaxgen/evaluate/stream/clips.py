"""Clips of videos: the protocol of a Fréchet Video Distance, which is that of I3D's logits for clips.

How clips are cut moves it as much as models do, so that is part of its name.

Source: Unterthiner et al. 2018, "Towards Accurate Generative Models of Video: A New Metric & Challenges" (1812.01717);
Skorokhodov et al. 2022, "StyleGAN-V" (2112.14683), section 4, for the protocols in PROTOCOLS.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxgen.models.recognition.i3d import FEWEST_FRAMES

STARTS = "first", "random"


class Protocol(NamedTuple):
    """One clip a video: `frames` frames, every `stride`-th, from the first on or from one drawn uniformly, which
    `seed` and the number of the video decide."""

    frames: int = 16
    stride: int = 1
    start: str = "first"
    seed: int = 0

    @property
    def length(self) -> int:
        """The frames of the video that a clip reaches over."""
        return (self.frames - 1) * self.stride + 1

    @property
    def name(self) -> str:
        drawn = f"drawn with seed {self.seed}" if self.start == "random" else "from its first frame on"
        return f"one clip of {self.frames} frames a video, every {self.stride}, {drawn}"


PROTOCOLS = {  # as StyleGAN-V has them, for 2048 videos
    "16f": Protocol(16, 1, "random"),
    "128f": Protocol(128, 1, "random"),
    "128f_subsample8f": Protocol(16, 8, "random"),
}


class Clips:
    """The clips of `videos`, rows of uint8 [T, H, W, C] that are read in slices, and read alike: len(clips),
    clips[3:70] [n, frames, H, W, C].

    Raises ValueError for another protocol, and when read for a video that is too short or of another size."""

    def __init__(self, videos: Any, protocol: Protocol):
        if protocol.frames < FEWEST_FRAMES or protocol.stride < 1 or protocol.start not in STARTS:
            raise ValueError(
                f"clips must have at least {FEWEST_FRAMES} frames, a stride of at least 1 and a start that is "
                f"{' or '.join(STARTS)}, got {protocol}."
            )
        self.videos, self.protocol = videos, protocol

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(len(self))
        clips = [self.clip(i, video) for i, video in enumerate(self.videos[first:last], first)]
        if len(sizes := {clip.shape[1:] for clip in clips}) > 1:
            raise ValueError(f"the videos of one set must be of one size, got {sorted(sizes)}: resize them.")
        return np.stack(clips)

    def clip(self, i: int, video: np.ndarray) -> np.ndarray:
        """The clip of video i."""
        frames, stride, start, seed = self.protocol
        spare = len(video) - self.protocol.length
        if spare < 0:
            raise ValueError(
                f"video {i} has {len(video)} frames, fewer than the {self.protocol.length} that a clip of {frames} "
                f"frames, every {stride}, needs: leave it out, or take shorter clips."
            )
        first = np.random.default_rng((seed, i)).integers(spare + 1) if start == "random" else 0
        return video[first : first + self.protocol.length : stride]
