"""Lists of prompts, sorted into categories, as they are published.

PartiPrompts    Prompt  Category  Challenge  Note        Yu et al. (2022), section 5: 1632 prompts
DrawBench       Prompts,Category                         Saharia et al. (2022), section 4: 200 prompts
"""

import csv
import io
import os
from pathlib import Path
from typing import NamedTuple

PARTI = ["Prompt", "Category", "Challenge", "Note"]
DRAWBENCH = ["Prompts", "Category"]
REFERENCES = ["Prompt", "Reference"]


class Prompt(NamedTuple):
    """A text, what it is about (`category`), what is hard in it (`challenge`) and a `note` for whoever reads it."""

    text: str
    category: str
    challenge: str = ""
    note: str = ""


def read_prompts(path: str | os.PathLike) -> list[Prompt]:
    """The prompts in the file `path`, PartiPrompts.tsv or a CSV of DrawBench, which its first line tells apart.

    Spaces around a field are left out. In the TSV a quotation mark is part of the text, as in `"G I G G L E" painted`,
    in the CSV it is the usual quoting. Raises ValueError, naming the line, for any other file.
    """
    text = decoded(path)
    rows = parse(text, path)
    header = rows[0][1] if rows else []
    if header not in (PARTI, DRAWBENCH):
        raise ValueError(
            f"expected a list of prompts whose first line is {'<tab>'.join(PARTI)} (PartiPrompts) or "
            f"{','.join(DRAWBENCH)} (DrawBench) in {path}, got {text.partition(chr(10))[0][:80]!r}."
        )
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(
                f"expected {len(header)} fields in line {number} of {path}, got {len(row)}: mend the line."
            )
        if not (row[0] and row[1]):
            raise ValueError(f"expected a prompt and its category in line {number} of {path}: fill in or remove it.")
    if len(rows) == 1:
        raise ValueError(f"{path} holds no prompts under its first line: take the whole list.")
    return [Prompt(*row) for _, row in rows[1:]]


def read_references(path: str | os.PathLike) -> dict[str, list[str]]:
    """Other texts of a prompt, by prompt, as the captions of MS-COCO are: a file whose first line is
    Prompt<tab>Reference, with one of them a line. Raises ValueError, naming the line, for any other file."""
    header, *rows = parse(decoded(path), path) or [(1, [""])]
    if header[1] != REFERENCES:
        raise ValueError(f"expected references whose first line is {'<tab>'.join(REFERENCES)} in {path}.")
    found: dict[str, list[str]] = {}
    for number, row in rows:
        if len(row) != 2 or not all(row):
            raise ValueError(f"expected a prompt and one other text of it in line {number} of {path}: mend the line.")
        found.setdefault(row[0], []).append(row[1])
    return found


def decoded(path: str | os.PathLike) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected texts in UTF-8 in {path} ({error}): save the list as UTF-8 text.") from None


def parse(text: str, path: str | os.PathLike) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every row that is not blank: fields in tabs where the first line has one, else CSV."""
    file = io.StringIO(text, newline="")
    tabs = "\t" in text.partition("\n")[0]
    reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(file, strict=True)
    try:
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} of {path} is no line of a CSV file ({error}): mend it.") from None
    return [(number, row) for number, row in rows if any(row)]
