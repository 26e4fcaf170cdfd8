"""If these fail, CLIP reads other words than were written."""

import gzip
import json
import warnings

import numpy as np
import pytest
from conftest import GOLDEN

from jaxgen.data.clip_tokenizer import cleaned, open_tokenizer, read_merges

pytest.importorskip("tokenizers")
MERGES = GOLDEN / "metrics" / "clip_bpe_2000.txt.gz"  # the first 2000 of CLIP's, (c) 2021 OpenAI, MIT licence
EXAMPLES = json.loads((GOLDEN / "metrics" / "clip_tokens.json").read_text())


@pytest.fixture(scope="module")
def tokenizer():
    return open_tokenizer(MERGES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: ascii(example["text"][:16]))
def test_ids_are_those_of_the_published_tokenizer(tokenizer, example):
    """Accents, quotes, entities, ligatures, contractions, digits one by one, scripts without capitals, emoji, control
    characters, the cut at 77."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (ids,) = tokenizer([example["text"]])
    np.testing.assert_array_equal(ids, np.pad(example["ids"], (0, 77 - len(example["ids"]))))


def test_published_ids():
    """The ids between start and end that CLIP's own documentation shows for this text."""
    assert open_tokenizer(MERGES)(["a photo of a cat"])[0, 1:6].tolist() == [320, 1125, 539, 320, 2368]


def test_texts_that_are_cut_are_told(tokenizer):
    """A figure of half-read prompts looks like any other."""
    with pytest.warns(UserWarning, match="1 of 2 texts have more than 75 tokens"):
        ids = tokenizer(["a cat", "a cat " * 40])
    assert ids[1, -1] == ids.max() == ids[0, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(["cat " * 75])


def test_what_follows_the_end_is_a_choice():
    """Stable Diffusion 1 sees what CLIP does not look at."""
    assert open_tokenizer(MERGES)(["cat"])[0, 3:].max() == 0
    ended = open_tokenizer(MERGES, context=8, pad=None)(["cat"])[0]
    assert ended.shape == (8,) and (ended[2:] == ended[2]).all()


def test_every_published_file_gives_the_same_ids(tokenizer, tmp_path):
    """A packed list, a plain one, transformers' folder and its one file hold the same vocabulary."""
    merges = read_merges(MERGES)
    content = gzip.decompress(MERGES.read_bytes())
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "merges.txt").write_bytes(content)
    (tmp_path / "plain" / "vocab.json").write_text("{}")
    for name, lines in (("pairs", [list(pair) for pair in merges]), ("lines", [" ".join(pair) for pair in merges])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(json.dumps({"model": {"merges": lines}}))
    texts = ["A photo, of 2 cats!", ""]
    for path in ("plain", "plain/merges.txt", "plain/vocab.json", "pairs", "lines/tokenizer.json"):
        np.testing.assert_array_equal(open_tokenizer(tmp_path / path)(texts), tokenizer(texts), err_msg=path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("merges.txt", b"#version\nin the middle\n"),
        ("merges.txt", b"#version\n"),
        ("merges.txt", b"#version\nqu ick\n"),
        ("merges.txt", b"\xff\xfe\x00"),
        ("bpe.txt.gz", b"\x1f\x8b\x08 cut"),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b'{"model": {"merges": [[1, 2]]}}'),
        ("tokenizer.json", b"[" * 100_000),
    ],
)
def test_other_files_are_refused(tmp_path, name, content):
    """In one sentence, whatever is wrong with them."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="expected"):
        open_tokenizer(tmp_path / name)


def test_one_text_is_not_a_list_of_letters(tokenizer):
    """A text passed alone would be read letter by letter."""
    with pytest.raises(ValueError, match="expected a list of texts"):
        tokenizer("a cat")


def test_cleaning_keeps_what_was_meant():
    """Quotes of word processors, entities twice escaped, wide letters."""
    assert cleaned("  \u201cDon\u2019t\u201d &amp;amp; \uff27\uff2f \ufb01ne\n") == '"don\'t" & go fine'
