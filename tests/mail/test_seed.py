"""The first real mail, read exactly as Patchwork's public instance shows it."""

import json

from ingestd.mail import Kind
from ingestd.mail.parse import parse

from .corpus import need


def test_the_seed_is_read_as_patchwork_reads_it() -> None:
    raw = need("seed", "patch-2221182.eml").read_bytes()
    shown = json.loads(need("seed", "patch-2221182.json").read_text(encoding="utf-8"))
    mail = parse(raw)
    assert mail.subject.name == shown["name"]
    assert list(mail.subject.prefixes) == shown["prefixes"]
    assert mail.hash == shown["hash"]
    assert mail.content == shown["content"]
    assert mail.diff == shown["diff"]
    assert f"<{mail.message_id}>" == shown["msgid"]
    assert mail.date is not None
    assert mail.date.strftime("%Y-%m-%dT%H:%M:%S") == shown["date"]
    assert mail.submitter.email == shown["submitter"]["email"]
    assert mail.submitter.name == shown["submitter"]["name"]
    assert (mail.kind, mail.subject.number, mail.subject.total) == (Kind.PATCH, 9, 14)
    assert mail.list_id == "qemu-devel.nongnu.org"
    assert mail.queue_id == "4frYJG6rJ4z1yD3"
    assert mail.defects == ()


def test_the_seeds_headers_are_there_in_order_with_repeats() -> None:
    raw = need("seed", "patch-2221182.eml").read_bytes()
    shown = json.loads(need("seed", "patch-2221182.json").read_text(encoding="utf-8"))["headers"]
    mail = parse(raw)
    grouped: dict[str, list[str]] = {}
    for name, value in mail.headers:
        grouped.setdefault(name, []).append(value)
    assert list(grouped) == list(shown)
    for name, values in grouped.items():
        expected = shown[name] if isinstance(shown[name], list) else [shown[name]]
        assert values == expected, name
    assert [name for name, _ in mail.headers][:4] == [
        "Return-Path",
        "X-Original-To",
        "Delivered-To",
        "Authentication-Results",
    ]
