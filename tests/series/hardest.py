"""The threads of a real list that are hardest to group."""

from collections.abc import Sequence

from ingestd.series.values import Fact
from series.made import components


def hardest(facts: Sequence[Fact], count: int) -> list[list[Fact]]:
    """The `count` threads with the most versions, re-rolls, people and mails that came before what they answer.

    `facts`: in order of arrival.
    """
    place = {fact.message_id: index for index, fact in enumerate(facts)}

    def hardness(thread: list[Fact]) -> tuple[int, str]:
        patches = [one for one in thread if one.kind in ("patch", "cover")]
        early = sum(
            any(place.get(id_, -1) > place[one.message_id] for id_ in (*one.in_reply_to, *one.references))
            for one in patches
        )
        return (
            4 * len({one.version for one in patches})
            + 4 * sum(one.reroll is not None for one in patches)
            + 2 * len({one.sender_email for one in patches})
            + 2 * early
            + len(patches),
            min(one.message_id for one in thread),
        )

    return sorted(components(facts), key=hardness, reverse=True)[:count]
