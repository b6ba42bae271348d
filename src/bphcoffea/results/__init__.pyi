from .cutflow import Cutflow as Cutflow
from .file_names import file_name as file_name
from .folder import RUN as RUN, RunFolder as RunFolder, claim as claim
from .folder import write_json as write_json, writing as writing
from .generator_variations import combine_generator_variations as combine_generator_variations
from .generator_variations import with_variations as with_variations
from .histogram_files import write_histograms as write_histograms
from .ledger import Entries as Entries, FILE as FILE, Failure as Failure
from .ledger import IDENTITY as IDENTITY, Ledger as Ledger
from .ledger import REPLICAS as REPLICAS, Recovery as Recovery, file_of as file_of
from .ledger import place_of as place_of, source_of as source_of
from .luminosities import Luminosities as Luminosities, certification_of as certification_of
from .normalisation import generated as generated, normalise as normalise
from .normalisation import without_scale as without_scale
from .picking import ValueRange as ValueRange, pick as pick
from .picking import write_table as write_table
from .records import DatasetRecord as DatasetRecord, Datasets as Datasets, as_json as as_json
from .records import Normalisation as Normalisation
from .renormalisation import renormalise as renormalise
from .run_state import blinding_in_words as blinding_in_words
from .run_state import processed_share as processed_share
from .simulated_sums import simulated_sum as simulated_sum
from .work_totals import Timing as Timing, table as table, tallies as tallies, total as total
