"""How much of a mail is looked at, where it could have far more small pieces than any real mail of its size."""

import sys


def room(size: int, *, few: int, each: int, most: int = sys.maxsize) -> int:
    """How many pieces are read of a text of so many characters: a few of any size, then one more for `each`.

    Every piece costs its time, however small it is: so a mail of thousands of tiny ones costs not much more than others
    of its size. What is beyond stays in the raw mail.
    """
    return min(most, few + size // each)
