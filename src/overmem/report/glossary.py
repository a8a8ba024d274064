"""Terms that a reader may not know, explained on hover or focus."""

from collections.abc import Mapping

from markupsafe import Markup

GLOSSARY: Mapping[str, str] = {
    "nats": "Units of surprise: minus the natural logarithm of a probability. 0.69 nats is a coin flip; 0.05 nats per "
    "token more makes a token 5% less likely.",
    "perplexity": "How many equally likely tokens the model hesitates among at each token of a correct solution, on "
    "average: 1 is certain of every token.",
    "Holm's correction": "Many differences were tested at once, so some would look real by luck. Holm's method raises "
    "their p values so that this happens in at most 5% of runs.",
    "AUROC": "How often a training example scores higher than an unseen one: 0.5 is chance, 1 is always.",
    "scale share": "The part of the rise that is only overconfidence: dividing all scores by one number, a "
    "temperature, would undo it.",
    "agree share": "The part of the rise on tokens that the model would have written itself; negative where these "
    "became more likely.",
    "regret": "Accuracy that another choice loses against the recommended checkpoint, on the same questions.",
}


def gloss(term: str, shown: str = "") -> Markup:
    """The term with its explanation, by mouse and by keyboard."""
    html = '<span class="gloss" tabindex="0" role="note" aria-label="{0}: {1}" data-gloss="{1}">{0}</span>'
    return Markup(html).format(shown or term, GLOSSARY[term])
