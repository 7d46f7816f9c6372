"""Makes `poserep.sweeper.RowSweeper` known to Hydra as ``hydra/sweeper: rows``."""

import poserep.sweeper


class RowSweeper(poserep.sweeper.RowSweeper):
    """Hydra takes plugins only from classes defined in this namespace."""
