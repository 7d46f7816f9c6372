"""stub"""
from rich.table import Table
def metrics_table(title, metrics):
    t=Table(title=title)
    for c in ("boxes","readout","AP","AP50","AP75","AR"): t.add_column(c)
    for b,by in metrics.items():
        for r,v in by.items(): t.add_row(b,r,*(f"{v[k]:.1f}" for k in ("AP","AP50","AP75","AR")))
    return t
