"""What a training costs, in units of source-only training with the same number of steps.

Measured by ``benchmarks/method_cost.py``, which says with what network and data and prints this
table. The network is small, so extra networks of the published width weigh more here than next to
a large one: the output discriminators of AdvEnt and its kin have 2.7 million weights, the network
one million. Methods with rounds pass over all images between their steps: their factor falls
with the number of steps per image. One training each on a busy machine: read them as one digit.
"""

COST_FACTORS: dict[str, float] = {
    "ada_bn": 0.8,
    "adapt_seg_net": 8.5,
    "advent": 9.6,
    "cbst": 2.1,
    "ccm": 1.4,
    "crst": 1.7,
    "cycada": 8.5,
    "da_former": 2.7,
    "dacs": 2.5,
    "dast": 6.2,
    "fcan": 1.9,
    "fda": 1.9,
    "intra_da": 9.8,
    "madan": 13.6,
    "mic": 3.7,
    "min_ent": 1.9,
    "source_only": 1.0,
    "structure_enhancement": 4.8,
    "tpld": 3.9,
}
