"""If these fail, the record of a run is torn, doubled after a resume, or not readable by TensorBoard."""

import io
import json
import os
import struct
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgen.io import writers


def log(path, steps, resume_from=0):
    writer = writers.jsonl(path, resume_from)
    for step in steps:
        writer.scalars(step, {"loss": jnp.float32(1 / step), "rate": 0.1 * step})
    writer.close()


def test_each_line_is_on_disk_when_the_call_returns(tmp_path):
    """A killed run must have its last step; strict JSON has no NaN."""
    path = tmp_path / "run" / "metrics.jsonl"
    writer = writers.jsonl(path)
    writer.scalars(1, {"loss": np.float32(0.5)})
    writer.scalars(np.int32(2), {"loss": float("nan"), "grad": float("inf")})
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None, "grad": None}]
    assert np.isnan(writers.read_jsonl(path)[1]["loss"])
    writer.close()


@pytest.mark.parametrize("torn", ["", '{"step": 99, "lo'])
def test_a_resumed_file_is_that_of_an_uninterrupted_run(tmp_path, torn):
    """Steps after the checkpoint are logged again: without the cut they would be there twice."""
    log(tmp_path / "whole.jsonl", range(1, 9))
    log(tmp_path / "killed.jsonl", range(1, 7))
    with open(tmp_path / "killed.jsonl", "a") as file:
        file.write(torn)
    log(tmp_path / "killed.jsonl", range(5, 9), resume_from=4)
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_crash_while_cutting_keeps_the_old_file(tmp_path, monkeypatch):
    log(tmp_path / "m.jsonl", range(1, 7))
    before = (tmp_path / "m.jsonl").read_bytes()

    def crash(source, target):
        raise OSError("killed")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="killed"):
        writers.jsonl(tmp_path / "m.jsonl", 3)
    assert (tmp_path / "m.jsonl").read_bytes() == before


def test_a_foreign_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nnot json\n')
    with pytest.raises(ValueError, match="line 2 must be a JSON object"):
        writers.jsonl(path, 5)
    assert path.read_text() == '{"step": 1}\nnot json\n'


def test_combine_hands_everything_to_everyone(tmp_path):
    calls = []
    spy = writers.Writer(*(lambda *args, kind=kind: calls.append((kind, *args)) for kind in writers.Writer._fields))
    writer = writers.combine(writers.jsonl(tmp_path / "m.jsonl"), spy)
    writer.scalars(3, {"loss": jnp.array(2.0)})
    writer.image(3, "samples", "array")
    writer.close()
    assert calls == [("scalars", 3, {"loss": 2.0}), ("image", 3, "samples", "array"), ("close",)]
    assert writers.read_jsonl(tmp_path / "m.jsonl") == [{"step": 3, "loss": 2.0}]


def test_a_metric_that_is_no_scalar_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"metric 'loss' must be a scalar, got shape \(4,\)"):
        writers.jsonl(tmp_path / "m.jsonl").scalars(1, {"loss": jnp.zeros(4)})


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(folder):
    """Every event of the folder's files, by TFRecord framing: length, its CRC, the record, its CRC."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            record = data[12 : 12 + length]
            assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
            assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(record)
            data = data[16 + length :]
            yield Event.FromString(record)


def test_tensorboard_files_hold_scalars_and_images(tmp_path):
    """Framed and summed as TensorBoard reads them, with tags, steps, values and the very pixels."""
    picture = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    writer = writers.tensorboard(tmp_path)
    writer.scalars(7, {"train/loss": jnp.float32(0.25)})
    writer.image(7, "samples", picture)
    writer.image(7, "grey", picture[..., :1])
    writer.close()
    values = {value.tag: (event.step, value) for event in read_events(tmp_path) for value in event.summary.value}
    assert set(values) == {"train/loss", "samples", "grey"}
    step, loss = values["train/loss"]
    assert (step, loss.simple_value) == (7, 0.25)
    decoded = np.asarray(Image.open(io.BytesIO(values["samples"][1].image.encoded_image_string)).convert("RGB"))
    np.testing.assert_array_equal(decoded, picture)


def test_resumed_tensorboard_voids_the_steps_after_the_checkpoint(tmp_path):
    """A session start at step 5 is what makes TensorBoard drop what the killed run had logged from there on."""
    writers.tensorboard(tmp_path, step=4).close()
    starts = [event.step for event in read_events(tmp_path) if event.session_log.status == event.session_log.START]
    assert starts == [5]


def test_tensorboard_needs_neither_tensorflow_nor_torch(tmp_path):
    """Both blocked, the writer still writes; importing the module loads neither tensorboardX nor PIL."""
    code = (
        "import sys; sys.modules.update(tensorflow=None, torch=None)\n"
        "from jaxgen.io import writers; assert not {'tensorboardX', 'PIL', 'matplotlib'} & set(sys.modules)\n"
        f"import numpy as np; w = writers.tensorboard({str(tmp_path)!r}); w.scalars(1, {{'a': 1.0}})\n"
        "w.image(1, 'i', np.zeros((4, 4, 3), np.uint8)); w.close()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {v.tag for event in read_events(tmp_path) for v in event.summary.value} == {"a", "i"}
