"""The words that the API uses for where a patch stands."""

# Slug -> (name, whether somebody has to act), in Patchwork's order: its ids count from 1.
STATES = {
    "new": ("New", True),
    "under-review": ("Under Review", True),
    "accepted": ("Accepted", False),
    "rejected": ("Rejected", False),
    "rfc": ("RFC", False),
    "not-applicable": ("Not Applicable", False),
    "changes-requested": ("Changes Requested", False),
    "awaiting-upstream": ("Awaiting Upstream", False),
    "superseded": ("Superseded", False),
    "deferred": ("Deferred", False),
}

VERDICTS = ("pending", "success", "warning", "fail")  # Patchwork numbers them from 0


def state_of(said: str) -> str | None:
    """The slug of a state that is called by slug, name or id, in any case; None when there is no such state."""
    slug = said.strip().lower().replace(" ", "-")
    if slug in STATES:
        return slug
    number = int(slug) if slug.isascii() and slug.isdigit() and len(slug) < 4 else 0
    return list(STATES)[number - 1] if 1 <= number <= len(STATES) else None


def verdict_of(said: str) -> str | None:
    """The word for a check's state that is called by word or number; None when there is none."""
    low = said.strip().lower()
    if low in VERDICTS:
        return low
    return VERDICTS[int(low)] if low in ("0", "1", "2", "3") else None
