"""Authentication-Results count where a trusted host wrote them, and nowhere else."""

import pytest

from ingestd.mail.authentication import MAX_LENGTH, MAX_RESULTS, results

TRUSTED = {"mx.example.org"}
GOOD = (
    "mx.example.org;\n\tdkim=pass (2048-bit key; unprotected) header.d=example.com header.i=@example.com;\n\tspf=none"
)
PASSED = ("mx.example.org; dkim=pass header.d=example.com header.i=@example.com", "mx.example.org; spf=none")
FORGED = ("Authentication-Results", "mx.example.org; dkim=pass header.d=kernel.org")
HOP = ("Received", "from a by b; Mon, 2 Nov 2026 10:00:00 +0000")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (GOOD, PASSED),
        ("MX.example.org 1; spf=fail smtp.mailfrom=a@b", ("mx.example.org; spf=fail smtp.mailfrom=a@b",)),
        ('"mx.example.org"; dkim=pass', ("mx.example.org; dkim=pass",)),
        ('mx.example.org; dkim=pass reason="good; (really)"', ('mx.example.org; dkim=pass reason="good; (really)"',)),
        ("mx.example.org (a (nested; comment) here); dkim=fail", ("mx.example.org; dkim=fail",)),
        # What the sender said stands in comments, and must not end them, nor begin a quotation.
        (
            'mx.example.org; spf=fail (helo "(" x) ; dmarc=pass header.from=b.example) smtp.mailfrom=a@b; dmarc=fail',
            ("mx.example.org; spf=fail smtp.mailfrom=a@b", "mx.example.org; dmarc=fail"),
        ),
        (
            'mx.example.org; spf=pass (from "evil) smtp.mailfrom=a@b; dkim=fail; dmarc=fail (p=none "x) header.from=b',
            (
                "mx.example.org; spf=pass smtp.mailfrom=a@b",
                "mx.example.org; dkim=fail",
                "mx.example.org; dmarc=fail header.from=b",
            ),
        ),
        (
            'mx.example.org; dkim=pass reason="a;(b"; spf=fail',
            ('mx.example.org; dkim=pass reason="a;(b"', "mx.example.org; spf=fail"),
        ),
        ("mx.example.org; none", ()),
        ("mx.example.org", ()),
        ("", ()),
        ("other.example.org; dkim=pass", ()),
        ("mx.example.org.evil.example; dkim=pass", ()),
        ("(mx.example.org); dkim=pass", ()),
        ("; mx.example.org; dkim=pass", ()),
    ],
)
def test_a_field(value: str, found: tuple[str, ...]) -> None:
    assert results([("Authentication-Results", value)], TRUSTED) == found


def test_nobody_is_trusted_unless_it_is_said() -> None:
    assert results([("Authentication-Results", GOOD)], ()) == ()


def test_what_lies_below_the_hop_of_the_trusted_host_came_with_the_mail() -> None:
    own = ("authentication-results", GOOD)
    assert results([HOP, own, ("X-Other", "x"), HOP, FORGED], TRUSTED) == PASSED
    assert results([own, HOP, FORGED], TRUSTED) == PASSED
    # It found out nothing, and says so.
    assert results([("Authentication-Results", "mx.example.org; none"), HOP, FORGED], TRUSTED) == ()
    # Two programs of one host, one field each.
    dmarc = ("Authentication-Results", "mx.example.org; dmarc=pass header.from=example.com")
    assert results([own, dmarc, HOP], TRUSTED) == (*PASSED, "mx.example.org; dmarc=pass header.from=example.com")


def test_it_is_bounded_and_linear() -> None:
    value = "mx.example.org; " + "dkim=pass x=" + "(" * 200_000 + ")" * 200_000 + "; spf=pass" * 100_000
    found = results([("Authentication-Results", value)], TRUSTED)
    assert len(found) == MAX_RESULTS
    (long,) = results([("Authentication-Results", "mx.example.org; dkim=pass x=" + "y" * 10_000)], TRUSTED)
    assert len(long) == MAX_LENGTH
    assert results([("Authentication-Results", 'mx.example.org; "' + "\\" * 100_001)], TRUSTED)
