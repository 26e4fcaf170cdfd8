"""torchvision's Inception-v3, trained anew on ImageNet with the blocks of the paper: not the network of the FID.

Average pools count the border as zeros, in the last block too, and there are 1000 classes with a bias. Otherwise as
`jaxgen.models.recognition.inception`; its second head, for training alone, is left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgen.models.recognition.folded import Published
from jaxgen.models.recognition.inception import InceptionV3, bordered_mean_pool, folded

FILE = "inception_v3_google-0cc3c7bd.pth"
NETWORK = InceptionV3(bordered_mean_pool, bordered_mean_pool, 1000, True)


def variables(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The variables of NETWORK out of torchvision's state dict. Raises ValueError where it is another network's."""
    published = Published(state, "torchvision's Inception-v3", FILE)
    published.used |= {name for name in state if name.startswith("AuxLogits.")}
    return folded(NETWORK, published)
