"""The report: what a person looks at.

page.py        the pieces of a page (figure, table, section) and how they become one HTML file
run.py         what the stages of a run have left, read and checked
sections.py    one function a question: what a run's files say to it
comparison.py  experiments beside each other
"""
