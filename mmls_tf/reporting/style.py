"""The style sheet of the page: phone first, dark and light, print."""

from __future__ import annotations

from mmls_tf.reporting.drawing import DARK_SERIES, PRINTED_INK, SERIES


def _variables(colours: tuple[str, ...]) -> str:
    return " ".join(f"--series-{index}: {colour};" for index, colour in enumerate(colours))


STYLE = f"""
:root {{
  color-scheme: light dark; --ground: #ffffff; --ink: {PRINTED_INK}; --soft: #55595e; --line: #c4c8cc; --head: #eef1f4;
  --link: #004f9e; {_variables(SERIES)}
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --ground: #14171a; --ink: #e8eaec; --soft: #b0b6bc; --line: #474d53; --head: #22272c; --link: #8cc4ff;
    {_variables(DARK_SERIES)}
  }}
}}
* {{ box-sizing: border-box; }}
body {{
  margin: 0 auto; padding: 0 1rem 3rem; max-width: 78rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere;
}}
p, dl {{ max-width: 46rem; }}
h1 {{ line-height: 1.2; margin: 1.5rem 0 1rem; }}
h2 {{ line-height: 1.25; margin: 3rem 0 .75rem; border-top: 2px solid var(--line); padding-top: 1rem; }}
h3 {{ line-height: 1.25; margin: 2rem 0 .5rem; }}
a {{ color: var(--link); }}
:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px; }}
.skip {{ position: absolute; left: -100rem; }}
.skip:focus {{ position: static; display: inline-block; padding: .5rem; }}
nav ul {{ columns: 16rem; padding-left: 1.25rem; }}
nav li {{ padding: .2rem 0; }}
.scroll {{ overflow-x: auto; margin: 1rem 0 1.5rem; max-width: 100%; }}
table {{ border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding: .25rem 0 .5rem; }}
caption span {{ display: block; width: fit-content; max-width: calc(100vw - 2.5rem); position: sticky; left: 0; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: left; vertical-align: top; }}
thead th {{ background: var(--head); vertical-align: bottom; }}
tbody th {{
  font-weight: 600; min-width: 7.5rem; max-width: 16rem; overflow-wrap: break-word; position: sticky; left: 0;
  background: var(--ground);
}}
td.number span {{ white-space: nowrap; }}
td.long {{ min-width: 9.5rem; }}
tr.quoted {{ color: var(--soft); font-style: italic; }}
.plots {{
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem 2rem;
  align-items: start;
}}
pre {{ overflow-x: auto; max-width: 46rem; background: var(--head); padding: .5rem .75rem; }}
figure {{ margin: 1rem 0; }}
.plots figure {{ min-width: 0; max-width: 27rem; }}
figure svg {{ display: block; width: 100%; height: auto; }}
figure svg text {{ font-family: inherit !important; }}
figcaption {{ color: var(--soft); font-size: .9rem; max-width: 46rem; }}
figcaption strong {{ color: var(--ink); }}
.strip ul {{
  display: grid; grid-template-columns: repeat(auto-fill, minmax(8.2rem, 1fr)); gap: .5rem; padding: 0; margin: .5rem 0;
  max-width: 60rem;
}}
.strip li {{ list-style: none; font-size: .85rem; }}
.strip img {{
  display: block; width: 100%; height: auto; aspect-ratio: 1; image-rendering: pixelated; border: 1px solid var(--line);
}}
.legend {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }}
.legend span {{
  display: inline-block; width: 1.1em; height: 1.1em; margin-right: .4em; vertical-align: -.2em;
  border: 1px solid var(--soft);
}}
dt {{ font-weight: 600; }}
dd {{ margin: 0 0 .4rem 1.25rem; }}
summary {{ cursor: pointer; padding: .4rem 0; }}
@media (max-width: 30rem) {{ h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.25rem; }} }}
@media print {{
  :root {{
    color-scheme: light; --ground: #ffffff; --ink: #000000; --soft: #333333; --line: #999999; --head: #ffffff;
    {_variables(SERIES)}
  }}
  body {{ max-width: none; padding: 0; font-size: 10pt; }}
  nav, .skip {{ display: none; }}
  #scores, #hard-cases, #precision-recall, #robustness, #gallery {{ break-before: page; }}
  h2 {{ margin-top: 1.5rem; }}
  h2, h3, caption {{ break-after: avoid; }}
  figure, tr, .legend {{ break-inside: avoid; }}
  thead {{ display: table-header-group; }}
  .scroll {{ overflow: visible; }}
  table {{ font-size: 7.5pt; }}
  th, td {{ padding: .15rem .3rem; }}
  td.long {{ min-width: 0; }}
  tbody th {{ min-width: 0; position: static; }}
  pre {{ white-space: pre-wrap; }}
  details::details-content {{ content-visibility: visible; block-size: auto; }}
  .legend span {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
