"""Makes `poserep.sweep.sweeper.RowSweeper` known to Hydra as ``hydra/sweeper: rows``."""

import poserep.sweep.sweeper


class RowSweeper(poserep.sweep.sweeper.RowSweeper):
    """Hydra takes plugins only from classes defined in this namespace."""
