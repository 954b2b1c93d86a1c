"""What mkdocs does with a page before it is rendered: links to files of the repository, outside of docs/, become text.

The site has no address of a repository to point to, and a link that leads nowhere is worse than a name.
"""

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[(`?)([^\]]+?)\1\]\(([^)#\s]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The text of a page as it is rendered."""
    folder = posixpath.dirname(page.file.src_uri)

    def kept(link: re.Match[str]) -> str:
        target = link[3]
        if re.match(r"[a-z]+:", target):
            return link[0]
        place = posixpath.normpath(posixpath.join(folder, target))
        if files.get_file_from_path(place) is not None:
            return link[0]
        outside = place.removeprefix("../")
        name = link[2]
        return f"`{name}`" if link[1] or name == outside or "/" in name else f"{name} (`{outside}`)"

    return LINK.sub(kept, markdown)
