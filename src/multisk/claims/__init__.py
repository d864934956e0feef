"""The paper's claims: declared, measured, judged."""
