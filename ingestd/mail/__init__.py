"""One mail -> values. Pure: no I/O, no clock, no database, no recursion on what senders write."""

from ingestd.mail.values import PARSER_VERSION as PARSER_VERSION
from ingestd.mail.values import Kind as Kind
from ingestd.mail.values import Mail as Mail
from ingestd.mail.values import Person as Person
