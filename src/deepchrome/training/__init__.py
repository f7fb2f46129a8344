"""Many networks trained at once, and what they leave on disk.

jobs.py         the networks to train, and what becomes of them
groups.py       which train together, in which process
fit.py          the loop of one group, with the step
objective.py    loss, link and score
examples.py     the genes of a group, batch by batch
ensemble.py     the networks of a group as one; optimizer.py: their updates
network.py      one network, and whether several jobs can share it
record.py       steps recorded and replayed; tape.py: on a CPU
ranking.py      AUROC of many networks
checkpoints.py  what an interrupted run goes on from
keys.py         whether two jobs would end alike
store.py        trained models on disk and their predictions
executor.py     work in processes
progress.py     what a person sees; tensorboard.py: what TensorBoard shows
"""
