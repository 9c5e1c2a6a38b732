"""The look of a report, and its content security policy: nothing is loaded, nothing runs."""

import base64
import hashlib

CSS = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
.warning { border: 2px solid #b45309; background: #fffbeb; padding: .5rem 1rem; font-weight: 600; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { border-bottom: 1px solid #d4d4d4; padding: .25rem .75rem; text-align: left; vertical-align: top; }
tbody th { font-weight: 500; }
pre { background: #f5f5f5; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { width: 100%; max-width: 44rem; height: auto; display: block; font-size: 12px; }
.frame { fill: none; stroke: #d4d4d4; }
.curve { fill: none; stroke-width: 1.5; }
.label { text-anchor: end; }
.c0 { stroke: #1d4ed8; } .c1 { stroke: #b91c1c; } .c2 { stroke: #047857; }
.label.c0, .dot.c0 { fill: #1d4ed8; } .label.c1, .dot.c1 { fill: #b91c1c; } .label.c2, .dot.c2 { fill: #047857; }
.label, .dot { stroke: none; }
.example { display: grid; grid-template-columns: 20rem 1fr; gap: 1.5rem; margin: 2rem 0; }
.example img { width: 100%; background: #000; }
.example p { white-space: pre-wrap; overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .75rem 0; }
@media (max-width: 48rem) { .example { grid-template-columns: 1fr; } }
"""
_HASH = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"
