"""The glossary of all pages: terms that a reader may not know, explained on hover and focus."""

from collections.abc import Mapping

from overmem.records import REGIMES

GLOSSARY: Mapping[str, str] = {
    "nats": "Units of surprise: minus the natural logarithm of a probability. 0.69 nats is a coin flip; 0.05 nats per "
    "token more makes a token 5% less likely.",
    "surprise": "Minus the natural logarithm of the probability that the model gives a token of the reference "
    "solution, in nats: 0 is certain, 0.69 a coin flip, 4.6 one in a hundred.",
    "perplexity": "How many equally likely tokens the model hesitates among at each token of a correct solution, on "
    "average: 1 is certain of every token.",
    "NLL": "Negative log likelihood: the mean surprise of the reference solutions, in nats per token. Perplexity is "
    "its exponential.",
    "excess": "By how many nats per token the reference solutions are more surprising than at the checkpoint where "
    "they are least surprising.",
    "onset": "Where over-memorization begins: the step from which the model's excess stays costly while accuracy is "
    "kept.",
    "Holm": "Many differences were tested at once, so some would look real by luck. Holm's method raises "
    "their p values so that this happens in at most 5% of runs.",
    "p value": "How often luck alone would show a difference at least this large, if there were none.",
    "95% interval": "The range that, by this method, holds the true value in 95 of 100 repetitions with other "
    "examples.",
    "AUROC": "How often a training example scores higher than an unseen one: 0.5 is chance, 1 is always.",
    "false positives": "Unseen examples that an attack takes for training examples.",
    "scale share": "The part of the rise that is only overconfidence: dividing all scores by one number, a "
    "temperature, would undo it.",
    "agree share": "The part of the rise on tokens that the model would have written itself; negative where these "
    "became more likely.",
    "regret": "Accuracy that another choice loses against the recommended checkpoint, on the same questions.",
    "greedy": "Always continuing with the likeliest token; the same prompt gives the same completion.",
    "pass@k": "How often at least one of k sampled completions of a question is right.",
    "maj@k": "How often the most frequent answer among k sampled completions is right.",
    "temperature": "What scores are divided by before sampling: below 1 the likeliest tokens are favoured, above 1 the "
    "choice is more even.",
    "calibration error": "By how much the model's confidence differs from how often it is right, on average over bins "
    "of confidence.",
    "overconfidence": "By how much the model's confidence is above how often it is right.",
    "exposure": "By how much a training example became less surprising than it was to the base model, in nats per "
    "token: what training taught about this very example, by memorization or by skill.",
    "extraction strength": "The share of a solution that the model completes word for word, given the rest as a "
    "prefix.",
    "lt-iqr": "The interquartile range of an example's surprise over the checkpoints: training examples move more.",
    "base model": "The model before fine-tuning, step 0.",
    "truncated": "Cut off because it ran into the length limit.",
    "out of distribution": "Examples unlike those of training: longer, or of another domain.",
    **{name: f"{regime.meaning[0].upper()}{regime.meaning[1:]}." for name, regime in REGIMES.items()},
}
