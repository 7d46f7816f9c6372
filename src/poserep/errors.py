"""The exceptions that become one line and an exit code, see `poserep.cli`."""


class InputError(ValueError):
    """Bad input: the message names the file or value and says what to do about it."""


class Failed(InputError):
    """Something that had begun has failed; what was done before is kept."""


def message(error: InputError) -> str:
    """What it says; errors from loader processes arrive with a traceback in front."""
    return str(error).rsplit("poserep.errors.InputError: ", 1)[-1].strip()
