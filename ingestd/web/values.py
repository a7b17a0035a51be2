"""The values that a body may give to a field, as JSON and as a form have them. RefusalError (400) names the field."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ingestd.web.answer import wrong
from ingestd.web.filters import BIGGEST
from ingestd.web.states import STATES, VERDICTS, state_of, verdict_of

Data = Mapping[str, Any]

NULL = "This field may not be null."
REQUIRED = "This field is required."
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


def one(data: Data, name: str) -> Any:  # noqa: ANN401 - JSON
    """A field that has one value: of a form the last."""
    value = data[name]
    return value[-1] if isinstance(value, list) and value and all(isinstance(part, str) for part in value) else value


def boolean(data: Data, name: str) -> bool:
    """Yes or no, in any of the words that clients use."""
    value = one(data, name)
    if value is None:
        raise wrong(name, NULL)
    found = _BOOLEANS.get(str(value).strip().lower()) if isinstance(value, str | bool | int) else None
    if found is None:
        raise wrong(name, "Must be a valid boolean.")
    return found


def maybe_boolean(data: Data, name: str) -> bool | None:
    """The same, or null."""
    value = one(data, name)
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "null", "none")):
        return None
    return boolean(data, name)


def text(data: Data, name: str, longest: int, *, required: bool = False) -> str:
    """A text."""
    value = one(data, name)
    if value is None:
        raise wrong(name, NULL)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong(name, "Not a valid string.")
    value = str(value).strip()
    if "\0" in value:
        raise wrong(name, "Null characters are not allowed.")
    if required and not value:
        raise wrong(name, "This field may not be blank.")
    if len(value) > longest:
        raise wrong(name, f"Ensure this field has no more than {longest} characters.")
    return value


def maybe_text(data: Data, name: str, longest: int) -> str | None:
    """A text or null."""
    return None if one(data, name) is None else text(data, name, longest)


def maybe_url(data: Data, name: str, longest: int) -> str | None:
    """An address of the web, nothing, or null."""
    found = maybe_text(data, name, longest)
    if found:
        try:
            parts = urlsplit(found)
            good = parts.scheme in ("http", "https", "ftp", "ftps") and bool(parts.hostname) and parts.port != -1
        except ValueError:
            good = False
        if not good or re.search(r"[\s\x00-\x1f<>\"]", found):
            raise wrong(name, "Enter a valid URL.")
    return found


def slug(data: Data, name: str, longest: int) -> str:
    """Letters, numbers, underscores, hyphens."""
    found = text(data, name, longest, required=True)
    if re.fullmatch(r"[-a-zA-Z0-9_]+", found, re.ASCII) is None:
        raise wrong(name, 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.')
    return found


def state(data: Data, name: str) -> str:
    """The slug of a state."""
    value = one(data, name)
    if value is None:
        raise wrong(name, NULL)
    found = state_of(value) if isinstance(value, str) and not value.strip().isdigit() else None
    if found is None:
        said = str(value)[:100]
        raise wrong(name, f"Invalid state {said}. Expected one of: {', '.join(STATES)}.")
    return found


def verdict(data: Data, name: str) -> str:
    """What a check says."""
    value = one(data, name)
    found = verdict_of(value) if isinstance(value, str) and not value.strip().isdigit() else None
    if found is None:
        said = str(value)[:100]
        raise wrong(name, f"Invalid check state {said}. Expected one of: {', '.join(VERDICTS)}.")
    return found


def key(name: str, value: Any) -> int:  # noqa: ANN401 - JSON
    """An id."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong(name, f"Incorrect type. Expected pk value, received {type(value).__name__}.")
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,19}\s*", value, re.ASCII) is None:
        raise wrong(name, "Incorrect type. Expected pk value, received str.")
    number = int(value)
    if not 0 < number <= BIGGEST:
        raise absent(name, number)
    return number


def count(name: str, value: Any, most: int) -> int:  # noqa: ANN401 - JSON
    """A whole number from 1 to `most`."""
    said = value.strip() if isinstance(value, str) else value
    if isinstance(said, str) and re.fullmatch(r"-?[0-9]{1,19}", said, re.ASCII):
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int):
        raise wrong(name, "A valid integer is required.")
    if said < 1:
        raise wrong(name, "Ensure this value is greater than or equal to 1.")
    if said > most:
        raise wrong(name, f"Ensure this value is less than or equal to {most}.")
    return said


def maybe_key(data: Data, name: str) -> int | None:
    """An id, or null: of a form also nothing."""
    value = one(data, name)
    return None if value is None or value == "" else key(name, value)


def keys(data: Data, name: str) -> list[int]:
    """Ids."""
    value = data[name]
    if value is None:
        raise wrong(name, NULL)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise wrong(name, f'Expected a list of items but got type "{type(value).__name__}".')
    return list(dict.fromkeys(key(name, part) for part in value if part != ""))


def absent(name: str, id_: int) -> Exception:
    """400 for an id that nothing has."""
    return wrong(name, f'Invalid pk "{id_}" - object does not exist.')
