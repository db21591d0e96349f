"""`--html FILE`: a result as one page for a browser. It loads nothing and needs no other file.

content.py        the parts of a page: facts, items, charts, a table
of_statistics.py  the page of statistics
of_plan.py        the page of a plan, or of an applied plan
of_diagnosis.py   the page of findings
of_differences.py the page of the differences between two checkpoints
charts.py         charts of numbers by depth
problems.py       warnings
drawing.py        histograms and series as paths of SVG
rendering.py      content → HTML, and a policy that lets nothing else run
writing.py        the page as a file; other files are not replaced

Template, style and script are `page.html`, `page.css` and `page.js`. A page for a new kind of result needs a function
that returns a `Page`; no other module here depends on the kind.
"""

from initctl.page.of_diagnosis import diagnosis_page
from initctl.page.of_differences import differences_page
from initctl.page.of_plan import applied_page, plan_page
from initctl.page.of_statistics import statistics_page
from initctl.page.writing import check_replaceable, write_page

__all__ = [
    "applied_page",
    "check_replaceable",
    "diagnosis_page",
    "differences_page",
    "plan_page",
    "statistics_page",
    "write_page",
]
