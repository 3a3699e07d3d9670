"""A page out of what runs have left behind: tables, plots and pictures as HTML, Markdown and CSV."""
