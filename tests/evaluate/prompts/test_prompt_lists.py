"""If these fail, a published list of prompts is read with words missing, or another file is taken for one."""

import pytest

from jaxgen.evaluate.prompts.lists import Prompt, read_prompts

PARTI = """Prompt\tCategory\tChallenge\tNote
bond\tAbstract\tBasic\tBiology-inspired concepts with multiple meanings
"G I G G L E" painted in thick colorful lettering\tIllustrations\tWriting & Symbols\t
a two lane road with a bright yellow line \tOutdoor Scenes\tSimple Detail\t

ein café, "très" chic\tFood & Beverage\tBasic\tLongest word: "a lung disease"
"""
DRAWBENCH = """Prompts,Category
A red colored car.,Colors
"An emoji of a panda wearing a red hat, green gloves, and ""green"" pants.",DALL-E
Paying for a quarter-sized pizza.,Gary Marcus et al. 
"""  # noqa: W291, as published


def test_partiprompts_keeps_its_quotation_marks(tmp_path):
    """Breaks if tabs are read as CSV, where `"G I G G L E" painted` loses its marks, or spaces join a prompt."""
    path = tmp_path / "PartiPrompts.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + PARTI.replace("\n", "\r\n").encode())
    assert read_prompts(path) == [
        Prompt("bond", "Abstract", "Basic", "Biology-inspired concepts with multiple meanings"),
        Prompt('"G I G G L E" painted in thick colorful lettering', "Illustrations", "Writing & Symbols"),
        Prompt("a two lane road with a bright yellow line", "Outdoor Scenes", "Simple Detail"),
        Prompt('ein café, "très" chic', "Food & Beverage", "Basic", 'Longest word: "a lung disease"'),
    ]


def test_drawbench_is_read_with_csv_quoting(tmp_path):
    """Breaks if a comma inside a prompt splits it, or a space makes a category of its own."""
    path = tmp_path / "drawbench.csv"
    path.write_text(DRAWBENCH)
    assert read_prompts(path) == [
        Prompt("A red colored car.", "Colors"),
        Prompt('An emoji of a panda wearing a red hat, green gloves, and "green" pants.', "DALL-E"),
        Prompt("Paying for a quarter-sized pizza.", "Gary Marcus et al."),
    ]


@pytest.mark.parametrize(
    "content, says",
    [
        (b"Caption,Category\nA car,Colors\n", "first line is Prompt<tab>Category.*'Caption,Category'"),
        (b"", "first line is"),
        (b"Prompts,Category\n", "no prompts"),
        (b"Prompts,Category\nA car,Colors\nA car, red,Colors\n", "expected 2 fields in line 3 .* got 3"),
        (b"Prompts,Category\nA car,\n", "a prompt and its category in line 2"),
        (b'Prompts,Category\n"A car,Colors\n', "line 2 .* no line of a CSV"),
        (b"Prompt\tCategory\tChallenge\tNote\nbond\tAbstract\n", "expected 4 fields in line 2 .* got 2"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "UTF-8"),
    ],
)
def test_other_files_are_refused_by_line(content, says, tmp_path):
    """Breaks if half a list, a picture or someone's own columns become prompts without a word."""
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_prompts(path)
