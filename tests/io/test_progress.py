"""If these fail, a log file fills with control codes, or the time left is wrong."""

import io

import pytest

from jaxgen.io.progress import duration, progress, tracked, watching


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_plain_lines_carry_rate_and_time_left():
    """The first update sets the zero of the clock, so 60 s of compilation do not count; a line every 5 s."""
    file, clock = io.StringIO(), Clock()
    with progress(100, initial=40, file=file, clock=clock) as bar:
        clock.now = 60.0
        for step in range(41, 101):
            bar.update(step, loss=1 / step)
            clock.now += 0.5
    lines = file.getvalue().splitlines()
    assert lines[0] == " 41/100   41%  loss 0.02439"
    assert lines[1] == " 51/100   51%  2 step/s  24 s left  loss 0.01961"
    assert lines[-1] == "100/100  100%  2 step/s  0 s left  loss 0.01"
    assert len(lines) == 7 and "\x1b" not in file.getvalue()


def test_a_terminal_gets_a_bar():
    """One line redrawn in place, with the same figures."""
    file, clock = Terminal(), Clock()
    with progress(10, file=file, clock=clock) as bar:
        for step in (1, 4, 10):
            bar.update(step, loss=0.5)
            clock.now += 6.0
    text = file.getvalue()
    assert "\x1b[" in text and "10/10" in text and "loss 0.5" in text and "1.33 s/step" in text


def test_parts_that_are_not_alike_have_no_rate():
    """Breaks if the time left is told from a metric of a second to one of an hour."""
    file, clock = io.StringIO(), Clock()
    with progress(2, unit="", file=file, clock=clock) as bar:
        for step in (0, 1):
            bar.update(step, "kid")
            clock.now += 10.0
    assert file.getvalue().splitlines() == ["0/2    0%  kid", "1/2   50%  kid"]


def test_a_loop_within_a_computation_is_watched_from_without():
    """Breaks if a share is told of a part that is not begun, to whoever watched before, or a loop changes by it."""
    heard = []
    assert [*tracked("ab", 2)] == ["a", "b"]
    with watching(heard.append):
        loop = tracked("abcd", 4)
        assert not heard and next(loop) == "a" and heard == [0]
        assert [*loop] == ["b", "c", "d"] and heard == [0, 0.25, 0.5, 0.75]
    assert [*tracked("ab", 2)] == ["a", "b"] and len(heard) == 4


def test_an_interrupt_passes_through():
    """Ctrl-C must reach the loop that saves, with the bar taken down."""
    with pytest.raises(KeyboardInterrupt), progress(10, file=Terminal()) as bar:
        bar.update(1)
        raise KeyboardInterrupt


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1:00 min"), (7500, "2:05:00 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text
