from .engines import engine as engine
