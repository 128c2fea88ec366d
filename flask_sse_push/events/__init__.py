"""Events, channels, event log positions and the wire format. No I/O happens here."""

from __future__ import annotations

from .channels import (
    ALL,
    CONTROL,
    Channel,
    channel_kind,
    channel_member,
    group_channel,
    group_channels,
    is_user_channel,
    parse_channel,
    user_channel,
    user_channels,
)
from .codec import (
    CLOSING,
    GAP,
    OPEN,
    RESERVED_PREFIX,
    encode,
    encode_closing,
    encode_comment,
    encode_cursor,
    encode_gap,
    encode_retry,
)
from .dumps import html_text, own_dump
from .event import Control, Entry, Event, Gap, Membership, Removal, read_entry
from .positions import (
    START,
    UNREAD_MARK,
    Position,
    format_id,
    parse_id,
    without_mark,
)
from .serialization import escape_line_ends, json_encoder, timestamp, to_json
from .text import id_text, plain, retain_key

__all__ = [
    "ALL",
    "CLOSING",
    "CONTROL",
    "GAP",
    "OPEN",
    "RESERVED_PREFIX",
    "START",
    "UNREAD_MARK",
    "Channel",
    "Control",
    "Entry",
    "Event",
    "Gap",
    "Membership",
    "Position",
    "Removal",
    "channel_kind",
    "channel_member",
    "encode",
    "encode_closing",
    "encode_comment",
    "encode_cursor",
    "encode_gap",
    "encode_retry",
    "escape_line_ends",
    "format_id",
    "group_channel",
    "group_channels",
    "html_text",
    "id_text",
    "is_user_channel",
    "json_encoder",
    "own_dump",
    "parse_channel",
    "parse_id",
    "plain",
    "read_entry",
    "retain_key",
    "timestamp",
    "to_json",
    "user_channel",
    "user_channels",
    "without_mark",
]
