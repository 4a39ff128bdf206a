"""Browsers that draw no map: by software a map takes both cores for seconds, and most of a page is not its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

NO_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : get.call(this, kind, ...rest);
};
"""


async def without_map(context: BrowserContext) -> BrowserContext:
    """Take WebGL from the pages of a browser context, as a remote desktop or a locked-down station has none."""
    await context.add_init_script(NO_WEBGL)
    return context
