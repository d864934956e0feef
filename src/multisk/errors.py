"""The exceptions that reach a user: bad input, said in one line."""


class InputError(ValueError):
    """Input that a person must mend; the message names the file, the key and the remedy.

    Commands print the message alone and exit with code 2.
    """


class DivergedError(InputError):
    """A training whose numbers are no longer finite."""


def one_line(error: object) -> str:
    """Return what an error says, on one line."""
    return " ".join(str(error).split())
