"""The arguments of MAIL and RCPT: a path in angle brackets, then parameters (RFC 5321 4.1.2, RFC 6531)."""

import re

# RFC 5321 4.5.3.1.3 says 256; VERP and SRS senders are longer, and refusing them would bounce their mail.
MAX_PATH = 1000

_ATOM = r'[^\x00-\x20"(),:;<>@\[\\\]\x7f]+'
_DOMAIN = rf"(?:{_ATOM}|\[[^\x00-\x20\[\\\]\x7f]+\])"
_PATH = re.compile(
    rf"""[ ]*<
    (?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?                             # a source route: accepted, ignored (appendix F.2)
    (?:(?:"(?P<quoted>(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*)"|(?P<local>{_ATOM}))
       (?:@(?P<domain>{_DOMAIN}))?)?
    >(?P<parameters>(?:[ ].*)?)""",
    re.VERBOSE,
)
_QUOTED_PAIR = re.compile(r"\\(.)")
_ATOM_ALONE = re.compile(rf"{_ATOM}\Z")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?\Z")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+\Z")


def parse_path(argument: str) -> tuple[str, str] | None:
    """Split `<address> parameters` into (address, parameters); the null path gives "". None: no path.

    Source routes are dropped, and quotes where the local part does not need them. No domain is fine
    (`<postmaster>`), and so are dots anywhere in a local part: real senders have them.
    """
    match = _PATH.match(argument)
    if not match or match.end() != len(argument):
        return None
    quoted, local, domain, parameters = match.group("quoted", "local", "domain", "parameters")
    if quoted is not None:
        plain = _QUOTED_PAIR.sub(r"\1", quoted)
        local = plain if _ATOM_ALONE.match(plain) else f'"{quoted}"'
    if local is None:
        return "", parameters
    return (f"{local}@{domain}" if domain else local), parameters


def parse_parameters(text: str) -> dict[str, str | None] | None:
    """Parse `KEY=value KEY` into a dict with upper-case keys; None where the syntax is wrong or a key comes twice."""
    found: dict[str, str | None] = {}
    for word in text.split(" "):
        if not word:
            continue
        match = _PARAMETER.match(word)
        if not match or match[1].upper() in found:
            return None
        found[match[1].upper()] = match[2]
    return found


def encode_xtext(text: str) -> str:
    """Encode any text as the value of a parameter (RFC 3461 4), in UTF-8."""
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"+=" else f"+{byte:02X}" for byte in text.encode("utf-8")
    )


def decode_xtext(text: str) -> str | None:
    """Undo `encode_xtext`; None when `text` is no xtext, no UTF-8, or has control characters."""
    if not _XTEXT.match(text):
        return None
    raw = re.sub(rb"\+([0-9A-F]{2})", lambda pair: bytes([int(pair[1], 16)]), text.encode("ascii"))
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return decoded if decoded.isprintable() else None
