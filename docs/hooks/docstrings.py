"""What of the docstrings mkdocstrings does not read: their examples and their cross-references."""

import re

from griffe import Extension, Object

EXAMPLE = re.compile(r'^( *)>>> .*(?:\n(?!\s*\n) *.+)*', re.M)
ROLE = re.compile(r':(?:class|func|meth|mod|attr):`~?([^`]+)`')
LITERAL = re.compile(r'(?<=\S)::$', re.M)


class Docstrings(Extension):
    """Fence the examples, and write roles and literal blocks as Markdown."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:
        """Rewrite the docstring of an object of the package."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(docstring: str) -> str:
    """Write a docstring as Markdown.

    >>> to_markdown('See :class:`Index`, such as::')
    'See `Index`, such as:'
    """
    text = LITERAL.sub(':', ROLE.sub(r'`\1`', docstring))
    return EXAMPLE.sub(lambda m: f'{m[1]}```pycon\n{m[0]}\n{m[1]}```', text)
