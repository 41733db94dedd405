"""What a training costs, in units of source-only training with the same number of steps.

Measured by ``benchmarks/method_cost.py``, which says with what network and data and prints this
table. The network is small, so extra networks of the published width weigh more here than next to
a large one: the output discriminators of AdvEnt and its kin have 2.7 million weights, the network
one million. Methods with rounds pass over all images between their steps: their factor falls
with the number of steps per image. Median of three, which lie within a tenth or so of each other.
"""

COST_FACTORS: dict[str, float] = {
    "ada_bn": 1.1,
    "adapt_seg_net": 8.6,
    "advent": 8.6,
    "cbst": 2.1,
    "ccm": 1.5,
    "crst": 1.9,
    "cycada": 8.2,
    "da_former": 2.8,
    "dacs": 2.4,
    "dast": 5.8,
    "fcan": 2.0,
    "fda": 1.9,
    "intra_da": 8.5,
    "madan": 14.4,
    "mic": 3.9,
    "min_ent": 2.0,
    "source_only": 1.0,
    "structure_enhancement": 6.3,
    "tpld": 3.4,
}
