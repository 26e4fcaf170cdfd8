"""Digits guided by a classifier of noisy images, and test digits restored by every method: two tables.

    jaxgen train --config=configs/edm/digits_mlp.py --workdir=runs/digits_mlp
    jaxgen train --config=configs/classifier/digits.py --workdir=runs/classifier_digits
    python experiments/digits/guided.py --workdir=runs/digits_mlp --classifier=runs/classifier_digits

The class of a sample is that of most of its 5 nearest training images, of which the classifier knows nothing.
"""

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np

from jaxgen.commands.model import generate, guided, labels_for, open_data, open_model
from jaxgen.commands.problems import Problem
from jaxgen.commands.restore import restore
from jaxgen.evaluate import pixels

SCALES = (0.0, 1.0, 2.0, 4.0)
NEIGHBOURS = 5
TASKS = {
    "inpaint left": Problem("inpaint", "left"),
    "inpaint box": Problem("inpaint", "box"),
    "superres 2": Problem("superres"),
}
ANCESTRAL = ["sampling.solver=ancestral", "sampling.steps=100"]
METHODS = {"pigdm": [], "dps": ANCESTRAL, "replacement": ANCESTRAL}  # what each samples with, but for the configured


def by_neighbours(x: np.ndarray, train: dict[str, np.ndarray]) -> np.ndarray:
    """The class of most of the nearest training images, the lowest of several, of each image of x. [n] int."""
    flat, known = (images.reshape(len(images), -1).astype(np.float64) for images in (x, train["x"]))
    distance = (flat**2).sum(1)[:, None] - 2 * flat @ known.T + (known**2).sum(1)
    votes = train["label"][np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]]
    return np.array([np.bincount(row).argmax() for row in votes])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--restored", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model, judge = open_model(options.workdir), open_model(options.classifier)
    levels, section = model.run.spec.levels, judge.run.config.data
    train, test = (open_data(judge.run, split).records[:] for split in (section.split, section.test_split))
    right = np.mean(by_neighbours(test["x"], train) == test["label"])
    print(f"the {NEIGHBOURS} nearest training images are right on {right:.3f} of the test images")
    print("\nscale  wanted class   FDpix  recall  nearest")
    for scale in SCALES:
        steered = guided(model, judge, scale)
        labels = labels_for(steered.run, options.samples)
        x = generate(steered, options.samples, options.seed, labels)
        found = {result.name: result.value for result in pixels.compare(x, train["x"], levels)}
        share = np.mean(by_neighbours(x, train) == labels)
        figures = found["FDpix"], found["recall"], found["nearest_train_median"]
        print("{:5g}  {:12.2f}  {:6.3f}  {:6.2f}  {:7.2f}".format(scale, share, *figures), flush=True)

    print("\nPSNR in dB of what was not known" + "".join(f"{task:>14}" for task in TASKS))
    with tempfile.TemporaryDirectory() as folder:
        for method, overrides in METHODS.items():
            sampling = open_model(options.workdir, overrides)
            found = []
            for problem in TASKS.values():
                arguments = None, None, options.restored, options.seed, None, f"{folder}/restored.png"
                said = restore(sampling, problem, method, *arguments)
                found.append(re.search(r"PSNR (\S+) dB", said).group(1))
            print(f"{method:<32}" + "".join(f"{psnr:>14}" for psnr in found), flush=True)


if __name__ == "__main__":
    main()
