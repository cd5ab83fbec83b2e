"""How the pages of reports look: light and dark, and on a phone without sideways scrolling."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --paper: #fdfdfc; --line: #d9dee3; --mark: #eaf3fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa5b1; --paper: #15181c; --line: #343a41; --mark: #1b2a36; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p, figcaption, small { color: var(--soft); }
.headline { font-size: 1.15rem; color: var(--ink); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
td:nth-child(2) { background: var(--mark); padding-left: .8rem; } th:nth-child(2) { padding-left: .8rem; }
td small { display: block; white-space: nowrap; }
figure { margin: 1.5rem 0; overflow-x: auto; }
figure svg { width: 100%; max-width: 46rem; height: auto; }
summary { cursor: pointer; margin: 1rem 0 .5rem; font-weight: 600; }
.verdicts { list-style: none; padding: 0; }
.verdicts li { padding: .35rem 0 .35rem .8rem; border-left: 4px solid var(--line); margin: .3rem 0; }
.verdicts strong { display: inline-block; min-width: 8.5rem; } .verdicts small { white-space: nowrap; }
.better { border-color: #00795c !important; } .worse { border-color: #b34700 !important; }
svg text { font-family: system-ui, sans-serif !important; }
dl { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 5fr); gap: .2rem 1rem; font-size: .92rem; }
dt { color: var(--soft); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  body { padding: .8rem; } dl { display: block; } dd { margin-bottom: .5rem; }
  .verdicts small { white-space: normal; display: block; }
  .wide thead { display: none; } .wide table, .wide tbody, .wide tr { display: block; }
  .wide td { display: grid; grid-template-columns: 1fr auto 7.4rem; gap: .8rem; border: 0; padding: .15rem .4rem; }
  .wide td:first-child { display: block; font-weight: 600; padding-top: .7rem; position: static; }
  .wide tr { border-bottom: 1px solid var(--line); padding-bottom: .4rem; }
  .wide td[data-of]::before { content: attr(data-of); color: var(--soft); text-align: left; overflow-wrap: anywhere; }
}
"""
