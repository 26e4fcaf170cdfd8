"""If these fail, a preference between two models is turned around, or said to be surer than it is."""

import json

import numpy as np
import pytest
from command import refused

from jaxgen import cli
from jaxgen.evaluate.prompts.ratings import (
    Interval,
    Rating,
    agreement,
    bootstrap,
    left_share,
    read_ratings,
    summarize,
    wilson,
)

QUESTIONS = {"alignment": "Which?", "quality": "Which is better?"}


def item(prompt, left, alignment, quality, systems=("old", "new"), seed=0):
    """What a sheet says of a pair whose left image is of the system `left`."""
    right = systems[1 - systems.index(left)]
    about = {"prompt": prompt, "category": prompt[0].upper(), "challenge": "", "seed": seed}
    return {**about, "left": left, "right": right, "alignment": alignment, "quality": quality}


def save(path, rater, ratings, systems=("old", "new")):
    document = {"format": "jaxgen ratings", "rater": rater, "sheet": "0", "systems": systems, "questions": QUESTIONS}
    path.write_text(json.dumps({**document, "ratings": ratings}))
    return path


@pytest.fixture
def two(tmp_path):
    """Ada and Bea, whose sheet names the systems the other way round."""
    ada = [item("a1", "old", "right", "equal"), item("a2", "new", "left", "left"), item("b1", "old", "left", "right")]
    bea = [item("a1", "new", "left", "equal"), item("b1", "new", "left", "left", seed=1)]
    return [
        save(tmp_path / "ada.json", "Ada", ada),
        save(tmp_path / "bea.json", "Bea", bea, ("new", "old")),
    ]


def test_sides_become_systems(two):
    """Breaks if the blind is lifted wrongly: the image on the left is new in one pair and old in the next."""
    systems, ratings = read_ratings(two)
    assert systems == ("old", "new")
    scores = {(r.rater, r.question, r.prompt, r.seed): r.score for r in ratings}
    assert scores == {
        ("Ada", "alignment", "a1", 0): 0,
        ("Ada", "quality", "a1", 0): 0.5,
        ("Ada", "alignment", "a2", 0): 0,
        ("Ada", "quality", "a2", 0): 0,
        ("Ada", "alignment", "b1", 0): 1,
        ("Ada", "quality", "b1", 0): 0,
        ("Bea", "alignment", "a1", 0): 0,
        ("Bea", "quality", "a1", 0): 0.5,
        ("Bea", "alignment", "b1", 1): 0,
        ("Bea", "quality", "b1", 1): 0,
    }
    assert agreement(ratings) == 1.0
    flipped = [r._replace(score=1 - r.score) if r.rater == "Bea" else r for r in ratings]
    assert agreement(flipped) == 0.5  # the ties stay equal
    assert left_share([r for r in ratings if r.question == "alignment"]).value == 4 / 5


def test_wilson_is_the_solution_of_its_equation():
    """Breaks if an interval leaves [0, 1], is empty at 0 or n wins, or is off |p - share| = z sqrt(p (1 - p) / n)."""
    for wins, n in ((0, 5), (5, 5), (1, 2), (61, 100), (800, 1632)):
        share, low, high = wilson(wins, n)
        assert share == wins / n and 0 <= low < high <= 1 and low <= share <= high
        for p in (low, high):
            assert abs(abs(p - share) - 1.959963984540054 * np.sqrt(p * (1 - p) / n)) < 1e-12
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)


def test_the_bootstrap_covers_the_truth():
    """Breaks if the interval is too narrow or wide: of 100 means of 40 values, 95% of the intervals hold the truth."""
    x = np.random.default_rng(1).choice([0, 0.5, 1], (100, 40), p=[0.5, 0.2, 0.3])
    held = [low <= 0.4 <= high for _, low, high in map(bootstrap, x)]
    assert 0.90 <= np.mean(held) <= 0.98
    normal = 1.96 * x[0].std() / 40**0.5
    found = bootstrap(x[0])
    np.testing.assert_allclose(found, (x[0].mean(), x[0].mean() - normal, x[0].mean() + normal), atol=0.015)
    assert bootstrap([1.0]) == Interval(1.0, 0.0, 1.0)


def test_ratings_of_one_prompt_are_not_independent():
    """Breaks if ten raters of two prompts count as twenty prompts."""
    ratings = [
        Rating(f"r{i}", "quality", prompt, "", "", 0, True, score)
        for prompt, score in (("x", 1.0), ("y", 0.0))
        for i in range(10)
    ]
    found = summarize(ratings)
    assert (found.wins, found.ties, found.losses, found.prompts) == (10, 0, 10, 2)
    assert found.preference == Interval(0.5, 0.0, 1.0) and 0.29 < found.won.low < 0.3
    few = summarize([rating._replace(score=0.5) for rating in ratings])
    assert few.won is None and few.ties == 20 and few.preference == Interval(0.5, 0.5, 0.5)


def test_the_command_says_who_is_preferred(two, capsys):
    """Breaks if the table of a question or category is missing, or counts another's ratings."""
    assert cli.main(["ratings", *map(str, two)]) == 0
    out = capsys.readouterr().out
    assert "a = old, b = new; 2 raters" in out
    alignment, quality = out.split("quality")
    rows = {line.split()[0]: line.split()[1:] for line in alignment.splitlines() if line}
    assert rows["all"][:5] == ["3", "1", "0", "4", "20%"]
    assert rows["A"][:4] == ["2", "0", "0", "3"] and rows["B"][:4] == ["1", "1", "0", "1"]
    assert "left side chosen 80%" in alignment and "agree 100%" in alignment
    assert {line.split()[0]: line.split()[1:5] for line in quality.splitlines() if line}["all"] == ["3", "0", "2", "3"]


def test_files_that_do_not_go_together_are_refused(two, tmp_path, capsys):
    """Breaks if a rater counts twice, two comparisons are mixed, or a damaged file ends in a traceback."""
    ada, bea = two
    assert "again, after" in refused(capsys, "ratings", ada, bea, ada)
    other = save(tmp_path / "c.json", "Cy", [item("a1", "old", "left", "left", ("old", "third"))], ("old", "third"))
    assert "old and third" in refused(capsys, "ratings", ada, other)
    torn = tmp_path / "torn.json"
    unknown = json.loads(ada.read_text())
    unknown["ratings"][0]["quality"] = "maybe"
    swapped = json.loads(ada.read_text())
    swapped["ratings"][0]["left"] = "third"
    for text in ("", "[]", "{}", ada.read_text()[:200], json.dumps(unknown), json.dumps(swapped)):
        torn.write_text(text)
        assert "not a file of ratings" in refused(capsys, "ratings", torn)
    assert "no ratings" in refused(capsys, "ratings", save(tmp_path / "none.json", "Dee", []))
    assert "No such file" in refused(capsys, "ratings", tmp_path / "missing.json")
