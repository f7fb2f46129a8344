"""Figures in one house style: arrays and tables in, pictures out. Knows nothing of torch.

Beside each function that draws stands one that says the figure in words, `<figure>_text`: its
alternative text and its caption. style.py is the frame of every figure, window.py the heat map of
marks around a TSS, text.py how words and numbers are written; the other modules are named after the
stage or command whose figures they draw.
"""
