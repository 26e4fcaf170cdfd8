"""If these fail, a category is credited with the images of another, or errors pretend that seeds are new prompts."""

import json
import zlib
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluate.prompts.lists import Prompt
from jaxgen.evaluate.prompts.runs import Manifest, generate
from jaxgen.evaluate.prompts.scores import score, write_report
from jaxgen.evaluate.stream.features import Extractor
from jaxgen.evaluate.text_image import PREFIX

COLOURS = {"red": (250, 10, 20), "green": (10, 240, 30), "blue": (20, 30, 255), "grey": (9, 8, 10)}
CATEGORIES = "warm", "cold", "cold", "none"
CHALLENGES = "", "hard", "", "hard"
PROMPTS = tuple(Prompt(*fields) for fields in zip(COLOURS, CATEGORIES, CHALLENGES, strict=True))
SEEDS, COUNT = (0, 1, 2), 4


def painted(prompts, keys):
    """What is asked for, a little off; the grey is red in truth."""
    colours = [COLOURS["red" if prompt == "grey" else prompt] for prompt in prompts]
    noise = [np.random.default_rng(zlib.crc32(str(key).encode())).integers(0, 90, 3) for key in keys]
    pixels = np.clip(np.array(colours) + noise, 0, 255).astype(np.uint8)
    return np.broadcast_to(pixels[:, None, None], (len(prompts), 6, 8, 3))


def text_embedding(texts):
    """A colour, which a prefix makes darker and a little red: another direction."""
    rows = [np.array(COLOURS[text.removeprefix(PREFIX)], np.float32) for text in texts]
    return np.stack(
        [row / 2 + np.array((60, 0, 0)) * text.startswith(PREFIX) for row, text in zip(rows, texts, strict=True)]
    )


def image_embedding(params, images):
    return {"features": images.astype(jnp.float32).mean((1, 2))}


CLIP = SimpleNamespace(
    images=Extractor(
        image_embedding, {}, "mean colour", lambda images: images[:, :4, :4], weights="ab12", label="CLIP-B/32"
    ),
    texts=text_embedding,
    vocabulary="cd34",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("run"), Manifest("painter", PROMPTS, SEEDS), painted, batch_size=5)


@pytest.fixture(scope="module")
def scores(run):
    return score(run, CLIP, COUNT)


def cosine(x, y):
    return (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


def test_each_image_is_scored_with_its_own_prompt(run, scores):
    """Breaks if seeds and prompts are taken for each other, the prefix is left out, or candidates are not as kept."""
    seen = run[:].astype(np.float64)[:, 0, 0].reshape(4, 3, 1, 3)
    plain, prefixed = (text_embedding([prefix + text for text in COLOURS]) for prefix in ("", PREFIX))
    np.testing.assert_allclose(scores.plain, cosine(seen, plain[:, None, None])[..., 0], rtol=1e-5)
    np.testing.assert_allclose(scores.prefixed, cosine(seen, prefixed[:, None, None])[..., 0], rtol=1e-5)
    among = cosine(seen, plain[scores.candidates][:, None])
    np.testing.assert_array_equal(scores.ranks, (among[..., 1:] >= among[..., :1]).sum(-1))
    assert scores.candidates[:, 0].tolist() == [0, 1, 2, 3] and not scores.ranks[:3].any() and scores.ranks[3].any()


def test_a_report_has_every_category_and_challenge(run, scores):
    """Breaks if a group is left out or has another's figures, if an error is one over images, or the candidates that
    R-precision is a figure of are lost."""
    page, results = write_report(run, scores)
    document = json.loads((run.folder / "metrics.json").read_text())
    of_prompt = {
        "CLIP cosine": scores.plain.mean(1),
        "CLIPScore": 2.5 * np.maximum(scores.prefixed, 0).mean(1),
        "R-precision": (scores.ranks == 0).mean(1),
    }
    for name, values in of_prompt.items():
        figure = document["figures"][name]
        assert figure["n"] == 12 and figure["protocol"] == "mean colour; vocabulary sha256 cd34"
        assert (figure["layer"], figure["weights"], figure["dtype"]) == ("features", "ab12", "float32")
        np.testing.assert_allclose(
            [figure["value"], figure["error"]], [values.mean(), values.std(ddof=1) / 2], rtol=1e-4
        )
        for title, names in (("Categories", CATEGORIES), ("Challenges", CHALLENGES)):
            table = document["tables"][title]
            assert list(table) == list(dict.fromkeys(filter(None, names)))
            for group, row in table.items():
                own = values[np.array(names) == group]
                assert row["prompts"] == len(own)
                np.testing.assert_allclose(row[name], own.mean(), rtol=1e-5)
                error = row[f"{name} ±"]
                assert error is None if len(own) == 1 else np.isclose(error, abs(own[0] - own[1]) / 2)
    with np.load(run.folder / "scores.npz") as kept:
        np.testing.assert_array_equal(kept["candidates"], scores.candidates)
        np.testing.assert_array_equal(kept["ranks"], scores.ranks)
        assert kept["weights"] == "ab12"
    assert [result.name for result in results] == [*document["figures"]]
    assert "Challenges" in page.read_text() and "grey (" in page.read_text()


def test_too_few_prompts_for_r_precision_are_refused(run):
    """Breaks if R-precision among four texts is printed as that among a hundred."""
    with pytest.raises(ValueError, match="R-precision among 100 texts"):
        score(run, CLIP)


def test_references_enter_by_their_prompt(run):
    """Breaks if an image is scored by another prompt's references, one that is repeated to fill up counts, or a prompt
    without any passes."""
    references = {"red": ["green", "red"], "green": ["blue"], "blue": ["blue"], "grey": ["red"]}
    found = score(run, CLIP, COUNT, references=references)
    seen = run[:].astype(np.float64)[:, 0, 0].reshape(4, 3, 3)
    for row, (text, others) in enumerate(references.items()):
        own, read = text_embedding([PREFIX + text]), text_embedding([PREFIX + other for other in others])
        closest = cosine(own, read).max()
        image = 2.5 * cosine(seen[row], own)
        np.testing.assert_allclose(found.referenced[row], 2 * image * closest / (image + closest), rtol=1e-5)
    with pytest.raises(ValueError, match="no reference for 'blue'"):
        score(run, CLIP, COUNT, references={"red": ["green"], "green": ["red"]})


def test_texts_that_read_alike_are_no_candidates(tmp_path):
    """Breaks if a prompt has itself for a candidate in other letters, and loses to it for certain."""
    prompts = tuple(Prompt(text, "colours") for text in ("red", " Red", "green", "blue"))

    def embedding(texts):
        return text_embedding([text.removeprefix(PREFIX).strip().lower() for text in texts])

    run = generate(
        tmp_path, Manifest("p", prompts), lambda texts, keys: painted([t.strip().lower() for t in texts], keys)
    )
    found = score(run, SimpleNamespace(images=CLIP.images, texts=embedding, vocabulary=""), 3)
    assert not {0, 1} & {*found.candidates[:2, 1:].ravel().tolist()}
