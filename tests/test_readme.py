"""What the README shows is run as it stands."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parent.parent / "README.md"


def test_the_library_in_thirty_lines():
    """The README's example trains a model whose samples and likelihoods are those of digits."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    statements = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(statements) <= 30
    names: dict = {}
    exec(compile(code, str(README), "exec"), names)
    x, images = np.asarray(names["x"][:1437]), np.asarray(names["images"])
    assert float(names["metrics"]["loss"]) < 0.5
    # The pixels that are blank in every digit are blank in the samples, and the ink is where digits have it.
    np.testing.assert_allclose(images.mean(0), x.mean(0), atol=0.3)
    nats = np.asarray(names["nats"])
    assert np.all(np.isfinite(nats)) and nats.mean() > 0  # a standard normal would give about -100
