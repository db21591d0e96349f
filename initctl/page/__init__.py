"""`--html FILE`: a result as one page for a browser, which fetches nothing and needs no other file.

content.py        what a page is made of: facts, items, charts, a table
of_statistics.py  the page of what tensors hold
of_plan.py        the page of a plan, or of what was done
of_diagnosis.py   the page of the faults that were found
of_differences.py the page of the differences between two checkpoints
charts.py         how what tensors hold changes with depth
problems.py       warnings
drawing.py        histograms and series as paths of SVG
rendering.py      content → HTML, and a policy that lets nothing else run
writing.py        the page as a file, which replaces no file of another kind

Template, style and script are `page.html`, `page.css` and `page.js`. A page of something new needs a function from that
to `Page`; nothing else here knows what a page is about.
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
