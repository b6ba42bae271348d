from .chunk_events import Columns as Columns
from .opened_files import OpenedFile as OpenedFile, forget as forget, opened as opened
