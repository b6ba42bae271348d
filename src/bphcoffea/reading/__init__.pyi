from .chunk_events import Columns as Columns
from .kept_columns import KeptColumns as KeptColumns, Keeping as Keeping, kept_files as kept_files
from .opened_files import OpenedFile as OpenedFile, forget as forget, opened as opened
