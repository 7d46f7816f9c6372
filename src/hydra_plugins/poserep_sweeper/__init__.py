"""Makes `poserep.sweeps.sweeper.RowSweeper` known to Hydra as ``hydra/sweeper: rows``."""

import poserep.sweeps.sweeper


class RowSweeper(poserep.sweeps.sweeper.RowSweeper):
    """Hydra takes plugins only from classes defined in this namespace."""
