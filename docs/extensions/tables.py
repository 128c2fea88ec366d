"""What the directives of the documentation share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst.directives.tables import ListTable
from docutils.statemachine import StringList


class GeneratedTable(ListTable):
    """A ``list-table`` whose content comes from code."""

    def table(
        self, widths: Iterable[int], lines: Iterable[Iterable[str]]
    ) -> Sequence[nodes.table | nodes.system_message]:
        """The table.

        :param widths: of the columns, in percent.
        :param lines: the rows, each with its cells in reStructuredText; the first is
            the header.
        """
        # The content can change although the page that names it does not.
        self.state.document.settings.env.note_reread()
        text = [
            f"{'  ' if number else '* '}- {cell}".rstrip()
            for line in lines
            for number, cell in enumerate(line)
        ]
        self.options |= {"header-rows": 1, "widths": [*widths], "width": "100%"}
        self.content = StringList(text, source=Path(__file__).name)
        return super().run()
