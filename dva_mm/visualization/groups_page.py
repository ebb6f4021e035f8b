"""A page of groups of images: duplicates, clusters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .page import make_page, pictures_section
from .shown import common_folder, relative

if TYPE_CHECKING:
    from dva_mm.retrieval import Item


def groups_page(
    groups: Sequence[Sequence['Item']],
    title: str,
    what: str = 'group',
    text: str = '',
    most_groups: int = 500,
    most_images: int = 24,
) -> str:
    """The HTML of a page that shows the first images of each group.

    Args:
        groups: Items, as :meth:`Index.duplicates` and :meth:`Index.cluster` give them.
        title: Heading of the page.
        what: What a group is called. Defaults to 'group'.
        text: Heading below it: how many there are of what. Defaults to ''.
        most_groups: Groups that are shown. Defaults to 500.
        most_images: Images that are shown of a group. Defaults to 24.

    >>> 'Duplicates' in groups_page([], 'Duplicates')
    True
    """
    folder = common_folder([item.path for group in groups for item in group if item.path])
    rows = []
    for number, group in enumerate(groups[:most_groups], 1):
        cells = [
            (item.path, relative(item.path, folder) or f'image {item.id}')
            for item in group[:most_images]
        ]
        more = '' if len(group) <= most_images else f', the first {most_images} shown'
        rows.append((f'{what} {number}: {len(group):,} images{more}', cells))
    if len(groups) > most_groups:
        text += f'; the first {most_groups} groups are shown'
    return make_page(title, [pictures_section(rows, text)])
