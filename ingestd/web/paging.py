"""The `Link` header: clients follow it, and read how many pages there are from it."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from ingestd.store.api.listing import Page


def link(address: str, query: Mapping[str, Sequence[str]], page: Page) -> str:
    """Next first, since pwclient looks there; query keys sorted; the way back to page 1 names no page."""

    def to(number: int | None) -> str:
        rest = {name: list(values) for name, values in query.items() if name != "page"}
        if number is not None:
            rest["page"] = [str(number)]
        asked = urlencode(sorted(rest.items()), doseq=True)
        return f"<{address}{f'?{asked}' if asked else ''}>"

    parts = []
    if page.number < page.last:
        parts.append(f'{to(page.number + 1)}; rel="next"')
    if page.number > 1:
        parts.append(f'{to(None if page.number == 2 else page.number - 1)}; rel="prev"')
    parts.append(f'{to(1)}; rel="first"')
    parts.append(f'{to(page.last)}; rel="last"')
    return ", ".join(parts)
