"""When perplexity will become costly, in a sentence."""

from math import isfinite

from overmem.verdict.forecast import HORIZON, Forecast
from overmem.wording.numbers import capital, format_n


def forecast_sentence(forecast: Forecast) -> str:
    """When perplexity will be costly if training goes on in the same way, or why that is not known."""
    step, now = forecast.step, forecast.now
    rise = f"{forecast.d_nll:.2g} nats per token above its minimum"
    if step.low is None or step.high is None:
        return f"{capital(step.note)}."
    if forecast.begun and step.value is not None:
        return f"Perplexity has already been {rise} since about step {step.value:,.0f}."
    if not isfinite(step.low):
        return f"If training went on as it did, perplexity would not be {rise} before step {HORIZON * now:,.0f}."
    is_soon = step.low <= now
    if not isfinite(step.high):
        when = "at any time" if is_soon else f"as early as step {step.low:,.0f}"
        return (
            f"If training went on as it did, perplexity could be {rise} {when}; when it will be, or whether at all, "
            f"the curve does not tell yet (95% interval without an upper end, {format_n(step.n)})."
        )
    start = f"now (step {now:,})" if is_soon else f"step {step.low:,.0f}"
    return (
        f"If training went on as it did, perplexity would come to be {rise} between {start} and step {step.high:,.0f} "
        f"(95% interval, {format_n(step.n)})."
    )
