"""Telling a page for people from an answer of a log.

Proxies in front of logs answer with pages of their own, some of them with status 200. The content
type tells nothing, for logs send wrong ones (``reference/ct.md`` 2.7).
"""

from __future__ import annotations

import re

_WEB_PAGE = re.compile(rb"\s{0,64}<(?:!doctype|!--|html|head|body|\?xml)", re.IGNORECASE)


def is_web_page(body: bytes) -> bool:
    """Told by how the body begins; no answer of a log does so but by a chance of 2^-32 or less."""
    return _WEB_PAGE.match(body) is not None
