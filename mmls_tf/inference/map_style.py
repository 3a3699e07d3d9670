"""The style sheet of the map page, after that of the report."""

from __future__ import annotations

MAP_STYLE = """
:root { --gap: #eceeef; --stripe: #d9dcdf; }
@media (prefers-color-scheme: dark) { :root { --gap: #202428; --stripe: #32383e; } }
#panes { display: grid; gap: 1rem; align-items: start; }
@media (min-width: 56rem) { #panes { grid-template-columns: minmax(0, 1fr) 19rem; } }
#map {
  position: relative; overflow: hidden; border: 1px solid var(--line); border-radius: 4px;
  background: repeating-linear-gradient(-45deg, var(--gap) 0 5px, var(--stripe) 5px 7px);
  --fill: #e69f00; --edge: #8f3b00; --chosen: #0072b2;
}
#map.on-colours { --fill: #56b4e9; --edge: #00436b; --chosen: #d55e00; }
#view { display: block; width: 100%; height: auto; max-height: 76vh; min-height: 17rem; cursor: grab; }
#view.dragged { cursor: grabbing; }
#view.zoomed { touch-action: none; }
#view:not(.zoomed) { touch-action: pan-x pan-y; }
#slides { opacity: .75; }
#slides path {
  fill: var(--fill); fill-opacity: .6; fill-rule: evenodd; stroke: var(--edge); stroke-width: 1px; cursor: pointer;
  vector-effect: non-scaling-stroke; stroke-linejoin: round;
}
#slides path:hover { fill-opacity: .85; }
#slides path:focus { outline: none; }
#marks path { fill: none; vector-effect: non-scaling-stroke; pointer-events: none; stroke-linejoin: round; }
#halo { stroke: #ffffff; stroke-width: 6px; }
#chosen { stroke: var(--chosen); stroke-width: 3px; }
#map.focused { outline: 3px solid var(--link); outline-offset: 2px; }
html:not(.scripted) .needs-script { display: none; }
#buttons { position: absolute; top: .5rem; right: .5rem; display: grid; gap: .3rem; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
#buttons button {
  width: 2.6rem; height: 2.6rem; border: 1px solid var(--soft); border-radius: 4px; background: var(--ground);
  color: var(--ink); font-size: 1.25rem; line-height: 1;
}
#buttons svg {
  width: 1.1rem; height: 1.1rem; fill: none; stroke: currentColor; stroke-width: 2; display: block; margin: auto;
}
#buttons button:hover { background: var(--head); }
#buttons button:disabled { color: var(--soft); cursor: default; opacity: .6; }
#ruler {
  position: absolute; left: .6rem; bottom: .6rem; padding: .1rem .4rem .3rem; font-size: .8rem; color: #1a1a1a;
  background: rgba(255, 255, 255, .85); border-radius: 3px; pointer-events: none;
}
#ruler b { display: block; font-weight: 400; line-height: 1.3; }
#ruler span { display: block; border: 1.5px solid #1a1a1a; border-top: 0; height: .35rem; box-sizing: border-box; }
.controls { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; align-items: center; margin: .6rem 0 0; }
.controls label { display: inline-flex; gap: .5rem; align-items: center; }
.controls input { accent-color: var(--link); width: 9rem; height: 2rem; }
.swatch {
  display: inline-block; width: 1.1em; height: 1.1em; margin-right: .4em; vertical-align: -.2em; background: #e69f00;
  border: 2px solid #8f3b00;
}
.on-colours .swatch { background: #56b4e9; border-color: #00436b; }
.hint { color: var(--soft); font-size: .9rem; max-width: 46rem; }
#details { border: 1px solid var(--line); border-radius: 4px; padding: .75rem 1rem; }
#details h2 { margin: 0 0 .5rem; border: 0; padding: 0; font-size: 1.15rem; }
#details dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .9rem; margin: 0; }
#details dt { font-weight: 400; color: var(--soft); }
#details dd { margin: 0; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
#details p { margin: 0; }
thead button { font-weight: 600; text-align: left; padding: .1rem 0; }
thead button::after { content: "\\a0\\2195"; color: var(--soft); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\a0\\2191"; color: inherit; }
th[aria-sort=descending] button::after { content: "\\a0\\2193"; color: inherit; }
#landslides td { text-align: right; white-space: nowrap; }
#landslides thead th { text-align: right; }
#landslides thead th button { text-align: right; }
#landslides th:first-child, #landslides tbody th { text-align: left; min-width: 4rem; }
#landslides tbody th button {
  color: var(--link); text-decoration: underline; padding: 0 .5rem 0 0; min-height: 1.5rem;
}
#landslides tr.current > * { background: var(--head); }
#facts dl { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .2rem 1.25rem; }
#facts dd { margin: 0; }
.table-box { max-height: 34rem; overflow: auto; margin: 1rem 0; border-bottom: 1px solid var(--line); }
.table-box thead th { position: sticky; top: 0; z-index: 1; }
.table-box thead th:first-child { left: 0; z-index: 2; }
@media print {
  #buttons, .controls input, .controls output, .hint, #ruler, .controls label { display: none; }
  #panes { display: block; }
  #details:has(> p) { display: none; }
  #map, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  #map { background: none; break-inside: avoid; }
  #view { max-height: 17cm; min-height: 0; }
  .table-box { max-height: none; overflow: visible; }
  .table-box thead th { position: static; }
  thead button::after { content: "" !important; }
  #landslides tbody th button { color: inherit; text-decoration: none; }
}
"""
