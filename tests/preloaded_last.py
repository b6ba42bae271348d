"""What the process from which workers are forked imports last."""

import gc

# what it has imported stays, and no worker searches it for garbage
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 10, 10)
