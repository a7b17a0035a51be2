"""What a person sees of an import."""

from ingestd.sources.load import Summary
from ingestd.sources.progress import Meter, line


def test_the_time_left_is_that_of_the_source_under_way() -> None:
    meter = Meter(100.0)
    summary = Summary(read=100, where="a", done=0.2)
    assert meter.look(summary, 110.0) == (10.0, None)
    summary.read, summary.done = 300, 0.6
    assert meter.look(summary, 120.0) == (15.0, 10.0)
    summary.where, summary.done = "b", 0.1
    assert meter.look(summary, 121.0)[1] is None
    summary.done = None  # a pipe: nobody knows how much will come
    assert meter.look(summary, 125.0)[1] is None


def test_the_line_of_a_terminal() -> None:
    summary = Summary(read=12_345, repeats=1_000, quarantined=1, too_big=2, done=0.456)
    assert line(summary, 1020.4, 130.2) == "12,345 mails, 1,020/s, 46%, 2:10 left, 1,000 repeats, 3 odd"
    summary.done = None
    assert line(summary, 1020.4, None) == "12,345 mails, 1,020/s, 1,000 repeats, 3 odd"
