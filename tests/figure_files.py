"""What tests of figures read: the names drawn, and the numbers behind a figure."""

import csv

import numpy as np

from pellucid.stages.figures import check


def drawn(draw, results, folder, settings):
    """Draw into a folder and return the names of the figures."""
    folder.mkdir()
    draw(results, settings, folder)
    return set(check(folder))


def table(folder, name):
    """Return the rows of the CSV behind a figure."""
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows, key, **having):
    """Return one column of the rows that have the given entries."""
    return np.array([float(row[key]) for row in rows if all(row[name] == value for name, value in having.items())])
