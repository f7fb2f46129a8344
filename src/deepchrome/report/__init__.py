"""The report: what a person looks at.

page.py        the pieces of a page (figure, table, section) and how they become one HTML file
run.py         what the stages of a run have left, read and checked
overview.py    the page of a run, put together from one module a question:
               data_quality, labels, expression, architectures, cell_types, training_sets,
               generated, interpretation
comparison.py  the page of experiments beside each other
"""
