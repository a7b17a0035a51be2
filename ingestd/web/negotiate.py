"""In which form an answer is wanted: JSON, or a page for people."""

from collections.abc import Mapping, Sequence

from ingestd.web.answer import RefusalError, missing

JSON, PAGE = "application/json", "text/html"
BY_NAME = {"json": JSON, "api": PAGE}


def form(query: Mapping[str, Sequence[str]], accept: str) -> str:
    """JSON or PAGE, by `format` and else by `Accept` (RFC 9110 section 12.5.1). 404 for an unknown format, else 406."""
    if (named := query.get("format", [""])[-1]) != "":
        if named not in BY_NAME:
            raise missing()
        return BY_NAME[named]
    best: tuple[float, int, str] | None = None
    for position, part in enumerate((accept or "*/*").split(",")[:50]):
        kind, *parameters = (one.strip().lower() for one in part.split(";"))
        weight = _weight(parameters)
        fits = {JSON: ("*/*", "application/*", JSON), PAGE: ("text/*", PAGE)}
        for offered, ranges in fits.items():
            if kind in ranges and weight > 0 and (best is None or (weight, -position) > best[:2]):
                best = (weight, -position, offered)
    if best is None:
        raise RefusalError(406, "Could not satisfy the request Accept header.")
    return best[2]


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return max(0.0, min(1.0, float(parameter[2:])))
            except ValueError:
                return 1.0
    return 1.0
