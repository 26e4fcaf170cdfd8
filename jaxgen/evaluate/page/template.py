"""The page of a report around its figures and pictures: what it may load, which is nothing, and how it looks."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><h1>{title}</h1>{summary}{contents}</header>
<section id=figures>
<table class=figures>
<thead><tr><th scope=col>Figure</th><th scope=col class=number>Value</th><th scope=col class=error></th>
<th scope=col class=number>n</th><th scope=col>Definition</th></tr></thead>
{figures}
</table>
<p class=note>{note}</p>
</section>
{pictures}
{config}
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --quiet: #5f6771; --rule: #d8dee4; --page: #fff; --mark: #2f74c0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe5ec; --quiet: #98a1ac; --rule: #343b44; --page: #15181c; --mark: #6aa6e6; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 3rem 1.5rem; }
h1 { font-size: 1.6rem; font-weight: 600; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 0 0 1rem; }
.summary, .note, .unit, .details, figcaption { color: var(--quiet); }
.summary { margin: 0; max-width: 46rem; }
nav { margin-top: .8rem; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; }
nav a { color: var(--mark); text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
section, details { margin-top: 2.8rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .45rem 1.2rem .45rem 0; text-align: left; vertical-align: baseline; }
th, td { border-bottom: 1px solid var(--rule); }
thead th { font-size: .8rem; font-weight: 500; color: var(--quiet); }
tbody th { font-weight: 500; white-space: nowrap; }
tbody th.protocol { font-size: .85rem; font-weight: 600; white-space: normal; padding-top: 1.6rem; }
.details { font-weight: 400; overflow-wrap: anywhere; }
.definition { font-size: .85rem; color: var(--quiet); min-width: 16rem; }
.figures .definition { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
td.number, td.error { font-variant-numeric: tabular-nums; }
.number:has(+ .error) { padding-right: .5rem; }
td.error { white-space: nowrap; color: var(--quiet); }
.blank { visibility: hidden; }
.note { font-size: .8rem; margin: .6rem 0 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 2.2rem 2rem; }
#history .pictures { grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figure img { max-width: 100%; height: auto; display: block; image-rendering: pixelated; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .85rem; margin-top: .6rem; }
figcaption b { color: var(--ink); font-weight: 600; display: block; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.2rem, 1fr)); gap: .4rem; }
.tile, .head { min-width: 0; font-size: .68rem; line-height: 1.4; color: var(--quiet); }
.tile img { width: 100%; }
.tile .note { font-size: inherit; margin: .25rem 0 0; overflow: hidden; overflow-wrap: anywhere; }
.tile .note { font-variant-numeric: tabular-nums; }
.tile .note { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; }
.lead img { outline: 2px solid var(--mark); }
.scroll { overflow: auto; max-height: 40rem; }
.scroll thead th { position: sticky; top: 0; background: var(--page); white-space: nowrap; }
summary { cursor: pointer; font-weight: 500; }
pre { font: .8rem/1.5 ui-monospace, monospace; overflow-x: auto; }
@media (max-width: 44rem) {
  main { padding: 1.5rem 1rem; }
  .figures thead { display: none; }
  .figures, .figures tbody { display: block; }
  .figures tr { display: flex; flex-wrap: wrap; gap: 0 .5rem; border-bottom: 1px solid var(--rule); padding: .5rem 0; }
  .figures th, .figures td { border: 0; padding: 0; white-space: normal; }
  .figures tbody th { flex: 1 1 auto; }
  .figures tbody th.protocol { padding-top: 1rem; }
  .figures .definition { flex-basis: 100%; }
  .figures .count::before { content: "n = "; }
  .blank { display: none; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --quiet: #444; --rule: #bbb; --page: #fff; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav, details { display: none; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .scroll { max-height: none; overflow: visible; }
  .pictures { grid-template-columns: 1fr 1fr; gap: 1rem; }
  #history .pictures { grid-template-columns: 1fr 1fr 1fr; }
}
"""
