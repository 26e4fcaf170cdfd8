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
    left_share,
    over_prompts,
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


def test_what_strangers_wrote_does_not_steer_the_terminal(tmp_path, capsys):
    """Breaks if a file that somebody sent clears the screen, or writes figures of its own over it."""
    systems, sly = ("old\x1b[2J", "new"), "\x1b]0;x\x07\n99% [99, 99]"
    said = [{**item(prompt, "new", "left", "left", systems), "category": sly} for prompt in ("a1", "a2")]
    said.append(item("b1", "new", "left", "left", systems))
    said[0]["challenge"] = sly
    assert cli.main(["ratings", str(save(tmp_path / "x.json", "Ada", said, systems))]) == 0
    out = capsys.readouterr().out
    assert "a = old\\x1b[2J, b = new" in out and "\x1b" not in out and "\n99%" not in out
    assert out.count("\\x1b]0;x\\x07\\n99%") == 4


def test_wilson_is_the_solution_of_its_equation():
    """Breaks if an interval leaves [0, 1], is empty at 0 or n wins, or is off |p - share| = z sqrt(p (1 - p) / n)."""
    for wins, n in ((0, 5), (5, 5), (1, 2), (61, 100), (800, 1632)):
        share, low, high = wilson(wins, n)
        assert share == wins / n and 0 <= low < high <= 1 and low <= share <= high
        for p in (low, high):
            assert abs(abs(p - share) - 1.959963984540054 * np.sqrt(p * (1 - p) / n)) < 1e-12
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)


def test_the_interval_over_prompts_covers_the_truth():
    """Breaks if the interval is too narrow or wide: of 100 means of 40 values, 95% of the intervals hold the truth."""
    x = np.random.default_rng(1).choice([0, 0.5, 1], (100, 40), p=[0.5, 0.2, 0.3])
    held = [low <= 0.4 <= high for _, low, high in (over_prompts(row, 40) for row in x)]
    assert 0.93 <= np.mean(held) <= 0.99
    normal = 1.96 * x[0].std() / 40**0.5
    found = over_prompts(x[0], 40)
    np.testing.assert_allclose(found, (x[0].mean(), x[0].mean() - normal, x[0].mean() + normal), atol=0.035)
    assert over_prompts([1.0], 9) == Interval(1.0, 0.0, 1.0)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("raters", [1, 6])
def test_few_prompts_do_not_make_it_sure(n, share, raters):
    """Breaks if few or unanimous prompts have an interval of no width: it must hold the share that prompts are drawn
    with, which differs from prompt to prompt, 95 times in 100."""
    rng = np.random.default_rng(0)
    of_prompt = rng.beta(4 * share, 4 * (1 - share), (400, n))
    x = rng.binomial(raters, of_prompt) / raters
    held = [low <= share <= high for _, low, high in (over_prompts(row, n * raters) for row in x)]
    assert np.mean(held) >= 0.93


def test_the_interval_is_that_of_clopper_and_pearson():
    """Breaks if it is of other limits: of n unanimous prompts it ends where all wins have a probability of 2.5%."""
    value, low, high = over_prompts([1.0, 1.0], 2)
    assert (value, high) == (1.0, 1.0) and low**2 == pytest.approx(0.025)
    assert over_prompts([0.0, 0.0, 0.0], 30).high == pytest.approx(1 - 0.025 ** (1 / 3))


def test_ratings_of_one_prompt_are_not_independent():
    """Breaks if ten raters of two prompts count as twenty prompts."""
    ratings = [
        Rating(f"r{i}", "quality", prompt, "", "", 0, True, score)
        for prompt, score in (("x", 1.0), ("y", 0.0))
        for i in range(10)
    ]
    found = summarize(ratings)
    assert (found.wins, found.ties, found.losses, found.prompts) == (10, 0, 10, 2)
    np.testing.assert_allclose(found.preference, (0.5, 0.0, 1.0), atol=1e-9)
    assert 0.29 < found.won.low < 0.3
    few = summarize([rating._replace(score=0.5) for rating in ratings])
    assert few.won is None and few.ties == 20 and few.preference.value == 0.5
    assert few.preference.low < 0.02 and few.preference.high > 0.98  # two prompts


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
    endless = ada.read_text().replace('"seed": 0', '"seed": Infinity')
    same = ada.read_text().replace('"new"', '"old"')
    half = ada.read_text().replace('"A"', '"\\ud800"')
    numbered = ada.read_text().replace('["old", "new"]', "[1, 2]")
    texts = ["", "[]", "{}", ada.read_text()[:200], "[" * 200_000, endless, same, half, numbered]
    for text in (*texts, json.dumps(unknown), json.dumps(swapped)):
        torn.write_text(text)
        assert "not a file of ratings" in refused(capsys, "ratings", torn)
    assert "no ratings" in refused(capsys, "ratings", save(tmp_path / "none.json", "Dee", []))
    assert "there is no file" in refused(capsys, "ratings", tmp_path / "missing.json")


def test_a_pair_that_was_half_answered_counts_where_it_was(tmp_path):
    """Breaks if an answer is thrown away because the other question of the pair was left out."""
    half = item("a1", "old", "left", "left")
    del half["quality"]
    _, ratings = read_ratings([save(tmp_path / "half.json", "Ada", [half, item("a2", "old", "left", "right")])])
    assert [(r.question, r.prompt) for r in ratings] == [("alignment", "a1"), ("alignment", "a2"), ("quality", "a2")]


def test_a_category_that_all_are_of_is_no_row_of_its_own(tmp_path, capsys):
    """Breaks if the table says the same twice, as if there were two findings."""
    path = save(tmp_path / "one.json", "Ada", [item("a1", "old", "left", "left"), item("a2", "old", "left", "right")])
    assert cli.main(["ratings", str(path)]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert rows.count("all") == 2 and "A" not in rows
