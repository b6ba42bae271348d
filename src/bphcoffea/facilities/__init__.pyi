from .clusters import NoSchedulerError as NoSchedulerError
from .clusters import NoWorkerCountError as NoWorkerCountError, cluster as cluster
from .facility import Facility as Facility
from .facility_check import check as check
from .credentials import ShortProxyError as ShortProxyError, find_valid as find_valid
from .credentials import shipping as shipping, wait as wait
from .reading import available_facilities as available_facilities, load_facility as load_facility
from .values import in_bytes as in_bytes
