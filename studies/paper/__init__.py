"""The paper's claims and its critics', one by one, tested on sweeps."""
