"""How well models predict, and what that tells: arrays in, numbers out. Knows nothing of torch.

metrics.py            AUROC and the like, and their bootstrap over genes
estimate.py           a value, its interval and its p-value
statistics.py         tests and intervals that tell two models apart
predictions.py        scores of genes on disk
held_out.py           each cell type's own models on its test genes
cross_cell.py         every cell type's model on every cell type
decomposition.py      what the cross-cell matrix consists of
lineages.py           whether models carry over better within a lineage
independence.py       what the matrix says, and the verdict
training_sets.py      which cell types to train on
gains.py              what is gained by training on several cell types
experiments.py        results of DVC experiments
comparison.py         which of several experiments is better
published_results.py  published AUROCs beside ours
"""
