"""The report: what a person looks at.

page.py           the pieces of a page (figure, table, section) and how they become one HTML file
run.py            what the stages of a run have left, read and checked
overview.py       the page of a run, from one module a question: data_quality, labels, expression,
                  architectures, cell_types, training_sets, generated, interpretation
comparison.py     the page of experiments beside each other
published.py      what others published, beside the results of a stage
cell_names.py     what cell types are called
terminal.py       tables for the terminal
"""
