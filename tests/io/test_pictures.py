"""If these fail, a folder of pictures holds some of another command, or loses a file that is not its own."""

import numpy as np
import pytest
from PIL import Image

from jaxgen.io import pictures

ALL = np.random.default_rng(0).integers(0, 17, (22, 4, 4, 1)).astype(np.uint8)
PARTS = np.split(ALL, [5, 10, 15, 20])


def shown(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def test_every_picture_is_written_and_other_files_stay(tmp_path):
    """Breaks if one is lost, moved between parts or left of an older command, or a user's own file is touched."""
    (tmp_path / "notes.txt").write_text("mine")
    pictures.write(tmp_path, [16 - part for part in PARTS], 17)
    pictures.check(tmp_path, 22)
    pictures.write(tmp_path, iter(PARTS), 17)
    np.testing.assert_array_equal(shown(tmp_path), np.rint(ALL[..., 0] * (255 / 16)))
    assert len(list(tmp_path.iterdir())) == 23 and (tmp_path / "notes.txt").read_text() == "mine"


def test_fewer_pictures_than_there_are_are_refused(tmp_path):
    """Breaks if the rest of another command is taken for pictures of this one."""
    pictures.check(tmp_path / "new", 3)
    pictures.write(tmp_path, PARTS[:1], 17)
    (tmp_path / "9.png").touch()
    pictures.check(tmp_path, 5)
    with pytest.raises(ValueError, match="holds 000003.png, which 3 new pictures would leave"):
        pictures.check(tmp_path, 3)


def test_what_a_killed_command_was_writing_is_removed(tmp_path):
    """Breaks if a folder that was killed keeps half a file, or a file of a like name is taken for one."""
    for name in (".000003.png.ab_9xyz0", ".unfinished.abcdefgh", ".000003.png", ".notes.abcdefgh", ".000003.png.ab"):
        (tmp_path / name).touch()
    pictures.write(tmp_path, PARTS[:1], 17)
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".000003.png", ".000003.png.ab", ".notes.abcdefgh"]


@pytest.mark.parametrize("done", [False, True])
def test_two_commands_into_one_folder_do_not_mix(done, tmp_path):
    """Breaks if one goes on writing when another one has begun, or has even ended."""

    def interrupted():
        yield PARTS[0]
        if done:
            pictures.write(tmp_path, [16 - ALL], 17)
        else:
            (tmp_path / "unfinished").write_bytes(b"another")
        yield PARTS[1]

    with pytest.raises(ValueError, match="another command writes pictures into"):
        pictures.write(tmp_path, interrupted(), 17)
    if done:
        np.testing.assert_array_equal(shown(tmp_path), np.rint((16 - ALL[..., 0]) * (255 / 16)))
    else:
        assert (tmp_path / "unfinished").read_bytes() == b"another" and len(shown(tmp_path)) == 5
