"""Which of a method's formats a request asks for: by the end of its path, or by the header `Accept` (RFC 9110, 12.5.1).

An upload tells its own by `Content-Type`. The formats are the values of an enum of the request that stand for media
types (`tandem.options.v1.media_type`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from tandem.options.v1 import format_pb2
from tandem_gateway.errors import NotAcceptable, UnsupportedMediaType
from tandem_gateway.transcoding.template import Template
from tandem_proto.json.values import short_names

_QUALITY = re.compile(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", re.IGNORECASE)
_UTF_8 = ("utf-8", "utf8", "us-ascii")


class Formats:
    """The formats of a request's field: short name by media type, the preferred one first; the field may be none."""

    def __init__(self, request: Descriptor, template: Template) -> None:
        self.field = next((str(field.name) for field in request.fields if _media_types(field)), "")
        self._names = _media_types(request.fields_by_name[self.field]) if self.field else {}
        _, _, ending = template.text.rpartition("/")[2].partition(".")
        self.of_path = next((name for name in self._names.values() if name.lower() == ending), "")
        """The format that the path tells by its end, empty where it tells none."""

    def accepted(self, accept: str | None) -> str:
        """Return the format that the header *accept* likes best, empty where it likes all the same.

        Raises NotAcceptable where it takes none of them.
        """
        if not self._names or not (accept or "").strip():
            return ""
        likes = {name: _quality(accept or "", _ranges(media_type)) for media_type, name in self._names.items()}
        best = max(likes, key=lambda name: likes[name])
        if not likes[best]:
            raise NotAcceptable(self._names)
        return "" if len(set(likes.values())) == 1 else best

    def sent(self, content_type: str) -> str:
        """Return the format that the header *content_type* tells; raises UnsupportedMediaType for another one."""
        name, *parameters = (part.strip().lower() for part in content_type.split(";"))
        told = dict(parameter.partition("=")[::2] for parameter in parameters)
        if name not in self._names or told.get("charset", "utf-8").strip('"') not in _UTF_8:
            raise UnsupportedMediaType(f"The body must be {' or '.join(self._names)}, in UTF-8.")
        return self._names[name]


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether the header *accept_encoding* asks for gzip by name."""
    return _quality(accept_encoding, {"gzip": 1}) > 0


def _media_types(field: FieldDescriptor) -> dict[str, str]:
    """Return the short names of *field*'s enum by the media types that they stand for."""
    enum: EnumDescriptor | None = field.enum_type
    if enum is None:
        return {}
    short = short_names(enum)
    told = ((value.GetOptions().Extensions[format_pb2.media_type], value.number) for value in enum.values)
    return {str(media_type): short[number] for media_type, number in told if media_type}


def _ranges(media_type: str) -> dict[str, int]:
    """Return what may stand for *media_type* in `Accept`, and how exact it is."""
    return {media_type: 3, f"{media_type.partition('/')[0]}/*": 2, "*/*": 1}


def _quality(header: str, meant: Mapping[str, int]) -> float:
    """Return how much *header* likes, from 0 to 1, what may be named in the ways *meant*: the most exact one counts."""
    likes = [(meant[name], quality) for name, quality in _listed(header) if name in meant]
    return max(likes, default=(0, 0.0))[1]


def _listed(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((found[1] for text in parameters if (found := _QUALITY.fullmatch(text))), "1")
        yield name.lower(), float(quality)
