"""Texts as CLIP reads them: byte pairs of lower-cased words between a token for the start and one for the end.

Source: Radford et al. 2021 (2103.00020), section 2.4, on byte pair encoding (Sennrich et al. 2016, 1508.07909). The
vocabulary follows from the list of merges: the 256 bytes, the same at the end of a word, the merges, start and end.
"""

import gzip
import hashlib
import html
import json
import os
import re
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

CONTEXT = 77
MERGES = 49152 - 256 - 2  # that CLIP takes of the 262,144 in bpe_simple_vocab_16e6.txt.gz
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
MOST_BYTES = 2**26  # of the file, unpacked

WIDE = re.compile("[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\u3000\ufb00-\ufb06\uff01-\uffef]")
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]")
STRAIGHT = str.maketrans(
    dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)

Tokenizer = Callable[[Sequence[str]], np.ndarray]


def open_tokenizer(path: str | os.PathLike, context: int = CONTEXT, pad: int | None = 0) -> Tokenizer:
    """texts -> ids int32 [n, context], as CLIP's vocabulary at `path` has them: OpenAI's bpe_simple_vocab_16e6.txt.gz,
    or a tokenizer.json, a merges.txt, or a folder with one of them, as transformers keeps them.

    Texts are cleaned by `cleaned`. Longer ones are cut, keeping the end token, which is told by a warning. Shorter ones
    are filled up with `pad`, or where it is None with the end token, as Stable Diffusion 1 wants it; CLIP itself never
    looks there. Raises ValueError where the file is of another vocabulary.
    """
    merges = read_merges(Path(path))
    vocabulary = vocabulary_of(merges)
    encode = encoder(vocabulary, merges)
    start, end = vocabulary[START], vocabulary[END]

    def tokenizer(texts: Sequence[str]) -> np.ndarray:
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ValueError("expected a list of texts to tokenize, got something else: pass [text, ...].")
        ids = np.full((len(texts), context), end if pad is None else pad, np.int32)
        cut = 0
        for row, text in zip(ids, texts, strict=True):
            words = encode(cleaned(text))
            cut += len(words) > context - 2
            found = [start, *words[: context - 2], end]
            row[: len(found)] = found
        if cut:
            warnings.warn(
                f"{cut} of {len(texts)} texts have more than {context - 2} tokens, and only their beginnings are read.",
                stacklevel=2,
            )
        return ids

    return tokenizer


def cleaned(text: str) -> str:
    """`text` in lower case and Unicode's form NFC, with HTML entities resolved twice, ligatures and wide letters taken
    apart, straight quotes, no control characters, and single spaces.

    It is what OpenAI's tokenizer makes of text that was decoded rightly; wrongly decoded text is not repaired.
    """
    text = html.unescape(html.unescape(text))
    text = WIDE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text).translate(STRAIGHT)
    return " ".join(unicodedata.normalize("NFC", CONTROL.sub("", text)).split()).lower()


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The merges in the file, or in that of a folder, in order."""
    if path.is_dir():
        path = path / ("tokenizer.json" if (path / "tokenizer.json").exists() else "merges.txt")
    if path.name == "vocab.json":
        path = path.with_name("merges.txt")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MOST_BYTES).decode()
        if path.suffix == ".json":
            lines = json.loads(content)["model"]["merges"]
        else:
            lines = content.split("\n")[1:]
        pairs = [
            (a, b) for a, b in (line.split() if isinstance(line, str) else line for line in lines[:MERGES] if line)
        ]
        if not pairs or not all(isinstance(part, str) for pair in pairs for part in pair):
            raise ValueError("its lines are no pairs of tokens")
        return pairs
    except (ValueError, LookupError, TypeError, EOFError, RecursionError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"expected the merges of CLIP's vocabulary in {path}, but {' '.join(str(error).split())[:200]}: take "
            "bpe_simple_vocab_16e6.txt.gz, tokenizer.json or merges.txt."
        ) from None


def checksum(path: str | os.PathLike) -> str:
    """sha256 of the merges in the file, one a line: the same in every format."""
    return hashlib.sha256("\n".join(map(" ".join, read_merges(Path(path)))).encode()).hexdigest()


def vocabulary_of(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Token -> id. Bytes that are no printable character stand as the characters from 256 on, as in GPT-2."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    tokens = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges), START, END]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens) or not all(part in vocabulary for pair in merges for part in pair):
        raise ValueError("expected merges of tokens that come before them, each once: the vocabulary is not CLIP's.")
    return vocabulary


def encoder(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Callable[[str], list[int]]:
    """text -> ids of its words' byte pairs."""
    try:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    except ImportError:
        raise ValueError("texts are read with the package tokenizers: pip install 'jaxgen[text]'.") from None

    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix=WORD_END))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([START, END])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids
